// How Linux 2.2 walked its chains (history 3.2, 3.3): for "ipchains -C", and as the measure for what
// masqgate's own chains make of these rules.

#include <vector>

#include "daemon/language/ipchains.hpp"

namespace masqgate::language {
namespace {

using Rule = IpchainsRule;

bool fits(const Rule::Part<net::Prefix>& side, net::IpAddress address) {
  return side.value.contains(address) != side.negated;
}

bool interface_fits(const Rule::Part<std::string>& part, std::string_view name) {
  const std::string_view wanted = part.value;
  if (wanted.empty()) return true;
  const bool same = wanted.ends_with('+') ? name.starts_with(wanted.substr(0, wanted.size() - 1))
                                          : name == wanted;
  return same != part.negated;
}

bool is_all(const net::PortRange& range) {
  return range.first == 0 && range.last == 65535;
}

// Later fragments have no ports, and a rule that asks for them never means one.
bool ports_fit(const Rule& rule, const IpchainsPacket& packet) {
  const auto& from = rule.source_ports;
  const auto& to = rule.destination_ports;
  if (is_all(from.value) && is_all(to.value)) return true;
  if (packet.fragment) return false;
  return (is_all(from.value) || from.value.contains(packet.source_port) != from.negated) &&
         (is_all(to.value) || to.value.contains(packet.destination_port) != to.negated);
}

bool flags_fit(const Rule& rule, const IpchainsPacket& packet) {
  if (rule.fragment.value && packet.fragment == rule.fragment.negated) return false;
  if (!rule.syn.value) return true;
  return !packet.fragment && packet.syn != rule.syn.negated;
}

struct Walk {
  const Ipchains& rules;
  const IpchainsPacket& packet;
  std::vector<const IpchainsChain*> path{};

  // Empty: fell off the end, or returned. "LOOP" where the chain is on the path already.
  std::string through(const IpchainsChain& chain) {
    for (const IpchainsChain* one : path)
      if (one == &chain) return "LOOP";
    path.push_back(&chain);
    std::string verdict;
    for (const Rule& rule : chain.rules) {
      if (rule.target.empty() || !matches(rule, packet)) continue;
      if (rule.target == "RETURN") break;
      const IpchainsChain* next = rules.find(rule.target);
      verdict = next == nullptr ? rule.target : through(*next);
      if (!verdict.empty()) break;
    }
    path.pop_back();
    return verdict;
  }
};

}  // namespace

bool matches(const Rule& rule, const IpchainsPacket& packet) {
  const auto& protocol = rule.protocol;
  const bool protocol_fits =
      !protocol.value || (*protocol.value == packet.protocol) != protocol.negated;
  return protocol_fits && fits(rule.source, packet.source) &&
         fits(rule.destination, packet.destination) &&
         interface_fits(rule.interface, packet.interface) && ports_fit(rule, packet) &&
         flags_fit(rule, packet);
}

std::string judge(const Ipchains& rules, std::string_view name, const IpchainsPacket& packet) {
  const IpchainsChain* chain = rules.find(name);
  if (chain == nullptr) return {};
  const std::string verdict = Walk{rules, packet}.through(*chain);
  if (verdict == "LOOP") return {};
  if (!verdict.empty()) return verdict;
  return chain->policy.empty() ? "RETURN" : chain->policy;
}

}  // namespace masqgate::language
