#include "daemon/firewall/ruleset.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "daemon/firewall/hindsight.hpp"

namespace masqgate::firewall {
namespace {

std::optional<Hook> hook_of(std::string_view chain_name) {
  const auto found = std::ranges::find(kHookNames, chain_name);
  if (found == kHookNames.end()) return std::nullopt;
  return static_cast<Hook>(found - kHookNames.begin());
}

// Follows all jumps once, before any packet does.
class Inspection {
 public:
  explicit Inspection(const std::vector<Chain>& chains)
      : chains_{chains}, heights_(chains.size(), kUnknown), reached_(chains.size()) {}

  std::optional<BuildError> run() {
    std::size_t rules = 0;
    for (std::size_t c = 0; c < chains_.size(); ++c) {
      rules += chains_[c].rules.size();
      if (rules > kMaxRules || c > kMaxRules)
        return BuildError{"more than " + std::to_string(kMaxRules) + " rules or chains", c};
    }
    for (std::size_t c = 0; c < chains_.size(); ++c)
      if (auto error = measure(c, 0)) return error;
    for (std::size_t c = 0; c < chains_.size(); ++c)
      if (const auto hook = hook_of(chains_[c].name))
        if (auto error = reach(c, *hook)) return error;
    return std::nullopt;
  }

  // The hooks whose packets may come to this chain; after run().
  HookSet reached(std::size_t chain) const { return reached_[chain]; }

 private:
  static constexpr std::size_t kUnknown = ~std::size_t{0};
  static constexpr std::size_t kOpen = kUnknown - 1;  // we stand inside this chain

  // How many jumps deep it goes from here, into heights_.
  std::optional<BuildError> measure(std::size_t chain, std::size_t depth) {
    if (heights_[chain] != kUnknown) return std::nullopt;
    heights_[chain] = kOpen;
    std::size_t height = 0;
    for (std::size_t r = 0; r < chains_[chain].rules.size(); ++r) {
      const auto* jump = std::get_if<Jump>(&chains_[chain].rules[r].action);
      if (jump == nullptr) continue;
      if (auto problem = follow(jump->target, depth, height)) return BuildError{*problem, chain, r};
      if (auto error = inner_) return error;
    }
    heights_[chain] = height;
    return std::nullopt;
  }

  // One jump to target; its height goes into height. What is wrong with the jump itself is
  // returned, what is wrong further in is left in inner_.
  std::optional<std::string> follow(std::size_t target, std::size_t depth, std::size_t& height) {
    if (target >= chains_.size()) return "jumps to a chain that does not exist";
    const std::string name = "\"" + chains_[target].name + "\"";
    if (hook_of(chains_[target].name))
      return "jumps to " + name + ", which is built in; only your own chains can be jumped to";
    if (heights_[target] == kOpen) return "jumps to " + name + ", which leads back here: a loop";
    const std::string too_deep =
        "jumps nest more than " + std::to_string(kMaxJumps) + " deep; flatten the chains";
    if (depth == kMaxJumps) return too_deep;
    inner_ = measure(target, depth + 1);
    if (inner_) return std::nullopt;
    height = std::max(height, heights_[target] + 1);
    if (height > kMaxJumps) return too_deep;
    return std::nullopt;
  }

  // Every rule that packets of this hook can meet must ask what can be known there.
  std::optional<BuildError> reach(std::size_t chain, Hook hook) {
    if (reached_[chain].contains(hook)) return std::nullopt;
    reached_[chain].add(hook);
    for (std::size_t r = 0; r < chains_[chain].rules.size(); ++r) {
      const Rule& rule = chains_[chain].rules[r];
      for (std::size_t m = 0; m < rule.matches.size(); ++m)
        if (!makes_sense_in(rule.matches[m], hook))
          return BuildError{"is not known in chain \"" + std::string{kHookNames[number(hook)]} +
                                "\"; remove it here, or ask in another chain",
                            chain, r, m};
      if (!makes_sense_in(rule.action, hook))
        return BuildError{"means nothing in chain \"" + std::string{kHookNames[number(hook)]} +
                              "\", which this rule is asked in",
                          chain, r};
      if (const auto* jump = std::get_if<Jump>(&rule.action))
        if (auto error = reach(jump->target, hook)) return error;
    }
    return std::nullopt;
  }

