// The configuration document as values: what masqgate shall be, checked as a whole.
//
//   text ──parse_json──▶ JSON ──from_json──▶ Config ──▶ ports, routes, policy …
//                          ▲                   │
//                          └─────to_json───────┘  canonical: defaults written out, one spelling
//
// docs/configuration.md describes the document, docs/masqgate.schema.json is its schema. Nothing in
// it is guessed or passed over: a document is right in every member, or it is refused with a
// pointer and a sentence that says what to do. No name is looked up here; whether a NIC exists is
// found out by who needs it.

#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/conntrack/timeouts.hpp"
#include "daemon/divert/access.hpp"
#include "daemon/firewall/ruleset.hpp"
#include "daemon/helper/settings.hpp"
#include "daemon/nat/dynaddr.hpp"
#include "daemon/nat/rules.hpp"
#include "daemon/net/endpoint.hpp"
#include "daemon/net/mac_address.hpp"
#include "daemon/net/prefix.hpp"
#include "daemon/path/limits.hpp"
#include "daemon/path/source_validation.hpp"
#include "daemon/path/syn_proxy_rule.hpp"
#include "daemon/state/tree.hpp"

namespace masqgate::control {

// What stands at the network side of a port.
enum class Attachment : std::uint8_t {
  nics,    // a bridge of our own, with these NICs
  bridge,  // a bridge that is there
  tap,     // a bare TAP device, for a virtual machine
  tun,     // a bare TUN device: no link layer
};

struct PortConfig {
  std::string name;  // also of the interface at the host side; at most kMaxPortName bytes
  Attachment attachment = Attachment::nics;
  std::vector<std::string> devices;  // the NICs; or the one bridge, TAP or TUN
  std::vector<net::InterfaceAddress> addresses;
  std::optional<net::MacAddress> mac;  // otherwise made from the name
  std::optional<unsigned> mtu;         // otherwise the NIC's
  unsigned queues = 1;
  std::optional<path::SourceValidation> source_validation;  // otherwise the policy's usual one
  bool inherit = false;  // take over the NIC's addresses and routes
};

// A name of an interface has at most 15 bytes, and the port's other interfaces have three more.
inline constexpr std::size_t kMaxPortName = 12;
// The bridge that a port with NICs makes, and the TAP by which a bridge reaches masqgate.
std::string bridge_of(const PortConfig& port);        // "br-lan", or the bridge it adopts
std::string network_side_of(const PortConfig& port);  // "mg-lan", or the bare TAP or TUN

struct RouteConfig {
  net::Prefix to;
  std::optional<net::IpAddress> via;
  std::optional<PortIndex> port;  // needed where via is link-local or missing
  std::optional<std::uint32_t> metric;
  std::optional<std::uint32_t> table;  // otherwise main
};

// Seconds by their names in the document, where they differ from the profile's.
using TimeoutWords = std::map<std::string, std::chrono::seconds, std::less<>>;

// The rule of table nat that a rule of translation comes from: "POSTROUTING", 1.
struct NatOrigin {
  std::string chain;
  std::size_t rule = 0;
};

// A rule of "nat"; nat/rules.hpp says what the parts mean.
struct NatConfig {
  enum class Kind : std::uint8_t { masquerade, snat, netmap, exclude, dnat, redirect };
  Kind kind = Kind::masquerade;
  PortIndex port =
      kNoPort;  // where it leaves; dnat: whose address is asked for; redirect: comes in
  nat::Selector selector;
  std::vector<nat::AddressRange> to;  // snat: the pool; dnat: one range
  net::Prefix network;                // netmap: outside
  net::PortRange ports{0, 0};         // 0 to 0: not given
  nat::Behaviour behaviour;           // of masquerade, snat, netmap
  TimeoutWords timeouts;              // the same
  std::optional<NatOrigin> origin{};  // of an old rule set
};

struct ConntrackConfig {
  std::uint32_t max = 262144;  // connections
  conntrack::Profile profile = conntrack::Profile::rfc;
  TimeoutWords timeouts;
  bool tcp_loose = true;     // connections may be joined in their middle
  bool tcp_liberal = false;  // of what is outside the window only RST is refused
};

// More than can wait for next hops and first fragments together.
inline constexpr unsigned kLeastFrames = 256;

struct ShardConfig {
  unsigned spin_us = 0;    // look for frames that long before sleeping; microseconds
  unsigned frames = 1024;  // of 68 KB each, reserved at once, used as needed
  int nice = -10;          // of the packet thread: before whom it forwards for
};

// Diverted packets (daemon/divert).
struct DivertConfig {
  std::uint32_t packets = 4096;            // held at once, each with a frame of its own
  std::uint32_t bytes = 32u << 20;         // of these
  std::uint8_t hops = 8;                   // of one packet, then it counts as a loop
  std::vector<divert::AccessRule> access;  // beside the superuser
  // TCP ports of the router itself that stay open without a program; and what becomes of packets
  // that are held when masqgate stops.
  std::vector<net::PortRange> management{{22, 22}};
  bool pass_at_stop = false;
};

struct ApiConfig {
  std::string socket;
  std::optional<net::Endpoint> tcp;  // loopback only
};

// "firewall" in the lines of an old language (daemon/language); "nat" has more rules by it.
struct OldRules {
  enum class Language : std::uint8_t { ipchains, iptables } language = Language::ipchains;
  std::vector<std::string> lines;
};

struct Config {
  std::string runtime;  // folder
  std::vector<PortConfig> ports;
  std::vector<RouteConfig> routes;
  std::vector<NatConfig> nat;           // the document's own first
  std::size_t own_nat = 0;              // so many; the others are of old_rules
  std::optional<OldRules> old_rules{};  // what firewall was made from
  firewall::Sets sets;
  std::shared_ptr<const firewall::Ruleset> firewall = std::make_shared<firewall::Ruleset>();
  ConntrackConfig conntrack;
  path::Limits limits;
  std::vector<path::SynProxyRule> syn_proxy;
  helper::Settings helpers = helper::Settings::defaults();
  ShardConfig shard;
  DivertConfig divert;
  ApiConfig api;
  std::optional<std::string> tree;  // mount point; empty: no virtual tree
  bool ip_forward = true;
  bool ip_always_defrag = false;
  unsigned ip_dynaddr = nat::kDynaddrDefault;  // bits of nat/dynaddr.hpp
  unsigned ip_masq_debug = 0;                  // above 0: what goes wrong is logged
  bool ip_masq_udp_dloose = false;             // UDP of classic rules takes answers from anybody
};

inline constexpr unsigned kMostDynaddr = 7, kMostMasqDebug = 255;

// $RUNTIME_DIRECTORY (its first folder), else /run/masqgate.
std::string default_runtime();

// All throw state::Error: malformed with line and column where the text is no JSON, invalid with a
// pointer where the document is wrong. runtime: the folder where the document names none.
// before: the sets in force, whose elements go on with their time.
Config from_json(const state::Json& document, const std::string& runtime = default_runtime(),
                 const firewall::Sets& before = {});
Config parse_config(std::string_view text, const std::string& runtime = default_runtime(),
                    const firewall::Sets& before = {});
state::Json to_json(const Config& config);

struct ConfigFile {
  std::string path;
  Config config;
};
// Errors begin with the path, then line or pointer. A file that cannot be read: not_found.
ConfigFile load(const std::string& path, const std::string& runtime = default_runtime(),
                const firewall::Sets& before = {});

// What parts of the router are given.
std::vector<std::string> port_names(const Config& config);  // by PortIndex
nat::Rules nat_rules(const Config& config);
conntrack::Timeouts timeouts_of(const ConntrackConfig& config);
conntrack::RuleTimeouts rule_timeouts(const Config& config);
// The one with this name in "timeouts", in seconds; the name must be one of them.
std::uint64_t timeout_seconds(const ConntrackConfig& config, std::string_view name);
inline constexpr std::uint64_t kLongestTimeout = 365 * 24 * 3600;  // seconds

}  // namespace masqgate::control
