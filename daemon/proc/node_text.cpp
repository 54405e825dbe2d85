#include "daemon/proc/node_text.hpp"

#include <asio/error.hpp>
#include <cerrno>
#include <new>
#include <system_error>

namespace masqgate::proc {
namespace {

int errno_of(state::Problem problem) {
  switch (problem) {
    case state::Problem::not_found:
      return ENOENT;
    case state::Problem::not_offered:
      return EACCES;
    case state::Problem::invalid:
    case state::Problem::malformed:
      return EINVAL;
    case state::Problem::conflict:
      return EBUSY;
    case state::Problem::stale:
    case state::Problem::unavailable:
      return EAGAIN;
  }
  return EIO;
}

}  // namespace

asio::awaitable<std::string> read_text(const state::Node& node) {
  if (node.read_text) {
    std::string text = co_await node.read_text();
    co_return text;
  }
  if (!node.read) throw state::Error{state::Problem::not_offered, "the node cannot be read"};
  state::Query no_parameters;
  const state::Json document = co_await node.read(no_parameters);
  std::string text = document.dump(2, ' ', false, state::Json::error_handler_t::replace);
  text += '\n';
  co_return text;
}

asio::awaitable<void> write_text(const state::Node& node, std::string text) {
  if (node.write_text) {
    co_await node.write_text(std::move(text));
    co_return;
  }
  if (!writable(node))
    throw state::Error{state::Problem::not_offered, "the node cannot be written"};
  state::Json document = state::Json::parse(text, nullptr, false, true);
  if (document.is_discarded()) throw state::Error{state::Problem::malformed, "this is no JSON"};
  state::Query no_parameters;
  const state::Json shown = co_await node.write(document, no_parameters);
  static_cast<void>(shown);  // there is nowhere to show it
}

int errno_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const state::Error& error) {
    return errno_of(error.problem());
  } catch (const std::system_error& error) {
    const bool cancelled = error.code() == asio::error::operation_aborted ||
                           error.code() == std::errc::operation_canceled;
    return cancelled ? EINTR : EIO;
  } catch (const std::bad_alloc&) {
    return ENOMEM;
  } catch (...) {
    return EIO;
  }
}

std::string message_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "unknown";
  }
}

}  // namespace masqgate::proc
