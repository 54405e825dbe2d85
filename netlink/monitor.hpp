// Mirrors the kernel's links, addresses, routes, rules and neighbours: one full picture, then each
// change.
//
//                    subscribe, then ask for all lists
//                                  │
//        overrun (ENOBUFS) ┌───────▼───────┐ lists complete: on_reset, values, on_complete
//      ┌──────────────────▶│    listing    ├──────────────────┐
//      │                   └───────▲───────┘                  │
//      │  routes may have vanished │ (routes only)   ┌────────▼───────┐
//      └───────────────────────────┴─────────────────┤   listening    │
//                                                    └────────────────┘
// Events wait in the socket while lists are fetched, so some that the list already shows are heard
// after it. That does no harm but to routes: "A instead of what is there" heard late may displace a
// younger route. When such routes were heard, routes are listed again a little later, until a
// listing meets with none.
// The kernel does not tell that IPv4 routes vanish with a link that goes down or with the last
// address of a link: the routes are listed again. Never blocks; never logs; counts.

#pragma once

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>

#include "netlink/dump.hpp"
#include "netlink/observer.hpp"
#include "netlink/socket.hpp"

namespace masqgate::netlink {

class Monitor {
 public:
  struct Counters {
    std::uint64_t events = 0;
    std::uint64_t overruns = 0;     // events were lost, everything was listed again
    std::uint64_t listings = 0;     // complete lists delivered, routes alone included
    std::uint64_t interrupted = 0;  // lists that changed while they were read
  };

  // Subscribes at once and delivers from the io_context's thread. `observer` must outlive this.
  // Throws std::system_error.
  Monitor(asio::io_context& context, Observer& observer);
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  const Counters& counters() const { return counters_; }
  // In bytes, for machines with very many routes. Small sizes overrun sooner.
  void set_receive_buffer(int bytes) { events_.set_receive_buffer(bytes); }

 private:
  enum class Heard { all, some, lost };
  void start_listing(Observer::Scope scope);
  void wait_for_list();
  void on_list_readable();
  void deliver_list();
  void wait_for_events();
  void on_events_readable();
  Heard receive_events();
  void throw_events_away();
  void on_event(const Event& event, Placement placement);
  void watch_for_vanishing_routes(const Event& event);
  void list_later(std::chrono::milliseconds delay, Observer::Scope scope);

  Observer& observer_;
  Socket events_;
  Dump dump_;
  asio::posix::stream_descriptor events_ready_;
  asio::posix::stream_descriptor dump_ready_;
  asio::steady_timer later_;
  bool listing_ = false;
  bool waiting_ = false;  // for events_ready_
  Observer::Scope scope_ = Observer::Scope::everything;
  std::map<std::uint32_t, bool> up_;  // of each link, by index
  bool list_routes_again_ = false;
  bool hearing_old_events_ = false;  // what waited in the socket while lists were fetched
  bool old_routes_heard_ = false;
  std::chrono::milliseconds doubt_delay_;
  Counters counters_;
  std::shared_ptr<Monitor*> alive_;  // what handlers hold weakly
};

}  // namespace masqgate::netlink
