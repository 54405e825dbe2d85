// A small state tree behind daemon/proc, without a router: what tests/proc/test_tree.sh reads and
// writes.
//
// mount_fake_tree PATH [handed-over] [small-limits]
// Mounts, prints "ready", answers until SIGTERM, prints "stopped". "handed-over" takes the way of
// the systemd unit: somebody else mounts and unmounts, Mount gets the descriptor.

#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <iostream>
#include <set>
#include <stdexcept>
#include <string>

#include "daemon/proc/mount.hpp"
#include "daemon/proc/mount_point.hpp"
#include "daemon/state/tree.hpp"

using namespace masqgate;

namespace {

// What the fake nodes show and remember.
struct World {
  explicit World(asio::io_context& loop) : gate{loop} {
    gate.expires_at(asio::steady_timer::time_point::max());
  }
  asio::steady_timer gate;  // "slow" waits here until "release" is written
  std::string ip_forward = "1\n";
  state::Json document = {{"a", 1}};
  std::string log;
  int openings = 0;
};

using Text = asio::awaitable<std::string>;

Text slow_text(World& world) {
  asio::error_code cancelled;
  co_await world.gate.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  co_return "slow\n";
}

// Several megabytes of which every line says which opening it belongs to.
Text big_text(World& world) {
  const std::string line = "opening " + std::to_string(++world.openings) + "\n";
  std::string text;
  while (text.size() < (3U << 20)) text += line;
  co_return text;
}

asio::awaitable<void> write_ip_forward(World& world, std::string text) {
  if (text != "0\n" && text != "1\n") throw state::Error{state::Problem::invalid, "0 or 1"};
  world.ip_forward = text;
  co_return;
}

asio::awaitable<state::Json> write_document(World& world, state::Json document) {
  if (!document.is_object()) throw state::Error{state::Problem::invalid, "no object"};
  world.document = std::move(document);
  co_return world.document;
}

state::Json shown(const proc::Mount& mount) {
  const proc::Counters& c = mount.counters();
  return {{"open_files", mount.open_files()},
          {"snapshot_bytes", mount.snapshot_bytes()},
          {"failed", c.failed},
          {"interrupted", c.interrupted},
          {"refused_handles", c.refused_handles},
          {"refused_memory", c.refused_memory},
          {"refused_running", c.refused_running},
          {"refused_size", c.refused_size}};
}

Text text(std::string value) {
  co_return value;
}
asio::awaitable<state::Json> document(state::Json value) {
  co_return value;
}
asio::awaitable<void> done() {
  co_return;
}
Text breaks() {
  throw std::runtime_error("broken on purpose");
  co_return "";
}
Text stops() {
  throw state::Error{state::Problem::unavailable, "later"};
  co_return "";
}

void furnish(state::Tree& tree, World& w, const proc::Mount& mount) {
  using Q = state::Query;
  using J = state::Json;
  tree.add("net/ip_masquerade", {.summary = "", .read_text = [] { return text("masquerade\n"); }});
  tree.add("net/ip_masq/tcp", {.summary = "", .read_text = [] { return text("tcp\n"); }});
  tree.add("net/ip_masq/udp", {.summary = "", .read_text = [] { return text(std::string{}); }});
  tree.add("sys/net/ipv4/ip_forward",
           {.summary = "",
            .read_text = [&w] { return text(w.ip_forward); },
            .write_text = [&w](std::string text) { return write_ip_forward(w, text); }});
  tree.add("document", {.summary = "",
                        .read = [&w](Q) { return document(w.document); },
                        .write = [&w](J value, Q) { return write_document(w, value); }});
  tree.add("versioned", {.summary = "",
                         .read = [&w](Q) { return document(w.document); },
                         .write = [&w](J value, Q) { return write_document(w, value); },
                         .version = [] { return "1"; }});
  tree.add("both", {.summary = "",
                    .read =
                        [](Q) {
                          return document(J{{"json", true}});
                        },
                    .read_text = [] { return text("text\n"); }});
  tree.add("connections", {.summary = "",
                           .read = [](Q) { return document(J::array()); },
                           .remove = [](std::string) { return done(); }});
  tree.add("counters", {.summary = "", .read = [&mount](Q) { return document(shown(mount)); }});
  tree.add("log", {.summary = "",
                   .read_text = [&w] { return text(w.log); },
                   .write_text =
                       [&w](std::string text) {
                         w.log += text + ";";
                         return done();
                       }});
  tree.add("big", {.summary = "", .read_text = [&w] { return big_text(w); }});
  tree.add("slow", {.summary = "", .read_text = [&w] { return slow_text(w); }});
  tree.add("release", {.summary = "", .write_text = [&w](std::string) {
                         w.gate.cancel();
                         return done();
                       }});
  tree.add("broken", {.summary = "", .read_text = [] { return breaks(); }});
  tree.add("unavailable", {.summary = "", .read_text = [] { return stops(); }});
}

int run(const std::string& path, const std::set<std::string>& how) {
  asio::io_context loop;
  World world{loop};
  state::Tree tree;
  proc::Options options{.path = path, .allow_other = true};
  const bool handed_over = how.contains("handed-over");
  if (handed_over) options.fuse_fd = proc::mount_tree(path, true);
  if (how.contains("small-limits"))
    options.limits = {.handles = 8, .snapshot_bytes = 7U << 20, .running = 4};
  proc::Mount mount{loop, tree, std::move(options)};
  furnish(tree, world, mount);
  mount.start();

  asio::signal_set signals{loop, SIGTERM, SIGINT};
  signals.async_wait([&](const asio::error_code&, int) {
    mount.stop();
    if (handed_over) proc::unmount_trees(path);
    world.gate.cancel();
  });
  std::cout << "ready" << std::endl;
  loop.run();
  std::cout << "stopped" << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argv[1], {argv + 2, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << error.what() << std::endl;
    return 1;
  }
}
