// Rules, chains, and the immutable Ruleset that judges packets.
//
// Six chains are built in and belong to a hook of the corridor; they end in their policy. Others
// are jumped to, and return to where they came from. The first rule that matches and decides,
// decides. Every rule that matched on the way, and a policy that decided, leaves its counter in the
// packet's trail; the corridor counts.
//
//   prerouting ─▶ route ─┬─▶ forward ─▶ postrouting
//                        └─▶ input         ▲       └─▶ leaving, the source translated
//             from the host side: output ──┘
//
// A Ruleset allocates only while it is built. It never changes: new rules are a new Ruleset.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "daemon/firewall/action.hpp"
#include "daemon/firewall/match.hpp"
#include "daemon/firewall/rule_finder.hpp"

namespace masqgate::firewall {

struct Decision {
  enum class Kind : std::uint8_t { accept, drop, reject, mirror, divert, tee };
  Kind kind = Kind::accept;
  RejectWith with{};                     // of a reject
  bool by_policy = false;                // no rule decided
  const divert::Terms* terms = nullptr;  // of divert and tee, valid as long as the ruleset
  // The same fate; whether a rule or a policy decided it does not matter.
  constexpr bool operator==(const Decision& other) const {
    return kind == other.kind && with == other.with && terms == other.terms;
  }
};

using CounterIndex = std::uint16_t;

struct Rule {
  std::string id;  // unique in its chain, kept when rules around it change
  std::string comment;
  std::vector<Match> matches;  // all must hold; none: always
  Action action;
  // Of all that the rule says, of its id and of its chain's name: rules of two rulesets with the
  // same one are the same, and keep their counters and what they count. 0: like no other.
  std::uint64_t fingerprint = 0;
  CounterIndex counter = 0;  // given by Ruleset::build
  std::uint32_t number = 0;  // of chain and id, the same in every ruleset; given by Ruleset::build
};

enum class Policy : std::uint8_t { accept, drop };

struct Chain {
  std::string name;  // a name of kHookNames makes it that hook's chain
  Policy policy = Policy::accept;
  std::vector<Rule> rules;
  std::uint64_t fingerprint = 0;    // of the policy, as of a rule
  CounterIndex policy_counter = 0;  // given by Ruleset::build
};

// Jumps inside jumps; deeper nests are refused.
inline constexpr std::size_t kMaxJumps = 16;
// Counters are 16 bits wide; a rule has one, and so has a policy.
inline constexpr std::size_t kMaxRules = 65000;

// What the counter of a chain's policy is called where rules have their id.
inline constexpr std::string_view kPolicyName = "policy";

// Why chains make no Ruleset, and where.
struct BuildError {
  std::string sentence;
  std::size_t chain = 0;
  std::optional<std::size_t> rule{};
  std::optional<std::size_t> match{};  // of that rule; otherwise its action is meant
};

// What chains have said of a connection's first packet so far, as far as the connection shows it
// (hindsight.hpp).
struct Hindsight {
  bool refused = false;
  CounterIndex by = 0;          // the rule or policy that refuses
  std::size_t asked = 0;        // rules: what the answer has cost
  bool marks_are_known = true;  // no rule has perhaps changed them
};

class Ruleset {
 public:
  Ruleset() = default;  // accepts everything, counts nothing
  // Chain names and rule ids must be unique; the words of documents see to that.
  // linear: asks rule by rule, which gives the same answers (tests and benchmarks compare).
  enum class Search : std::uint8_t { indexed, linear };
  static std::variant<Ruleset, BuildError> build(std::vector<Chain> chains,
                                                 Search search = Search::indexed);

  // Judges a packet and adds to its trail. A hook without rules whose policy is accept costs one
  // test, and counts nothing.
  Decision evaluate(Hook hook, Packet& packet, Memory& memory) const noexcept {
    const ChainIndex chain = hooks_[number(hook)];
    if (chain == kNone) return {};
    return judge(chain, packet, memory);
  }

  // The same for a packet that is gone: packet has what its connection shows, and no frame. Counts
  // nothing, logs nothing, uses up nothing.
  void reconsider(Hook hook, Packet& packet, Memory& memory, Hindsight& so_far) const noexcept;

  bool is_empty(Hook hook) const noexcept { return hooks_[number(hook)] == kNone; }
  // Whether the answers change with the time of day.
  bool asks_for_time() const noexcept { return asks_for_time_; }
  // When the answers change next, because an element of a set ends; NamedSet::kNever if none does.
  Time next_end(Time now) const noexcept;

  std::size_t counters() const noexcept { return names_.size(); }
  struct CounterName {
    std::string_view chain;
    std::string_view rule;  // its id, or kPolicyName
  };
  CounterName counter(CounterIndex index) const;  // index < counters()

  // The rule with this number, and its place in its chain; null if there is none.
  struct Numbered {
    const Rule* rule = nullptr;
    std::size_t position = 0;
  };
  Numbered find(std::uint32_t number) const noexcept;
  // Its id; empty if there is none.
  std::string_view name_of(std::uint32_t rule) const noexcept;

  // By counter: the fingerprints of rules and policies.
  std::vector<std::uint64_t> fingerprints() const;

  // What the matches and actions that count need to remember; the place is their CellIndex.
  struct CellWish {
    CellKind kind = CellKind::bucket;
    std::uint64_t fingerprint = 0;
  };
  const std::vector<CellWish>& cells() const noexcept { return cells_; }

  const std::vector<Chain>& chains() const noexcept { return chains_; }
  // Whether a packet may meet a rule there that says divert or tee.
  bool diverts(Hook hook) const noexcept { return diverting_.contains(hook); }
  // What its rules say about diverted packets.
  std::vector<divert::Terms> divert_terms() const;

 private:
  static constexpr ChainIndex kNone = 0xffff;
  static constexpr std::size_t kPolicy = ~std::size_t{0};

  Decision judge(ChainIndex chain, Packet& packet, Memory& memory) const noexcept;
  // One walk for packets and for connections; a Way says how rules are asked and carried out.
  template <typename Way>
  std::optional<Decision> walk(ChainIndex chain, Packet& packet, Way& way) const noexcept;
  template <typename Way>
  std::size_t first_rule(ChainIndex chain, Packet& packet, Way& way,
                         std::optional<Decision>& decided) const noexcept;
  void note_match(const Match& match);
  void number_counters();
  void number_cells();

  std::vector<Chain> chains_;
  std::vector<RuleFinder> finders_;  // of the chains
  std::array<ChainIndex, kHookNames.size()> hooks_{kNone, kNone, kNone, kNone, kNone, kNone};
  std::vector<std::pair<ChainIndex, std::size_t>> names_;  // counter -> chain, rule or kPolicy
  std::vector<std::pair<std::uint32_t, CounterIndex>> numbers_;  // of rules, ascending
  std::vector<CellWish> cells_;
  std::vector<std::shared_ptr<const NamedSet>> timed_sets_;  // of which rules ask, and which change
  bool asks_for_time_ = false;
  HookSet diverting_;
};

}  // namespace masqgate::firewall
