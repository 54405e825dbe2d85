// What a rule says about the packets that it diverts, and where in the rules such a packet stands.
//
// The terms travel with each packet, so that what was promised to it holds although the rules have
// changed since.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "daemon/net/endpoint.hpp"

namespace masqgate::divert {

// What becomes of a packet when …
enum class Nobody : std::uint8_t { drop, pass, reject, hold };  // nobody listens
enum class Full : std::uint8_t { drop, drop_oldest, pass };     // too many wait already
enum class Late : std::uint8_t { drop, pass };                  // no verdict came in time
enum class Death : std::uint8_t { redeliver, drop, pass };      // its listener is gone

// Which addresses a program is shown.
enum class View : std::uint8_t {
  chain,   // those that the rules of its chain see
  before,  // as the packet came: no destination translated
  after,   // as it leaves: everything translated
};

struct Terms {
  std::uint16_t port = 0;
  Nobody nobody = Nobody::drop;
  Full full = Full::drop;
  Late late = Late::drop;
  Death death = Death::redeliver;
  View view = View::chain;
  bool allow_own = false;            // also what a listener of the port has injected
  bool defragment = false;           // a datagram in fragments is handed over as a whole
  std::uint32_t deadline_ms = 2000;  // for a verdict
  std::uint32_t grace_ms = 2000;  // for a new listener, after death or where nobody is told to hold
  std::uint32_t first = 0;        // packets of each connection; 0: all
  bool operator==(const Terms&) const = default;
};

// Jumps inside jumps, and the rule itself.
inline constexpr std::size_t kDeepest = 17;

// The way from a rule up to its hook's chain: the rule, then those that jumped. Rules are named by
// numbers that outlive a reload; the position serves where it still holds that rule, and where the
// rule is gone.
struct Place {
  struct Step {
    std::uint32_t rule;
    std::uint16_t position;
  };
  std::array<Step, kDeepest> steps;  // `depth` of them, and the first one always; others are unset
  std::uint8_t depth = 0;
  bool at_rule = false;  // ask the rule again, rather than those behind it

  // Not all steps: there is one as a rule, and each diverted packet's place is made and copied.
  Place() { steps[0] = {0, 0}; }
  Place(const Place& other) { *this = other; }
  Place& operator=(const Place& other) {
    depth = other.depth;
    at_rule = other.at_rule;
    steps[0] = other.steps[0];
    for (std::size_t i = 1; i < depth; ++i) steps[i] = other.steps[i];
    return *this;
  }
  const Step& rule() const { return steps[0]; }
  void add(Step step) {
    if (depth < kDeepest) steps[depth++] = step;
  }
};

// A packet's way through chains of rules, begun anew or in the middle.
struct RuleWalk {
  const Place* from = nullptr;  // where it goes on
  std::uint8_t left = 0;        // steps of it that are still to be gone down
  bool rule_gone = false;       // … and one of them was not there any more
  Place stopped;                // where a rule took the packet out
  void begin(const Place& place) {
    from = &place;
    left = place.depth;
  }
};

// What the corridor knows about a diverted packet that the packet itself does not say.
struct Facts {
  std::uint64_t flow = 0;      // the same for both directions of a conversation
  std::uint32_t tracking = 0;  // as format.hpp counts
  std::uint8_t hook = 0;       // the same
  std::uint8_t direction = 0;  // the same
  bool first_of_flow = false;
  View view = View::chain;
  // The destination that the rules see, where the program is shown the one before translation.
  std::optional<net::Endpoint> inside{};
};

}  // namespace masqgate::divert
