#include "netlink/monitor.hpp"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "netlink/attributes.hpp"

namespace masqgate::netlink {
namespace {

constexpr int kReceiveBuffer = 8 * 1024 * 1024;  // some 30,000 route events
constexpr unsigned kBurst = 256;                 // datagrams before others get their turn
constexpr unsigned kDrain = 4096;                // datagrams thrown away before listing again
constexpr std::chrono::milliseconds kRetry{1000};
// Between listings while each meets with changing routes.
constexpr std::chrono::milliseconds kFirstDoubt{20};
constexpr std::chrono::milliseconds kLongestDoubt{60'000};

}  // namespace

Monitor::Monitor(asio::io_context& context, Observer& observer)
    : observer_{observer},
      events_{Socket::Wait::no,
              {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
               RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_NEIGH}},
      dump_{Socket::Wait::no},
      events_ready_{context, events_.fd()},
      dump_ready_{context, dump_.fd()},
      later_{context},
      doubt_delay_{kFirstDoubt},
      alive_{std::make_shared<Monitor*>(this)} {
  events_.set_receive_buffer(kReceiveBuffer);
  start_listing(Observer::Scope::everything);
}

// The sockets close their descriptors themselves.
Monitor::~Monitor() {
  events_ready_.release();
  dump_ready_.release();
}

void Monitor::start_listing(Observer::Scope scope) {
  scope_ = scope;
  listing_ = true;
  try {
    if (scope == Observer::Scope::everything) {
      throw_events_away();
      dump_.start(kAllLists);
    } else {
      dump_.start(kRouteLists);
    }
  } catch (const std::system_error& problem) {
    observer_.on_trouble(problem.what());
    list_later(kRetry, Observer::Scope::everything);
    return;
  }
  wait_for_list();
}

// They are older than the lists to come.
void Monitor::throw_events_away() {
  for (unsigned i = 0; i < kDrain && events_.receive().error != EAGAIN;) ++i;
}

void Monitor::wait_for_list() {
  dump_ready_.async_wait(asio::posix::stream_descriptor::wait_read,
                         [alive = std::weak_ptr{alive_}](std::error_code problem) {
                           const auto monitor = alive.lock();
                           if (monitor && !problem) (*monitor)->on_list_readable();
                         });
}

void Monitor::on_list_readable() {
  try {
    if (!dump_.advance()) {
      wait_for_list();
      return;
    }
  } catch (const std::system_error& problem) {
    observer_.on_trouble(problem.what());
    list_later(kRetry, Observer::Scope::everything);
    return;
  }
  deliver_list();
  // Hears at once what waited, to know whether the list is to be trusted.
  on_events_readable();
}

void Monitor::deliver_list() {
  listing_ = false;
  counters_.interrupted = dump_.interrupted();
  if (scope_ == Observer::Scope::everything) up_.clear();
  observer_.on_reset(scope_);
  for (const Message& message : dump_.messages())
    if (const auto event = parse(message)) on_event(*event, Placement::last);
  dump_.clear();
  list_routes_again_ = false;
  hearing_old_events_ = true;
  old_routes_heard_ = false;
  ++counters_.listings;
  observer_.on_complete();
}

void Monitor::list_later(std::chrono::milliseconds delay, Observer::Scope scope) {
  later_.expires_after(delay);
  later_.async_wait([alive = std::weak_ptr{alive_}, scope](std::error_code cancelled) {
    const auto monitor = alive.lock();
    if (!monitor || cancelled) return;
    Monitor& self = **monitor;
    if (scope == Observer::Scope::everything) {
      self.start_listing(scope);
    } else if (!self.listing_) {
      self.list_routes_again_ = true;
      self.on_events_readable();
    }
  });
}

void Monitor::wait_for_events() {
  if (waiting_) return;
  waiting_ = true;
  events_ready_.async_wait(asio::posix::stream_descriptor::wait_read,
                           [alive = std::weak_ptr{alive_}](std::error_code problem) {
                             const auto monitor = alive.lock();
                             if (!monitor || problem) return;
                             (*monitor)->waiting_ = false;
                             if (!(*monitor)->listing_) (*monitor)->on_events_readable();
                           });
}

void Monitor::on_events_readable() {
  const std::uint64_t before = counters_.events;
  const Heard heard = receive_events();
  if (heard == Heard::lost) {
    ++counters_.overruns;
    start_listing(Observer::Scope::everything);
    return;
  }
  if (heard == Heard::all && list_routes_again_) {
    start_listing(Observer::Scope::routes);
    return;
  }
  if (heard == Heard::all && std::exchange(hearing_old_events_, false)) {
    if (old_routes_heard_) list_later(doubt_delay_, Observer::Scope::routes);
    doubt_delay_ = old_routes_heard_ ? std::min(2 * doubt_delay_, kLongestDoubt) : kFirstDoubt;
  }
  if (counters_.events != before) observer_.on_complete();
  wait_for_events();
}

Monitor::Heard Monitor::receive_events() {
  for (unsigned i = 0; i < kBurst; ++i) {
    Socket::Received received = events_.receive();
    if (received.error == EAGAIN) return Heard::all;
    if (received.error == EINTR) continue;
    if (received.error != 0) return Heard::lost;
    for (Bytes message = next_message(received.messages); !message.empty();
         message = next_message(received.messages)) {
      const auto event = parse(message);
      if (!event) continue;
      ++counters_.events;
      old_routes_heard_ |= hearing_old_events_ && std::holds_alternative<Route>(*event);
      on_event(*event, placement(message));
    }
  }
  return Heard::some;
}

void Monitor::on_event(const Event& event, Placement placement) {
  watch_for_vanishing_routes(event);
  if (const auto* link = std::get_if<Link>(&event)) observer_.on_link(*link);
  if (const auto* address = std::get_if<Address>(&event)) observer_.on_address(*address);
  if (const auto* route = std::get_if<Route>(&event))
    list_routes_again_ |= !observer_.on_route(*route, placement);
  if (const auto* rule = std::get_if<Rule>(&event)) observer_.on_rule(*rule);
  if (const auto* neighbour = std::get_if<Neighbour>(&event)) observer_.on_neighbour(*neighbour);
}

void Monitor::watch_for_vanishing_routes(const Event& event) {
  if (const auto* address = std::get_if<Address>(&event))
    list_routes_again_ |= address->deleted && address->address.address.is_v4();
  const auto* link = std::get_if<Link>(&event);
  if (link == nullptr) return;
  const bool up_now = link->up && !link->deleted;
  const auto known = up_.find(link->index);
  if (known != up_.end() && known->second && !up_now) list_routes_again_ = true;
  if (link->deleted)
    up_.erase(link->index);
  else
    up_[link->index] = up_now;
}

}  // namespace masqgate::netlink
