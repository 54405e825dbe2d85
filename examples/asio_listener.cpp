// Packets beside other work in one loop of Asio: each is let pass when a timer of its own says so.
// Arguments: the port, and milliseconds. At SIGTERM it takes no more packets, and ends when all have passed.

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "divert/asio.hpp"

namespace {

using masqgate::divert::client::AsioListener;
namespace format = masqgate::divert::format;

asio::awaitable<void> pass(AsioListener& listener, std::uint64_t id,
                           std::chrono::milliseconds delay) {
  asio::steady_timer timer{co_await asio::this_coro::executor, delay};
  co_await timer.async_wait(asio::use_awaitable);
  format::VerdictHeader verdict;  // its action is "accept"
  verdict.id = id;
  listener->say(verdict);
  listener->flush();
}

asio::awaitable<void> listen(AsioListener& listener, std::chrono::milliseconds delay) {
  const auto executor = co_await asio::this_coro::executor;
  asio::signal_set signals{executor, SIGTERM};
  signals.async_wait([&](const asio::error_code& error, int) {
    if (!error) listener->drain();
  });
  std::puts("ready");
  std::fflush(stdout);
  std::size_t packets = 0;
  bool is_drained = false;
  while (!is_drained && !listener->is_gone()) {
    const auto batch = co_await listener.async_receive(asio::use_awaitable);
    for (const auto& packet : batch)
      asio::co_spawn(executor, pass(listener, packet.header().id, delay), asio::detached);
    packets += batch.size();
    for (const auto& notice : std::exchange(listener->notices, {}))
      is_drained |= notice.code == static_cast<std::uint32_t>(format::Code::drained);
  }
  std::printf("%zu packets\n", packets);
}

}  // namespace

int main(int count, char** words) {
  const int port = count > 1 ? std::atoi(words[1]) : 2222;
  const std::chrono::milliseconds delay{count > 2 ? std::atoi(words[2]) : 10};
  asio::io_context context;
  AsioListener listener{context.get_executor(),
                        static_cast<std::uint16_t>(port),
                        {.name = "asio_listener", .settles = false}};
  asio::co_spawn(context, listen(listener, delay), [](std::exception_ptr problem) {
    if (problem) std::rethrow_exception(problem);
  });
  context.run();
}
