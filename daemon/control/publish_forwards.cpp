#include "daemon/control/publish_forwards.hpp"

#include "daemon/control/forward_files.hpp"
#include "daemon/control/ipmasqadm.hpp"

namespace masqgate::control {
namespace {

using nat::ForwardModule;
using nat::ForwardProblem;
using state::Problem;

std::string without_end(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

// The one order of a written line.
nat::ForwardOrder order_of(ForwardModule module, const std::string& line) {
  const IpmasqadmResult result = parse_ipmasqadm(module, line);
  if (const auto* end = std::get_if<IpmasqadmEnd>(&result))
    throw state::Error(Problem::invalid, without_end(end->error + end->output));
  const auto& command = std::get<IpmasqadmCommand>(result);
  if (!command.order)
    throw state::Error(Problem::invalid, std::string{name(module)} + ": to list, read this file");
  return *command.order;
}

Problem problem_of(ForwardProblem problem) {
  switch (problem) {
    case ForwardProblem::not_found:
      return Problem::not_found;
    case ForwardProblem::full:
      return Problem::unavailable;
    default:
      return Problem::invalid;
  }
}

asio::awaitable<void> write(Router& router, ForwardModule module, std::string line) {
  const auto question = [order = order_of(module, line)](path::Shard& shard) {
    return shard.change_forwards(order);
  };
  const ForwardProblem problem = co_await router.shard().ask(question);
  if (problem != ForwardProblem::none)
    throw state::Error(problem_of(problem), ipmasqadm_failure(module, problem));
}

std::string file_of(ForwardModule module, path::Shard& shard) {
  nat::Forwards& forwards = shard.forwards();
  const Time now = BootClock::now();
  switch (module) {
    case ForwardModule::portfw:
      return portfw_file(forwards.port_forwards().list());
    case ForwardModule::autofw:
      return autofw_file(forwards.auto_forwards().list(now), now);
    default:
      return mfw_file(forwards.mark_forwards().list());
  }
}

asio::awaitable<std::string> read(Router& router, ForwardModule module) {
  const auto question = [module](path::Shard& shard) { return file_of(module, shard); };
  std::string text = co_await router.shard().ask(question);
  co_return text;
}

void publish_table(state::Tree& tree, Router& router, ForwardModule module, std::string summary) {
  tree.add(
      "net/ip_masq/" + std::string{name(module)},
      {.summary = std::move(summary),
       .read_text = [&router, module] { return read(router, module); },
       .write_text =
           [&router, module](std::string line) { return write(router, module, std::move(line)); }});
}

// 0: AUTOFW checks what its documentation says; 1: it does not, as the kernel did not.
void publish_switch(state::Tree& tree, Router& router) {
  tree.add("sys/net/ipv4/ip_masq_autofw_unchecked",
           {.summary = "Whether AUTOFW lets anybody use an open range, as Linux 2.2 did: 0 or 1.",
            .read_text = [&router]() -> asio::awaitable<std::string> {
              const auto question = [](path::Shard& shard) {
                return shard.forwards().auto_forwards().unchecked();
              };
              const bool unchecked = co_await router.shard().ask(question);
              co_return unchecked ? "1\n" : "0\n";
            },
            .write_text = [&router](std::string text) -> asio::awaitable<void> {
              text = without_end(std::move(text));
              if (text != "0" && text != "1")
                throw state::Error(Problem::invalid, "ip_masq_autofw_unchecked: 0 or 1");
              const auto question = [unchecked = text == "1"](path::Shard& shard) {
                shard.forwards().auto_forwards().set_unchecked(unchecked);
                return true;
              };
              co_await router.shard().ask(question);
            }});
}

}  // namespace

void publish_forwards(state::Tree& tree, Router& router) {
  publish_table(tree, router, ForwardModule::portfw,
                "Forwarded ports as Linux 2.2 listed them; takes ipmasqadm portfw's words.");
  publish_table(tree, router, ForwardModule::autofw,
                "Automatic forwards as Linux 2.2 listed them; takes ipmasqadm autofw's words.");
  publish_table(tree, router, ForwardModule::mfw,
                "Forwards by mark as Linux 2.2 listed them; takes ipmasqadm mfw's words.");
  publish_switch(tree, router);
}

}  // namespace masqgate::control