  const std::vector<Chain>& chains_;
  std::vector<std::size_t> heights_;
  std::vector<HookSet> reached_;
  std::optional<BuildError> inner_;
};

bool diverts_or_copies(const Rule& rule) {
  return std::holds_alternative<Divert>(rule.action) || std::holds_alternative<Tee>(rule.action);
}

}  // namespace

std::variant<Ruleset, BuildError> Ruleset::build(std::vector<Chain> chains, Search search) {
  Inspection inspection{chains};
  if (auto error = inspection.run()) return *std::move(error);
  Ruleset built;
  for (std::size_t c = 0; c < chains.size(); ++c)
    if (std::ranges::any_of(chains[c].rules, diverts_or_copies))
      built.diverting_.add(inspection.reached(c));
  built.chains_ = std::move(chains);
  for (std::size_t c = 0; c < built.chains_.size(); ++c) {
    const Chain& chain = built.chains_[c];
    const auto hook = hook_of(chain.name);
    if (hook && (!chain.rules.empty() || chain.policy != Policy::accept))
      built.hooks_[number(*hook)] = static_cast<ChainIndex>(c);
    for (const Rule& rule : chain.rules)
      for (const Match& one : rule.matches) built.note_match(one);
  }
  built.number_counters();
  built.number_cells();
  for (const Chain& chain : built.chains_)
    built.finders_.push_back(search == Search::indexed ? RuleFinder{chain.rules} : RuleFinder{});
  return built;
}

void Ruleset::note_match(const Match& match) {
  asks_for_time_ |= std::holds_alternative<TimeMatch>(match);
  const auto note_set = [this]<typename M>(const M& one) {
    if constexpr (std::is_base_of_v<SetReference, M>) {
      const bool changes = one.set != nullptr && one.set->next_end(Time{}) != NamedSet::kNever;
      if (changes && std::ranges::find(timed_sets_, one.set) == timed_sets_.end())
        timed_sets_.push_back(one.set);
    }
  };
  std::visit(note_set, match);
}

Time Ruleset::next_end(Time now) const noexcept {
  Time next = NamedSet::kNever;
  for (const auto& set : timed_sets_) next = std::min(next, set->next_end(now));
  return next;
}

namespace {

// FNV-1a over the names: whoever knows a rule by its number still does after a reload.
std::uint32_t number_of(std::string_view chain, std::string_view rule) {
  std::uint32_t hash = 2166136261;
  const auto add = [&](char c) { hash = (hash ^ static_cast<unsigned char>(c)) * 16777619; };
  for (const char c : chain) add(c);
  add('/');
  for (const char c : rule) add(c);
  return hash == 0 ? 1 : hash;
}

}  // namespace

void Ruleset::number_counters() {
  for (std::size_t c = 0; c < chains_.size(); ++c) {
    const auto chain = static_cast<ChainIndex>(c);
    for (std::size_t r = 0; r < chains_[c].rules.size(); ++r) {
      chains_[c].rules[r].number = number_of(chains_[c].name, chains_[c].rules[r].id);
      chains_[c].rules[r].counter = static_cast<CounterIndex>(names_.size());
      numbers_.emplace_back(chains_[c].rules[r].number, chains_[c].rules[r].counter);
      names_.emplace_back(chain, r);
    }
    if (std::ranges::find(hooks_, chain) == hooks_.end()) continue;
    chains_[c].policy_counter = static_cast<CounterIndex>(names_.size());
    names_.emplace_back(chain, kPolicy);
  }
  std::ranges::sort(numbers_);
}

Ruleset::Numbered Ruleset::find(std::uint32_t number) const noexcept {
  const auto found =
      std::ranges::lower_bound(numbers_, number, {}, &decltype(numbers_)::value_type::first);
  if (found == numbers_.end() || found->first != number) return {};
  const auto& [chain, position] = names_[found->second];
  return {&chains_[chain].rules[position], position};
}

std::string_view Ruleset::name_of(std::uint32_t rule) const noexcept {
  const Numbered found = find(rule);
  return found.rule == nullptr ? std::string_view{} : std::string_view{found.rule->id};
}

Ruleset::CounterName Ruleset::counter(CounterIndex index) const {
  const auto& [c, r] = names_[index];
  const Chain& chain = chains_[c];
  return {chain.name, r == kPolicy ? kPolicyName : chain.rules[r].id};
}

// Every match or action with a cell gets the next one. Two of one rule differ by their order.
void Ruleset::number_cells() {
  for (Chain& chain : chains_)
    for (Rule& rule : chain.rules) {
      std::uint64_t order = 0;
      const auto give = [&]<typename One>(One& one) {
        if constexpr (requires { One::kCell; }) {
          ++order;
          const std::uint64_t own = rule.fingerprint == 0 ? 0 : rule.fingerprint + order;
          one.cell = static_cast<CellIndex>(cells_.size());
          cells_.push_back({One::kCell, own});
        }
      };
      for (Match& match : rule.matches) std::visit(give, match);
      std::visit(give, rule.action);
    }
}

std::vector<std::uint64_t> Ruleset::fingerprints() const {
  std::vector<std::uint64_t> all;
  all.reserve(names_.size());
  for (const auto& [c, r] : names_)
    all.push_back(r == kPolicy ? chains_[c].fingerprint : chains_[c].rules[r].fingerprint);
  return all;
}

namespace {

// What walking on needs to know of an action that was carried out.
struct Step {
  enum class Kind : std::uint8_t { next, decided, jump, leave };
  Kind kind = Kind::next;
  Decision decision{};
  ChainIndex target = 0;
};

struct Perform {
  Packet& packet;
  Memory& memory;
  CounterIndex counter;
  Step operator()(const Accept&) const { return {Step::Kind::decided, {Decision::Kind::accept}}; }
  Step operator()(const Drop&) const { return {Step::Kind::decided, {Decision::Kind::drop}}; }
  Step operator()(const Reject& action) const {
    return {Step::Kind::decided, {Decision::Kind::reject, action.with}};
  }
  Step operator()(const Mirror&) const { return {Step::Kind::decided, {Decision::Kind::mirror}}; }
  Step operator()(const Jump& action) const { return {Step::Kind::jump, {}, action.target}; }
  Step operator()(const Divert& action) const {
    return {Step::Kind::decided, {.kind = Decision::Kind::divert, .terms = &action.terms}};
  }
  Step operator()(const Tee& action) const {
    return {Step::Kind::decided, {.kind = Decision::Kind::tee, .terms = &action.terms}};
  }
  Step operator()(const Return&) const { return {Step::Kind::leave}; }
  Step operator()(const Continue&) const { return {}; }
  Step operator()(const NoTrack&) const {
    packet.not_tracked = true;
    return {};
  }
  template <typename Change>
  Step operator()(const Change& change) const {
    if constexpr (requires { change.apply(packet, memory, counter); })
      change.apply(packet, memory, counter);
    else if constexpr (requires { change.apply(packet, memory); })
      change.apply(packet, memory);
    else
      change.apply(packet);
    return {};
  }
};

// Leaves a mark where the packet was taken out, from the inside to the outside.
void note_stop(Packet& packet, const Decision& decision, const Rule& rule, std::size_t position) {
  const bool goes_on =
      decision.kind == Decision::Kind::divert || decision.kind == Decision::Kind::tee;
  if (goes_on && packet.rules != nullptr)
    packet.rules->stopped.add({rule.number, static_cast<std::uint16_t>(position)});
}

bool refuses(const Decision& decision) {
  using Kind = Decision::Kind;
  return decision.kind == Kind::drop || decision.kind == Kind::reject ||
         decision.kind == Kind::mirror;
}

// A packet is there: each question has an answer, and what matches is counted and carried out.
struct ByPacket {
  static constexpr bool kDoubts = false;
  Memory& memory;

