// Connections that other rules would not admit: their first packets judged once more, in hindsight
// (firewall/hindsight.hpp), by the evaluator and in the order of the corridor.
//
//   prerouting ─▶ destination as translated ─▶ route ─┬─▶ forward ─▶ postrouting ─▶ leaving
//                                                     └─▶ input
//   of the router's own connections: output ─▶ postrouting ─▶ leaving
//
// Translations stay as they are. Where no route leads any more, rules have nothing to say. The
// table is looked at in slices, so that packets wait for none.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daemon/conntrack/connection.hpp"
#include "daemon/path/policy.hpp"

namespace masqgate::path {

class Shard;

// Whether the chains of this policy refuse the connection's first packet; adds to `asked` how many
// rules that took.
std::optional<firewall::CounterIndex> refusal_of(const conntrack::Connection& connection,
                                                 const Policy& policy, firewall::Memory& memory,
                                                 std::size_t& asked);

struct RejudgeSlice {
  // Of one slice: records looked at, and rules asked; whichever comes first ends it.
  static constexpr std::uint32_t kRecords = 2048;
  static constexpr std::size_t kRules = 20000;

  struct Refused {
    std::uint64_t id = 0;
    conntrack::Connection connection;
    std::string chain, rule;  // of the rule or policy that refuses
  };
  std::vector<Refused> refused;
  std::size_t judged = 0;
  std::uint32_t next = 0;  // the record to go on with
  bool last = false;
  Time now{};
};

// Judges connections from this record on. ends: those that are refused end.
RejudgeSlice rejudge(Shard& shard, const Policy& policy, std::uint32_t from, bool ends);

}  // namespace masqgate::path
