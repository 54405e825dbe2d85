#include "daemon/control/rule_log.hpp"

#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include "daemon/base/log.hpp"
#include "daemon/control/packet_lines.hpp"

namespace masqgate::control {
namespace {

using firewall::Log;
using firewall::LogNote;

constexpr std::chrono::milliseconds kEvery{200};

struct Taken {
  std::vector<LogNote> notes;
  std::uint64_t left_out = 0;
  std::uint32_t generation = 0;
  std::shared_ptr<const firewall::Ruleset> ruleset;
};

Taken take(path::Shard& shard) {
  Taken taken;
  firewall::LogRing& ring = shard.rule_memory().log;
  taken.notes = ring.take(taken.left_out);
  taken.generation = ring.generation();
  taken.ruleset = shard.policy().ruleset;
  return taken;
}

struct Place {
  const Log* log = nullptr;  // none: the rule is not there
  std::string_view chain, rule;
};

Place place_of(const firewall::Ruleset& ruleset, firewall::CounterIndex counter) {
  if (counter >= ruleset.counters()) return {};
  const auto name = ruleset.counter(counter);
  for (const firewall::Chain& chain : ruleset.chains()) {
    if (chain.name != name.chain) continue;
    for (const firewall::Rule& rule : chain.rules)
      if (rule.id == name.rule) return {std::get_if<Log>(&rule.action), name.chain, name.rule};
  }
  return {};
}

// As old rule sets know it: the NIC, where the port has one.
std::string interface_of(const Config& config, PortIndex index) {
  if (index >= config.ports.size()) return {};
  const PortConfig& port = config.ports[index];
  return port.devices.size() == 1 && port.attachment == Attachment::nics ? port.devices.front()
                                                                         : port.name;
}

std::string line(const LogNote& note, const Place& place, const Config& config) {
  const std::string in = interface_of(config, note.in), out = interface_of(config, note.out);
  switch (place.log->format) {
    case Log::Format::iptables:
      return iptables_line(place.log->prefix, note, {in, out});
    case Log::Format::ipchains: {
      // Only what the rule's chain asks for: what leaves has the one by which it does.
      const std::string& interface = out.empty() ? in : out;
      return ipchains_line(place.log->prefix, note, interface.empty() ? "-" : interface,
                           place.rule.substr(0, place.rule.find_first_not_of("0123456789")));
    }
    default:
      return plain_line(place.log->prefix, note, {in, out});
  }
}

// Rules that a note speaks of may have been replaced since.
class Writer {
 public:
  void write(const Taken& taken, const Config& config) {
    if (taken.generation != generation_) {
      before_ = std::exchange(now_, taken.ruleset);
      before_generation_ = std::exchange(generation_, taken.generation);
    }
    std::uint64_t left_out = taken.left_out;
    for (const LogNote& note : taken.notes) {
      const auto* ruleset = note.generation == generation_          ? now_.get()
                            : note.generation == before_generation_ ? before_.get()
                                                                    : nullptr;
      const Place place = ruleset == nullptr ? Place{} : place_of(*ruleset, note.counter);
      if (place.log == nullptr) {
        ++left_out;
        continue;
      }
      log::write(static_cast<log::Level>(place.log->level), line(note, place, config),
                 {{"CHAIN", std::string{place.chain}}, {"RULE", std::string{place.rule}}});
    }
    if (left_out > 0)
      log::notice("lines about packets were left out", {{"LINES", std::to_string(left_out)}});
  }

 private:
  std::shared_ptr<const firewall::Ruleset> now_, before_;
  std::uint32_t generation_ = 0, before_generation_ = 0;
};

}  // namespace

asio::awaitable<void> log_rules(Router& router) {
  asio::steady_timer timer{co_await asio::this_coro::executor};
  Writer writer;
  for (;;) {
    timer.expires_after(kEvery);
    co_await timer.async_wait(asio::use_awaitable);
    const Taken taken = co_await router.shard().ask(take);
    writer.write(taken, router.config());
  }
}

}  // namespace masqgate::control
