// iptables (history 7, 3.8): its tables, its commands, its listings.
//
//   lines of a document ──read_iptables──▶ Iptables ──iptables_json──▶ chains of daemon/firewall
//
// Matches and targets are a closed list, in iptables_words.cpp: what is not on it is refused by
// name. As with ipchains the rule set lives in the configuration document in its own words.

#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/language/ipchains.hpp"

namespace masqgate::language {

// What an option's arguments are; each is kept in one spelling.
enum class IptablesArgument : std::uint8_t {
  none,
  ports,          // "22", "1024:65535"
  port_list,      // "22,80,6000:6010", at most 15
  flags,          // two words: "SYN,ACK,FIN SYN"
  number,         // decimal, 0x…
  number_range,   // "40:1500"
  masked_number,  // "0x1/0xff"
  icmp_type,
  states,  // "NEW,RELATED"
  rate,    // "3/hour"
  mac,
  user,       // a number; may be given by name
  tos,        // name or number
  text,       // free
  level,      // 0 to 7, or its name
  reject,     // of the names of REJECT
  endpoints,  // "192.0.2.1-192.0.2.9:1024-65535"
  port_span,  // "1024-65535"
  network,    // "192.0.2.0/24"
};

struct IptablesOption {
  std::string_view name;  // "--dport"; one of the list in iptables_words.cpp
  bool negated = false;
  std::vector<std::string> words{};  // of a flag two, else one or none
  friend bool operator==(const IptablesOption&, const IptablesOption&) = default;
};

struct IptablesModule {
  std::string_view name;  // "tcp", "LOG"
  std::vector<IptablesOption> options{};
  const IptablesOption* find(std::string_view option) const;
  friend bool operator==(const IptablesModule&, const IptablesModule&) = default;
};

struct IptablesRule {
  template <typename Value>
  using Part = IpchainsRule::Part<Value>;

  Part<net::Prefix> source{{net::IpAddress::v4(0), 0}};
  Part<net::Prefix> destination{{net::IpAddress::v4(0), 0}};
  Part<std::optional<net::Protocol>> protocol;
  Part<std::string> in, out;  // a "+" at the end: all that begin so
  Part<bool> fragment;
  std::vector<IptablesModule> matches;
  std::string jump;                      // to a chain; or
  std::optional<IptablesModule> target;  // neither: count only

  friend bool operator==(const IptablesRule&, const IptablesRule&) = default;
};

struct IptablesChain {
  std::string name;
  std::string policy;  // ACCEPT or DROP of the built in; otherwise empty
  std::vector<IptablesRule> rules;
  friend bool operator==(const IptablesChain&, const IptablesChain&) = default;
};

inline constexpr std::size_t kMostIptablesName = 30;

struct IptablesTable {
  std::string_view name;
  std::vector<IptablesChain> chains;  // the built in first

  IptablesChain* find(std::string_view chain);
  const IptablesChain* find(std::string_view chain) const;
  bool is_built_in(std::string_view chain) const;
  std::size_t references(std::string_view chain) const;
  friend bool operator==(const IptablesTable&, const IptablesTable&) = default;
};

struct Iptables {
  Iptables();  // filter, nat and mangle accept everything
  IptablesTable* find(std::string_view table);
  const IptablesTable* find(std::string_view table) const;

  std::array<IptablesTable, 3> tables;
  friend bool operator==(const Iptables&, const Iptables&) = default;
};

// By table, chain and place from 1 on; 0 is the policy.
using IptablesCounts =
    std::function<Count(std::string_view table, std::string_view chain, std::size_t rule)>;

struct IptablesOutcome {
  std::string output{};
  bool changed = false;
  // -Z: of this chain of the table; empty: of all its chains.
  struct Zeroing {
    std::string table, chain;
  };
  std::optional<Zeroing> zeroes{};
};

// Carries out one command line, without the word "iptables". Throws Mistake with the tool's status
// and sentence, and leaves the rules as they were.
IptablesOutcome run_iptables(Iptables& rules, std::span<const std::string> words,
                             const Names& names = {}, const IptablesCounts& counts = {});

// Lines as iptables-save writes them; lines of scripts, "iptables -A …", too. Counters in brackets
// are passed over. Throws Mistake, whose sentence tells the line. A table without COMMIT is none.
Iptables read_iptables(std::span<const std::string> lines, const Names& names = {});
std::vector<std::string> write_iptables(const Iptables& rules, const IptablesCounts& counts = {});

// The words of a rule as iptables-save writes them, from "-s" on.
std::string rule_words(const IptablesRule& rule);
// "-L" of one chain.
std::string list_chain(const IptablesTable& table, const IptablesChain& chain,
                       const ListOptions& options, const Names& names,
                       const IptablesCounts& counts);

}  // namespace masqgate::language
