#include "daemon/control/divert_events.hpp"

#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include "daemon/base/log.hpp"
#include "daemon/control/overflows.hpp"

namespace masqgate::control {
namespace {

using divert::Desk;
using state::Json;

constexpr std::chrono::milliseconds kDivertNewsEvery{200};

struct News {
  std::vector<divert::Event> events;
  std::uint64_t lost = 0;  // events, ever
  std::vector<Overflows::Sample> samples;
  Time now{};
};

News take_news(path::Shard& shard) {
  Desk& desk = shard.diverting().desk();
  News news{desk.take_events(), desk.events_lost(), {}, BootClock::now()};
  for (const Desk::Port& port : desk.ports()) {
    news.samples.push_back({port.number,
                            divert::kNoMember,
                            {},
                            {},
                            port.counters.full_dropped + port.counters.full_passed});
    for (const divert::Member member : port.members) {
      const divert::Listener& one = desk.listener(member);
      news.samples.push_back({port.number, member, one.peer, one.name, one.counters.lost});
    }
  }
  return news;
}

Json program(std::uint16_t port, const divert::Peer& peer, const std::string& name) {
  return {{"port", port}, {"pid", peer.process}, {"uid", peer.user}, {"name", name}};
}

void tell(state::Events& events, const divert::Event& event) {
  const std::string port = std::to_string(event.port), pid = std::to_string(event.peer.process);
  const std::string uid = std::to_string(event.peer.user), why{event.why};
  Json data = program(event.port, event.peer, event.name);
  switch (event.kind) {
    case divert::Event::Kind::attached:
      events.publish("divert.attached", data);
      return log::info("a program listens to diverted packets",
                       {{"PORT", port}, {"PID", pid}, {"UID", uid}, {"NAME", event.name}});
    case divert::Event::Kind::drained:
      events.publish("divert.drained", data);
      return log::info("a program for diverted packets has left",
                       {{"PORT", port}, {"PID", pid}, {"NAME", event.name}});
    case divert::Event::Kind::died:
      data["packets"] = event.packets;
      events.publish("divert.died", data);
      return log::notice("a program for diverted packets is gone",
                         {{"PORT", port},
                          {"PID", pid},
                          {"NAME", event.name},
                          {"PACKETS", std::to_string(event.packets)}});
    case divert::Event::Kind::closed:
      data["why"] = why;
      events.publish("divert.closed", data);
      return log::notice("a program for diverted packets was sent away: " + why,
                         {{"PORT", port}, {"PID", pid}, {"UID", uid}, {"NAME", event.name}});
  }
}

void tell(state::Events& events, const Overflows::News& news) {
  const bool is_port = news.who.member == divert::kNoMember;
  Json data = is_port ? Json{{"port", news.who.port}}
                      : program(news.who.port, news.who.peer, news.who.name);
  data["packets"] = news.packets;
  data["lasts_s"] = std::chrono::duration<double>(news.lasts).count();
  events.publish(news.ended ? "divert.overflow_end" : "divert.overflow", data);
  const char* sentence = news.ended ? "diverted packets find room again"
                         : is_port  ? "too many diverted packets wait for a program"
                                    : "copies of packets find no room at a program";
  log::notice(sentence,
              {{"PORT", std::to_string(news.who.port)}, {"PACKETS", std::to_string(news.packets)}});
}

}  // namespace

void declare_divert_events(state::Events& events) {
  events.declare("divert.attached", "A program listens to a port.");
  events.declare("divert.drained", "A program that was drained has left.");
  events.declare("divert.died", "A program has left with what it had.");
  events.declare("divert.closed", "A program was sent away, and why.");
  events.declare("divert.overflow", "A port, or a program that gets copies, finds no room.");
  events.declare("divert.overflow_end", "It finds room again.");
  events.declare("divert.left_out", "More happened at once than could be told.");
}

asio::awaitable<void> log_divert(Router& router) {
  asio::steady_timer timer{co_await asio::this_coro::executor};
  Overflows overflows;
  std::uint64_t lost = 0;
  for (;;) {
    timer.expires_after(kDivertNewsEvery);
    co_await timer.async_wait(asio::use_awaitable);
    const News news = co_await router.shard().ask(take_news);
    state::Events& events = *router.events();
    if (news.lost != lost) events.publish("divert.left_out", Json{{"events", news.lost - lost}});
    lost = news.lost;
    for (const divert::Event& event : news.events) tell(events, event);
    for (const Overflows::News& one : overflows.step(news.samples, news.now)) tell(events, one);
  }
}

}  // namespace masqgate::control
