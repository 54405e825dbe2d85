#include "daemon/control/limit_log.hpp"

#include <algorithm>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include "daemon/base/log.hpp"

namespace masqgate::control {
namespace {

using state::Json;
using state::Query;

struct Subject {
  DropReason reason;
  const char* what;
  bool names_hosts = false;
};
constexpr std::array<Subject, 5> kSubjects{
    {{DropReason::table_full, "table full: new connections refused"},
     {DropReason::no_free_ports, "no free ports: new connections refused"},
     {DropReason::host_sessions, "hosts over their quota of sessions: new ones refused", true},
     {DropReason::host_ports, "hosts over their quota of ports: new connections refused", true},
     {DropReason::host_rate, "hosts begin connections faster than they may: refused", true}}};

std::string names(const Refusals& refusals) {
  std::string out;
  for (const net::IpAddress address : refusals.offenders)
    if (!address.is_unspecified()) out += (out.empty() ? "; the last: " : ", ") + address.text();
  return out;
}

constexpr std::uint32_t kRecords = 4096;  // looked at between two bursts of packets
constexpr std::size_t kTop = 50;

struct HostSlice {
  std::vector<nat::Host> hosts;
  bool last = false;
};

HostSlice copy_hosts(path::Shard& shard, std::uint32_t from) {
  const auto all = shard.hosts().records();
  const std::size_t end = std::min<std::size_t>(all.size(), from + std::size_t{kRecords});
  HostSlice slice;
  for (std::size_t i = from; i < end; ++i)
    if (all[i].sessions != 0 || all[i].ports != 0) slice.hosts.push_back(all[i]);
  slice.last = end == all.size();
  return slice;
}

bool has_more(const nat::Host& a, const nat::Host& b) {
  return std::max(a.sessions, a.ports) > std::max(b.sessions, b.ports);
}

Json host_document(const nat::Host& host) {
  const bool is_shared = host.address.is_unspecified();
  return {{"address", is_shared ? "others" : host.address.text()},
          {"sessions", host.sessions},
          {"ports", host.ports},
          {"refused", host.refused}};
}

asio::awaitable<Json> hosts(Router& router) {
  std::vector<nat::Host> top;
  std::size_t count = 0;
  bool last = false;
  for (std::uint32_t from = 0; !last; from += kRecords) {
    const auto question = [from](path::Shard& shard) { return copy_hosts(shard, from); };
    const HostSlice slice = co_await router.shard().ask(question);
    top.insert(top.end(), slice.hosts.begin(), slice.hosts.end());
    count += slice.hosts.size();
    std::ranges::sort(top, has_more);
    top.resize(std::min(top.size(), kTop));
    last = slice.last;
  }
  Json list = Json::array();
  for (const nat::Host& host : top) list.push_back(host_document(host));
  co_return Json{{"hosts", std::move(list)}, {"count", count}};
}

}  // namespace

std::vector<std::string> LimitLog::news(const Refusals& now, Time time) {
  std::vector<std::string> sentences;
  const auto look = [&](Line& line, std::uint64_t count, const std::string& what) {
    if (count == line.told || time < line.next) return;
    sentences.push_back(what + " (" + std::to_string(count - line.told) + " since the last word)");
    line = {count, time + kPause};
  };
  for (std::size_t i = 0; i < kSubjects.size(); ++i)
    look(lines_[i], now.drops[static_cast<std::size_t>(kSubjects[i].reason)],
         kSubjects[i].what + (kSubjects[i].names_hosts ? names(now) : ""));
  look(lines_.back(), now.half_open, "half open connections pushed out by newer ones");
  return sentences;
}

asio::awaitable<void> log_limits(Router& router) {
  const auto question = [](path::Shard& shard) {
    return Refusals{shard.counters().drops, shard.half_open().pushed_out(),
                    shard.hosts().offenders()};
  };
  asio::steady_timer timer{co_await asio::this_coro::executor};
  LimitLog log;
  for (;;) {
    timer.expires_after(std::chrono::seconds{2});
    co_await timer.async_wait(asio::use_awaitable);
    const Refusals now = co_await router.shard().ask(question);
    for (const std::string& sentence : log.news(now, BootClock::now())) log::warning(sentence);
  }
}

void publish_limits(state::Tree& tree, Router& router) {
  tree.add("nat/hosts", {.summary = "The hosts inside that hold most sessions or outside ports.",
                         .read = [&router](Query) { return hosts(router); }});
}

}  // namespace masqgate::control
