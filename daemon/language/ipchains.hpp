// ipchains (history 3): its rules, its commands, its listings.
//
//   lines of a document ──read_ipchains──▶ Ipchains ──ipchains_json──▶ chains of daemon/firewall
//                                          ▲     │
//                            a command line ┘     └ listings, ipchains-save
//
// The rule set lives in the configuration document in its own words. masqctl takes it from there,
// works on it as the old tool worked on the kernel, and hands it back.

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/language/command_line.hpp"
#include "daemon/language/words.hpp"

namespace masqgate::language {

struct IpchainsRule {
  // What a rule compares, and whether it is turned round with "!".
  template <typename Value>
  struct Part {
    Value value{};
    bool negated = false;
    friend bool operator==(const Part&, const Part&) = default;
  };

  Part<net::Prefix> source{{net::IpAddress::v4(0), 0}};
  Part<net::Prefix> destination{{net::IpAddress::v4(0), 0}};
  Part<std::optional<net::Protocol>> protocol;
  Part<std::string> interface;             // empty: any; a "+" at its end: all that begin so
  Part<net::PortRange> source_ports;       // of ICMP the type
  Part<net::PortRange> destination_ports;  // of ICMP the code
  Part<bool> syn;
  Part<bool> fragment;

  bool log = false;
  std::uint8_t tos_and = 0xff;
  std::uint8_t tos_xor = 0;
  enum class Mark : std::uint8_t { none, set, add } marking = Mark::none;
  std::uint32_t mark = 0;  // to add: two's complement

  std::string target;      // empty: count only, and go on
  net::Port redirect = 0;  // of REDIRECT; 0: the packet's own

  friend bool operator==(const IpchainsRule&, const IpchainsRule&) = default;
};

struct IpchainsChain {
  std::string name;
  std::string policy;  // of the built in: ACCEPT, DENY, REJECT or MASQ; otherwise empty
  std::vector<IpchainsRule> rules;

  friend bool operator==(const IpchainsChain&, const IpchainsChain&) = default;
};

inline constexpr std::size_t kMostIpchainsName = 8;

class Ipchains {
 public:
  Ipchains();  // input, forward and output accept everything

  IpchainsChain* find(std::string_view name);
  const IpchainsChain* find(std::string_view name) const;
  bool is_built_in(std::string_view name) const;
  // How many rules jump there.
  std::size_t references(std::string_view name) const;

  std::vector<IpchainsChain> chains;  // the built in first

  friend bool operator==(const Ipchains&, const Ipchains&) = default;
};

// Seconds that "-M -S" sets; 0 leaves one as it is.
struct MasqueradeTimeouts {
  std::uint32_t tcp = 0, tcp_fin = 0, udp = 0;
  friend bool operator==(const MasqueradeTimeouts&, const MasqueradeTimeouts&) = default;
};

// What a command shows, and what its caller has to do.
struct IpchainsOutcome {
  std::string output{};
  bool changed = false;
  std::optional<std::string> zeroes{};  // -Z: of this chain; empty: of all
  std::optional<MasqueradeTimeouts> timeouts{};
  struct MasqueradeListing {
    bool numeric = false, verbose = false;
  };
  std::optional<MasqueradeListing> list_masquerading{};
};

struct Count {
  std::uint64_t packets = 0, bytes = 0;
};
// By chain and place from 1 on; 0 is the policy.
using Counts = std::function<Count(std::string_view chain, std::size_t rule)>;

// Carries out one command line, without the word "ipchains". Throws Mistake with the tool's status
// and sentence, and leaves the rules as they were.
IpchainsOutcome run_ipchains(Ipchains& rules, std::span<const std::string> words,
                             const Names& names = {}, const Counts& counts = {});

// Lines as ipchains-save writes them; also with "ipchains" in front, as scripts have them, and with
// comments. Throws Mistake, whose sentence tells the line.
Ipchains read_ipchains(std::span<const std::string> lines, const Names& names = {});
std::vector<std::string> write_ipchains(const Ipchains& rules);

// The words of a rule as ipchains-save writes them, from "-s" on.
std::string rule_words(const IpchainsRule& rule);

// "-L" of one chain.
std::string list_chain(const Ipchains& rules, const IpchainsChain& chain,
                       const ListOptions& options, const Names& names, const Counts& counts);

// A packet as "-C" describes one; ports: of ICMP type and code.
struct IpchainsPacket {
  net::IpAddress source, destination;
  net::Protocol protocol{};
  std::string interface;
  net::Port source_port = 0, destination_port = 0;
  bool syn = false, fragment = false;
};
bool matches(const IpchainsRule& rule, const IpchainsPacket& packet);
// ACCEPT, DENY, REJECT, MASQ, REDIRECT, or empty for a loop.
std::string judge(const Ipchains& rules, std::string_view chain, const IpchainsPacket& packet);

}  // namespace masqgate::language
