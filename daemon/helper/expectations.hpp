// Expectations: connections that somebody was told to make, and that may come in for it.
//
//   add() ──▶ waits ──▶ fulfilled │ expired │ replaced │ its master has gone │ its helper was switched off
//
// Each belongs to its master, the connection in which it was announced, and dies with it (K-14). It
// names one protocol, one destination, and one source address unless anybody may come; it serves
// one connection, for a minute, or as long as its protocol needs to ring (K-04). Nobody else gets
// an outside endpoint on which one waits. What became of the last ones is kept to be shown (H6),
// and so is what was refused.

#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "daemon/base/hash_index.hpp"
#include "daemon/base/timer_wheel.hpp"
#include "daemon/helper/helper.hpp"
#include "daemon/nat/mappings.hpp"

namespace masqgate::helper {

enum class Outcome : std::uint8_t {
  waiting,
  fulfilled,
  expired,
  replaced,
  master_gone,
  switched_off,
  refused,
};
std::string_view name(Outcome outcome);

// The beginning of a message.
struct Evidence {
  static constexpr std::size_t kMost = 96;
  std::array<std::byte, kMost> bytes{};
  std::uint8_t size = 0;

  Evidence() = default;
  explicit Evidence(wire::Bytes message);
  wire::Bytes view() const { return wire::Bytes{bytes}.first(size); }
};

struct Expectation {
  const Helper* helper = nullptr;
  const Helper* child = nullptr;  // looks at the connection that comes
  std::uint16_t session = 0;      // of the master
  Tuple master;                   // its original tuple
  bool announced_by_client = false;

  net::Protocol protocol = net::Protocol::tcp;
  bool from_anybody = false;
  net::IpAddress from;              // unless anybody
  net::Port from_port = 0;          // 0: any
  net::Endpoint outside;            // where the peer sends to; ESP: port 0, for any index
  net::Endpoint inside;             // who gets it; equals outside where nothing is translated
  net::IpAddress appears_as;        // the peer's address as who gets it sees it
  std::uint16_t mapping_flags = 0;  // of the master, where it stands behind the same endpoint
  std::uint32_t mark = 0;

  Time made{};
  Time until{};
  Evidence evidence;

  // As the connection would begin: port 0 where any may come.
  Tuple tuple() const {
    return {from_anybody ? net::IpAddress::v4(0) : from, outside.address, from_port, outside.port,
            protocol};
  }
};

// One that is over, or never was.
struct PastExpectation {
  Expectation expectation;
  Outcome outcome = Outcome::expired;
  Refusal refusal{};  // outcome refused
  Tuple connection;   // outcome fulfilled
  Time when{};
};

class Expectations final : public nat::Reserved {
 public:
  static constexpr std::size_t kMost = 1024;     // all helpers together
  static constexpr std::size_t kMostPast = 256;  // remembered

  Expectations(HashKey key, Time now);

  std::size_t size() const { return index_.size(); }
  // Its number, until remove(); empty if the table is full.
  std::optional<std::uint16_t> add(const Expectation& expectation);
  const Expectation& at(std::uint16_t number) const { return entries_[number]; }
  // The one that this new connection would fulfil.
  std::optional<std::uint16_t> find(const Tuple& tuple) const;
  void remove(std::uint16_t number, Outcome outcome, Time now, const Tuple& connection = {});
  // The same again takes no second place.
  void note_refusal(const Expectation& about, Refusal why, Time now);
  void refresh(std::uint16_t number, Time until);

  // Calls expired(number) for each that is due; it must remove it.
  template <typename Expired>
  void expire(Time now, Expired&& expired) {
    wheel_.advance(now, kMost,
                   [&](std::uint32_t number) { expired(static_cast<std::uint16_t>(number)); });
  }

  bool is_reserved(net::Protocol protocol, net::Endpoint outside) const noexcept override;
  std::optional<net::Endpoint> promised_to(net::Protocol protocol,
                                           net::Endpoint inside) const noexcept override;

  std::vector<Expectation> list() const;
  const std::deque<PastExpectation>& past() const { return past_; }

 private:
  static net::Endpoint destination_of(const Tuple& tuple);
  std::uint32_t hash(net::Protocol protocol, net::Endpoint outside) const;
  void remember(PastExpectation past);

  HashKey key_;
  HashIndex index_;   // by protocol and outside endpoint
  HashIndex inside_;  // … and inside endpoint, where the two differ
  TimerWheel wheel_;
  std::vector<Expectation> entries_;
  std::vector<std::uint16_t> free_;
  std::deque<PastExpectation> past_;
};

}  // namespace masqgate::helper
