// The REST door over a made-up router, for tests that come with real clients.
//
// Usage: fixture_server SOCKET TCP|- MAX_SESSIONS LIMIT_MS. Prints "ready PORT" when it listens;
// SIGUSR1 lets the node test/slow go on; SIGTERM stops the server, and it exits when every session
// has ended by itself. Every time limit is LIMIT_MS.

#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>

#include "tests/web/fake_tree.hpp"
#include "web/server.hpp"

using namespace masqgate;

namespace {

// Nodes that a router does not have: one that breaks, one that waits at the gate, a large one, one
// that says as many events of 1000 bytes as it is told.
void add_odd_nodes(state::Tree& tree, asio::steady_timer& gate, int& version,
                   const std::shared_ptr<state::Events>& events) {
  tree.add("test/broken",
           state::Node{.summary = "", .read = [](state::Query) -> asio::awaitable<state::Json> {
                         throw std::runtime_error("secret");
                         co_return state::Json{};
                       }});
  const auto wait = [&gate]() -> asio::awaitable<void> {
    asio::error_code ignored;
    co_await gate.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  };
  state::Node slow{.summary = ""};
  slow.read = [wait](state::Query) -> asio::awaitable<state::Json> {
    auto waiting = wait();
    co_await std::move(waiting);
    co_return state::Json{{"waited", true}};
  };
  slow.write = [wait, &version](state::Json, state::Query) -> asio::awaitable<state::Json> {
    auto waiting = wait();
    co_await std::move(waiting);
    ++version;
    co_return nullptr;
  };
  slow.version = [&version] { return std::to_string(version); };
  tree.add("test/slow", std::move(slow));
  state::Node flood{.summary = ""};
  flood.write = [events](state::Json count, state::Query) -> asio::awaitable<state::Json> {
    for (int i = 0; i < count.get<int>(); ++i)
      events->publish("test.flood", state::Json{{"text", std::string(1000, 'x')}});
    co_return nullptr;
  };
  tree.add("test/flood", std::move(flood));
  tree.add("test/large",
           state::Node{.summary = "", .read_text = []() -> asio::awaitable<std::string> {
                         co_return std::string(8 << 20, 'x');
                       }});
}

int serve(char** argv) {
  asio::io_context context;
  tests::FakeRouter router;
  state::Tree tree = tests::fake_tree(router);
  asio::steady_timer gate{context, asio::steady_timer::time_point::max()};
  int version = 1;
  add_odd_nodes(tree, gate, version, router.events);

  web::Options options{.socket = argv[1]};
  if (std::string{argv[2]} != "-") options.tcp = argv[2];
  options.max_sessions = std::stoul(argv[3]);
  const std::chrono::milliseconds limit{std::stol(argv[4])};
  options.limits = {.idle = limit,
                    .head = limit,
                    .body = limit,
                    .write = limit,
                    .linger = limit,
                    .silence = limit};
  web::Server server{context, tree, options};
  server.start();
  bool stopped = false;
  asio::signal_set signals{context, SIGTERM, SIGUSR1};
  std::function<void()> obey = [&] {
    signals.async_wait([&](asio::error_code, int signal) {
      if (signal == SIGUSR1) gate.cancel();
      if (signal == SIGTERM) server.stop();
      stopped = stopped || signal == SIGTERM;
      obey();
    });
  };
  obey();
  std::printf("ready %u\n", static_cast<unsigned>(server.tcp_port()));
  std::fflush(stdout);
  while (!stopped || server.sessions() > 0) context.run_one();
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return EXIT_FAILURE;
  try {
    return serve(argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return EXIT_FAILURE;
  }
}
