// How a translator behaves: what RFC 4787, 5382 and 5508 leave to choose, and presets.
//
//   preset       mapping    filtering   port                         hairpin   refresh   stray SYN
//   rfc          endpoint   address     kept, else random            external  outbound  unreachable
//   linux        endpoint   connection  kept, shared by peer         off       both      silent
//   classic-2.2  connection connection  61000 to 65095 by a counter  off       both      silent
//   symmetric    connection connection  random                       external  outbound  unreachable
//   open         endpoint   endpoint    kept, else random            external  both      unreachable
//
// rfc is the default: mapping that does not depend on the peer (U-01, T-01) is what programs need to
// find each other; filtering by the peer's address (U-09) is the strictest that RFC 4787 recommends.

#pragma once

#include <cstdint>

namespace masqgate::nat {

// What of a peer counts: nothing, its address, or its address and port.
enum class Scope : std::uint8_t { endpoint, address, connection };

enum class PortChoice : std::uint8_t {
  preserve,    // the inside port if it is free, else as random
  random,      // any of the range (RFC 6056 3.3.2)
  contiguous,  // the range from its first port on
  classic,     // Linux 2.2: one counter for all protocols (history 2.1)
};

enum class Hairpin : std::uint8_t {
  external,  // the peer inside sees the outside endpoint (U-11)
  internal,  // it sees the inside one, and answers past the router if it can
  off,
};

// Whose packets keep a mapping alive (RFC 4787 REQ-6).
enum class Refresh : std::uint8_t {
  outbound,  // those from inside: nobody outside can keep it open
  both,
};

// What becomes of a TCP SYN from outside that nobody waits for (RFC 5382 REQ-4).
enum class UnsolicitedSyn : std::uint8_t {
  silent,
  unreachable,  // its sender is told after six seconds, unless the inside has begun too by then
};

struct Behaviour {
  // For which peers a mapping serves again; the others get another outside endpoint.
  Scope mapping = Scope::endpoint;
  // Which strangers may use a mapping: all, those whose address was spoken to, or none.
  Scope filtering = Scope::address;
  PortChoice ports = PortChoice::preserve;
  bool parity = true;  // an even port stays even, an odd one odd (U-05)
  bool overload =
      false;           // inside endpoints may share an outside one towards different peers (U-03)
  bool paired = true;  // a host has one address of a pool (U-02)
  Hairpin hairpin = Hairpin::external;
  Refresh refresh = Refresh::outbound;
  UnsolicitedSyn unsolicited_syn = UnsolicitedSyn::unreachable;

  friend constexpr bool operator==(const Behaviour&, const Behaviour&) = default;
};

inline constexpr Behaviour kRfc{};
inline constexpr Behaviour kLinux{.filtering = Scope::connection,
                                  .parity = false,
                                  .overload = true,
                                  .hairpin = Hairpin::off,
                                  .refresh = Refresh::both,
                                  .unsolicited_syn = UnsolicitedSyn::silent};
inline constexpr Behaviour kClassic22{.mapping = Scope::connection,
                                      .filtering = Scope::connection,
                                      .ports = PortChoice::classic,
                                      .parity = false,
                                      .overload = true,
                                      .hairpin = Hairpin::off,
                                      .refresh = Refresh::both,
                                      .unsolicited_syn = UnsolicitedSyn::silent};
inline constexpr Behaviour kSymmetric{.mapping = Scope::connection,
                                      .filtering = Scope::connection,
                                      .ports = PortChoice::random,
                                      .parity = false};
inline constexpr Behaviour kOpen{.filtering = Scope::endpoint, .refresh = Refresh::both};

// ip_masq_udp_dloose (history 2.5): the inside socket keeps one outside port whomever it speaks to,
// and anybody may answer there. So nobody else may have that port: who should get the answer?
constexpr Behaviour loosened(Behaviour behaviour) {
  behaviour.mapping = behaviour.filtering = Scope::endpoint;
  behaviour.overload = false;
  return behaviour;
}

}  // namespace masqgate::nat