  Answer ask(const Rule& rule, Packet& packet) const noexcept {
    return matches(rule.matches, packet, memory) ? Answer::yes : Answer::no;
  }
  Step perform(const Rule& rule, Answer, Packet& packet) const noexcept {
    packet.trail.add(rule.counter);
    return std::visit(Perform{packet, memory, rule.counter}, rule.action);
  }
  void decided(CounterIndex) const noexcept {}
  void doubt() const noexcept {}
  template <typename Walk>
  std::optional<Decision> follow(Answer, Walk walk) const noexcept {
    return walk();
  }
};

// A connection is left of it (hindsight.hpp): only what the chains themselves go by is carried out.
struct ByConnection {
  static constexpr bool kDoubts = true;
  Memory& memory;
  Hindsight& so_far;
  bool sure = true;  // the packet has come here

  Answer ask(const Rule& rule, Packet& packet) const noexcept {
    ++so_far.asked;
    return ask_again(rule, packet, memory, so_far.marks_are_known);
  }
  Step perform(const Rule& rule, Answer answer, Packet& packet) const noexcept {
    const Perform perform{packet, memory, rule.counter};
    return std::visit(
        [&]<typename A>(const A& action) noexcept -> Step {
          constexpr bool kMarks = std::is_same_v<A, SetMark> || std::is_same_v<A, SetConnMark>;
          if constexpr (std::is_same_v<A, Accept> || std::is_same_v<A, Drop> ||
                        std::is_same_v<A, Reject> || std::is_same_v<A, Mirror> ||
                        std::is_same_v<A, Jump> || std::is_same_v<A, Return>)
            return perform(action);
          else if constexpr (kMarks || std::is_same_v<A, NoTrack>) {
            if (answer == Answer::yes && sure) return perform(action);
            if (kMarks) so_far.marks_are_known = false;
          }
          return {};
        },
        rule.action);
  }
  void decided(CounterIndex counter) const noexcept { so_far.by = counter; }
  void doubt() noexcept { sure = false; }
  template <typename Walk>
  std::optional<Decision> follow(Answer answer, Walk walk) noexcept {
    const bool before = std::exchange(sure, sure && answer == Answer::yes);
    const auto decision = walk();
    sure = before;
    return decision;
  }
};

}  // namespace

// Empty if the end of the chain, or a return, was reached. Recursion ends: build() has measured it.
//
// Where answers may be doubtful, a refusal counts only if the packet has surely come to it: behind
// a return that was perhaps taken, the chain above has the last word.
template <typename Way>
std::optional<Decision> Ruleset::walk(ChainIndex chain, Packet& packet, Way& way) const noexcept {
  const std::vector<Rule>& rules = chains_[chain].rules;
  std::optional<Decision> decided;
  bool may_have_left = false;
  const auto is_doubtful = [&](Answer answer, const Decision& decision) {
    return Way::kDoubts && refuses(decision) && answer == Answer::perhaps;
  };
  const auto settle = [&](const Decision& decision) {
    return Way::kDoubts && refuses(decision) && may_have_left ? std::nullopt
                                                              : std::optional{decision};
  };
  const std::size_t first = first_rule(chain, packet, way, decided);
  RuleFinder::Candidates candidates = finders_[chain].candidates(packet);
  for (std::size_t i = candidates.next(); i < rules.size(); i = candidates.next()) {
    if (i < first) continue;
    const Rule& rule = rules[i];
    const Answer answer = way.ask(rule, packet);
    if (answer == Answer::no) continue;
    const Step step = way.perform(rule, answer, packet);
    switch (step.kind) {
      case Step::Kind::next:
        break;
      case Step::Kind::decided:
        if (is_doubtful(answer, step.decision)) break;
        way.decided(rule.counter);
        note_stop(packet, step.decision, rule, i);
        return settle(step.decision);
      case Step::Kind::leave:
        if (answer == Answer::yes) return std::nullopt;
        may_have_left = true;
        way.doubt();
        break;
      case Step::Kind::jump: {
        const auto below = way.follow(answer, [&] { return walk(step.target, packet, way); });
        if (!below || is_doubtful(answer, *below)) break;
        note_stop(packet, *below, rule, i);
        return settle(*below);
      }
    }
  }
  return decided;
}

// Where a packet goes on in this chain: at its first rule, or behind the one that took it out. If
// that was further down, the chains below come first, and may decide; then there is nothing more to
// do here.
template <typename Way>
std::size_t Ruleset::first_rule(ChainIndex chain, Packet& packet, Way& way,
                                std::optional<Decision>& decided) const noexcept {
  divert::RuleWalk* resume = packet.rules;
  if (resume == nullptr || resume->left == 0) return 0;
  const std::vector<Rule>& rules = chains_[chain].rules;
  const divert::Place& place = *resume->from;
  const divert::Place::Step step = place.steps[--resume->left];
  const bool at_rule = resume->left == 0 && place.at_rule;
  if (at_rule && step.rule == 0) return 0;
  const auto is_it = [&](const Rule& rule) { return rule.number == step.rule; };
  std::size_t at = step.position;
  if (at >= rules.size() || !is_it(rules[at]))
    at = static_cast<std::size_t>(std::ranges::find_if(rules, is_it) - rules.begin());
  if (at == rules.size()) {  // gone: those that stood behind it have moved up
    resume->rule_gone = true;
    resume->left = 0;
    return step.position;
  }
  const Rule& rule = rules[at];
  const auto* jump = std::get_if<Jump>(&rule.action);
  if (resume->left != 0 && jump != nullptr) {
    decided = walk(jump->target, packet, way);
    if (decided) {
      note_stop(packet, *decided, rule, at);
      return rules.size();
    }
  }
  resume->left = 0;
  return at_rule ? at : at + 1;
}

Decision Ruleset::judge(ChainIndex chain, Packet& packet, Memory& memory) const noexcept {
  ByPacket way{memory};
  if (const auto decision = walk(chain, packet, way)) return *decision;
  packet.trail.add(chains_[chain].policy_counter);
  return {
      .kind = chains_[chain].policy == Policy::drop ? Decision::Kind::drop : Decision::Kind::accept,
      .by_policy = true};
}

void Ruleset::reconsider(Hook hook, Packet& packet, Memory& memory,
                         Hindsight& so_far) const noexcept {
  const ChainIndex chain = hooks_[number(hook)];
  if (chain == kNone || so_far.refused) return;
  ByConnection way{memory, so_far};
  if (const auto decision = walk(chain, packet, way)) {
    so_far.refused = refuses(*decision);
    return;
  }
  so_far.refused = chains_[chain].policy == Policy::drop;
  so_far.by = chains_[chain].policy_counter;
}

std::vector<divert::Terms> Ruleset::divert_terms() const {
  std::vector<divert::Terms> all;
  for (const Chain& chain : chains_)
    for (const Rule& rule : chain.rules) {
      if (const auto* one = std::get_if<Divert>(&rule.action)) all.push_back(one->terms);
      if (const auto* one = std::get_if<Tee>(&rule.action)) all.push_back(one->terms);
    }
  return all;
}

}  // namespace masqgate::firewall
