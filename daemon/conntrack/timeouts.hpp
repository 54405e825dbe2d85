// How long an idle connection is remembered, per protocol and state (history 2.2, 2.9), and how
// strictly TCP is followed; for all connections, and for those of rules that say otherwise.

#pragma once

#include <array>
#include <chrono>
#include <vector>

#include "daemon/base/clock.hpp"
#include "daemon/conntrack/connection.hpp"

namespace masqgate::conntrack {

// Which transition tables and timeouts are in force.
enum class Profile : std::uint8_t { linux_24, classic_22, rfc };

struct Timeouts {
  Profile profile = Profile::rfc;
  // By TcpState: none, established, syn_sent, syn_recv, fin_wait, time_wait, close, close_wait,
  // last_ack, listen.
  std::array<Duration, kTcpStates> tcp{};
  Duration udp{};         // one direction seen
  Duration udp_stream{};  // both directions seen
  Duration icmp{};
  Duration icmpv6{};
  Duration generic{};  // every other protocol
  // After a RST that its receiver may yet refuse (RFC 7857 2.2, X-03); not in classic-2.2.
  Duration tcp_reset = std::chrono::seconds{240};
  bool tcp_loose = true;     // a connection may be joined in its middle
  bool tcp_liberal = false;  // of what is outside the window only RST is refused

  static constexpr Timeouts of(Profile profile) {
    using std::chrono::seconds;
    if (profile == Profile::classic_22)  // history 2.2
      return {profile,
              {seconds{1800}, seconds{900}, seconds{120}, seconds{60}, seconds{120}, seconds{120},
               seconds{10}, seconds{60}, seconds{30}, seconds{120}},
              seconds{300},
              seconds{300},
              seconds{60},
              seconds{60},
              seconds{600}};
    if (profile ==
        Profile::rfc)  // RFC 5382 REQ-5 (T-07, T-08), 4787 REQ-5 (U-06), 5508 REQ-2 (I-03)
      return {profile,
              {seconds{240}, seconds{7440}, seconds{240}, seconds{240}, seconds{240}, seconds{240},
               seconds{10}, seconds{240}, seconds{240}, seconds{240}},
              seconds{300},
              seconds{300},
              seconds{60},
              seconds{60},
              seconds{600}};
    return {profile,  // history 2.9
            {seconds{1800}, seconds{432000}, seconds{120}, seconds{60}, seconds{120}, seconds{120},
             seconds{10}, seconds{60}, seconds{30}, seconds{120}},
            seconds{30},
            seconds{180},
            seconds{30},
            seconds{30},
            seconds{600}};
  }
};

// What rules say otherwise, by Connection::timeout_set. A number that no rule has (any more) means
// what holds for all.
struct RuleTimeouts {
  std::array<std::uint8_t, 256> places{};  // in sets, from 1 on
  std::vector<Timeouts> sets;
};

// All timeouts as one: which ones a connection has. Refers to what it was made from.
class TimeoutsInForce {
 public:
  TimeoutsInForce(const Timeouts& all) : all_{&all} {}  // NOLINT: where no rules are
  TimeoutsInForce(const Timeouts& all, const RuleTimeouts& of_rules)
      : all_{&all}, of_rules_{&of_rules} {}

  const Timeouts& all() const { return *all_; }
  const Timeouts& of(const Connection& connection) const {
    if (connection.timeout_set == 0 || of_rules_ == nullptr) return *all_;
    const std::size_t place = of_rules_->places[connection.timeout_set];
    return place == 0 ? *all_ : of_rules_->sets[place - 1];
  }

 private:
  const Timeouts* all_;
  const RuleTimeouts* of_rules_ = nullptr;
};

}  // namespace masqgate::conntrack
