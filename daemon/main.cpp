// masqgated: reads the configuration, builds the house, opens the doors, and leaves as it came.

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "daemon/base/log.hpp"
#include "daemon/control/config.hpp"
#include "daemon/control/divert_events.hpp"
#include "daemon/control/incident_log.hpp"
#include "daemon/control/limit_log.hpp"
#include "daemon/control/publish.hpp"
#include "daemon/control/router.hpp"
#include "daemon/control/rule_log.hpp"
#include "daemon/control/service_notify.hpp"
#include "daemon/proc/mount.hpp"
#include "web/server.hpp"

namespace {

using namespace masqgate;

struct Arguments {
  std::string config = "/etc/masqgate/masqgate.json";
  bool check = false;
  log::Level level = log::Level::info;
};

std::string place_of(const state::Error& error) {
  return error.pointer().empty() ? "" : " at " + error.pointer();
}

// Everything that runs, in the order in which it is built; taken apart backwards.
class Daemon {
 public:
  Daemon(control::Config config, std::string config_path)
      : config_path_{std::move(config_path)},
        passed_{control::take_passed_fds()},
        notify_{control::ServiceNotify::from_environment()},
        router_{context_, std::move(config), [this] { ready(); }} {
    control::publish(tree_, router_, MASQGATE_VERSION);
    asio::co_spawn(context_, control::log_limits(router_), asio::detached);
    open_doors();
    wait_for_signals();
    keep_alive();
    asio::co_spawn(context_, control::log_incidents(router_), asio::detached);
    asio::co_spawn(context_, control::log_rules(router_), asio::detached);
    asio::co_spawn(context_, control::log_divert(router_), asio::detached);
  }

  int run() {
    context_.run();
    return 0;
  }

 private:
  void open_doors() {
    const control::Config& config = router_.config();
    web::Options options;
    options.socket = config.api.socket;
    if (config.api.tcp) options.tcp = config.api.tcp->text();
    server_ = std::make_unique<web::Server>(context_, tree_, std::move(options));
    server_->start();
    UniqueFd mounted = mounted_tree();
    if (!config.tree) return;
    proc::Options mount;
    mount.path = *config.tree;
    mount.allow_other = geteuid() == 0;
    mount.fuse_fd = std::move(mounted);
    mount_ = std::make_unique<proc::Mount>(context_, tree_, std::move(mount));
    mount_->start();
  }

  // The systemd unit has mounted the tree already, in the runtime directory. If the configuration
  // wants it elsewhere or nowhere, that one must die: whoever looks into it would wait for ever.
  UniqueFd mounted_tree() {
    UniqueFd fuse = control::take(passed_, "fuse");
    const char* directory = std::getenv("RUNTIME_DIRECTORY");
    const auto& tree = router_.config().tree;
    if (tree && directory != nullptr && *tree == std::string{directory} + "/tree") return fuse;
    if (fuse) notify_.forget("fuse");
    return UniqueFd{};
  }

  void ready() {
    log::notice("masqgate is ready", {{"PORTS", std::to_string(router_.config().ports.size())}});
    notify_.ready("forwarding between " + std::to_string(router_.config().ports.size()) + " ports");
  }

  // SIGHUP reads the configuration file again; TERM and INT end.
  void wait_for_signals() {
    signals_.async_wait([this](const asio::error_code& problem, int signal) {
      if (problem) return;
      if (signal != SIGHUP) return stop();
      reload();
      wait_for_signals();
    });
  }

  void reload() {
    notify_.reloading();
    try {
      const firewall::Sets& sets = router_.config().sets;
      router_.apply(control::load(config_path_, control::default_runtime(), sets).config);
      log::notice("configuration reloaded", {{"FILE", config_path_}});
    } catch (const state::Error& error) {
      log::error("configuration refused, the old one stays: " + std::string{error.what()} +
                 place_of(error));
    }
    notify_.ready("reloaded");
  }

  void keep_alive() {
    const auto interval = control::watchdog_interval();
    if (!interval) return;
    watchdog_.expires_after(*interval);
    watchdog_.async_wait([this](const asio::error_code& problem) {
      if (problem) return;
      notify_.alive();
      keep_alive();
    });
  }

  void stop() {
    log::notice("stopping");
    notify_.stopping();
    if (mount_) mount_->stop();
    server_->stop();
    for (const std::string& sentence : router_.stop()) log::warning(sentence);
    watchdog_.cancel();
    context_.stop();
  }

  std::string config_path_;
  std::vector<control::PassedFd> passed_;
  control::ServiceNotify notify_;
  asio::io_context context_{1};
  asio::signal_set signals_{context_, SIGTERM, SIGINT, SIGHUP};
  asio::steady_timer watchdog_{context_};
  control::Router router_;
  state::Tree tree_;
  std::unique_ptr<web::Server> server_;
  std::unique_ptr<proc::Mount> mount_;
};

// Whoever starts a service may have blocked signals, and a blocked SIGTERM never stops it.
void unblock_signals() {
  sigset_t none;
  ::sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

int run(const Arguments& arguments) {
  log::set_level(arguments.level);
  unblock_signals();
  control::ConfigFile file = control::load(arguments.config);
  if (arguments.check) {
    std::printf("%s is valid\n", arguments.config.c_str());
    return 0;
  }
  std::filesystem::create_directories(file.config.runtime);
  return Daemon{std::move(file.config), arguments.config}.run();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"masqgated - the masqgate router"};
  Arguments arguments;
  app.add_option("--config", arguments.config, "configuration file")->capture_default_str();
  app.add_flag("--check", arguments.check, "check the configuration file and end");
  const std::map<std::string, log::Level> levels{{"error", log::Level::error},
                                                 {"warning", log::Level::warning},
                                                 {"notice", log::Level::notice},
                                                 {"info", log::Level::info},
                                                 {"debug", log::Level::debug}};
  app.add_option("--log-level", arguments.level, "error, warning, notice, info or debug")
      ->transform(CLI::CheckedTransformer(levels));
  app.set_version_flag("--version", MASQGATE_VERSION);
  CLI11_PARSE(app, argc, argv);
  try {
    return run(arguments);
  } catch (const state::Error& error) {
    log::error(std::string{error.what()} + place_of(error));
  } catch (const std::exception& error) {
    log::error(error.what());
  }
  return 1;
}
