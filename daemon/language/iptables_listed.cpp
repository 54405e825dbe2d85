// How each match and target of iptables showed itself behind the addresses of a listing.

#include <charconv>

#include "daemon/language/iptables_words.hpp"

namespace masqgate::language {
namespace {

std::string service(std::string_view word, const ListOptions& options, const Names& names,
                    net::Protocol protocol) {
  net::Port port = 0;
  std::from_chars(word.data(), word.data() + word.size(), port);
  const std::string name = options.numeric ? "" : names.service(port, protocol);
  return name.empty() ? std::string{word} : name;
}

// "dpt:ssh ", "spts:1024:65535 ", "dpt:!80 ".
std::string port_text(std::string_view side, const IptablesOption& option,
                      const ListOptions& options, const Names& names, net::Protocol protocol) {
  const std::string& word = option.words[0];
  const std::size_t colon = word.find(':');
  std::string text{side};
  text += colon == word.npos ? "pt:" : "pts:";
  if (option.negated) text += '!';
  text += service(std::string_view{word}.substr(0, colon), options, names, protocol);
  if (colon != word.npos)
    text += ":" + service(std::string_view{word}.substr(colon + 1), options, names, protocol);
  return text + " ";
}

std::string ports_of(const IptablesModule& module, const ListOptions& options, const Names& names,
                     net::Protocol protocol) {
  std::string text;
  if (const auto* source = module.find("--sport"))
    text += port_text("s", *source, options, names, protocol);
  if (const auto* destination = module.find("--dport"))
    text += port_text("d", *destination, options, names, protocol);
  return text;
}

std::string tcp_text(const IptablesModule& module, const ListOptions& options, const Names& names) {
  std::string text = "tcp " + ports_of(module, options, names, net::Protocol::tcp);
  const auto flags = [&](bool negated, const std::string& mask, const std::string& set) {
    text += std::string{"flags:"} + (negated ? "!" : "") + mask + "/" + set + " ";
  };
  if (const auto* option = module.find("--tcp-flags"))
    flags(option->negated, option->words[0], option->words[1]);
  if (const auto* option = module.find("--syn")) flags(option->negated, "SYN,RST,ACK", "SYN");
  return text;
}

std::string icmp_text(const IptablesModule& module, const ListOptions& options) {
  const auto* option = module.find("--icmp-type");
  if (option == nullptr) return "icmp ";
  const IcmpType type = icmp_type(option->words[0]);
  const std::string bang = option->negated ? "!" : "";
  if (!options.numeric) return "icmp " + bang + icmp_name(type) + " ";
  std::string text = "icmp " + bang + "type " + std::to_string(type.type) + " ";
  if (type.last_code != 255) text += "code " + std::to_string(type.first_code) + " ";
  return text;
}

std::string limit_text(const IptablesModule& module) {
  const auto* rate = module.find("--limit");
  const auto* burst = module.find("--limit-burst");
  std::string text = rate == nullptr ? "3/hour" : rate->words[0];
  // The tool shortened two of its units.
  for (const auto& [whole, shortened] : {std::pair{"second", "sec"}, std::pair{"minute", "min"}})
    if (text.ends_with(whole))
      text.replace(text.size() - std::string_view{whole}.size(), text.npos, shortened);
  return "limit: avg " + text + " burst " + (burst == nullptr ? "5" : burst->words[0]) + " ";
}

// A name, and the one argument.
std::string plain(const IptablesModule& module, std::string_view label, std::string_view option) {
  const IptablesOption* found = module.find(option);
  if (found == nullptr) return {};
  return std::string{label} + (found->negated ? "!" : "") + found->words[0] + " ";
}

std::string log_text(const IptablesModule& module) {
  const auto* level = module.find("--log-level");
  const auto* prefix = module.find("--log-prefix");
  constexpr const char* kLevels[] = {"emerg",   "alert",  "crit", "error",
                                     "warning", "notice", "info", "debug"};
  const auto number = level == nullptr ? 4u : static_cast<unsigned>(level->words[0][0] - '0');
  std::string text =
      std::string{"LOG "} + (module.find("--log-tcp-sequence") ? "tcp-sequence " : "") +
      (module.find("--log-tcp-options") ? "tcp-options " : "") +
      (module.find("--log-ip-options") ? "ip-options " : "") + "level " + kLevels[number & 7] + " ";
  if (prefix != nullptr) text += "prefix `" + prefix->words[0] + "' ";
  return text;
}

std::string helper_text(const IptablesModule& module) {
  const IptablesOption& name = module.options.front();
  return std::string{"helper match "} + (name.negated ? "! " : "") + "\"" + name.words[0] + "\" ";
}

std::string ttl_text(const IptablesModule& module) {
  return plain(module, "TTL match TTL == ", "--ttl-eq") +
         plain(module, "TTL match TTL > ", "--ttl-gt") +
         plain(module, "TTL match TTL < ", "--ttl-lt");
}

std::string psd_text(const IptablesModule& module) {
  return "psd " + plain(module, "weight-threshold: ", "--psd-weight-threshold") +
         plain(module, "delay-threshold: ", "--psd-delay-threshold") +
         plain(module, "lo-ports-weight: ", "--psd-lo-ports-weight") +
         plain(module, "hi-ports-weight: ", "--psd-hi-ports-weight");
}

std::string reject_text(const IptablesModule& module) {
  const auto* with = module.find("--reject-with");
  return "reject-with " + (with == nullptr ? "icmp-port-unreachable" : with->words[0]) + " ";
}

std::string tcpmss_target(const IptablesModule& module) {
  const auto* fixed = module.find("--set-mss");
  return fixed == nullptr ? "TCPMSS clamp to PMTU " : "TCPMSS set " + fixed->words[0] + " ";
}

std::string multiport_text(const IptablesModule& module) {
  return plain(module, "multiport sports ", "--sports") +
         plain(module, "multiport dports ", "--dports") +
         plain(module, "multiport ports ", "--ports");
}

}  // namespace

std::string listed(const IptablesModule& module, const ListOptions& options, const Names& names,
                   std::optional<net::Protocol> protocol) {
  const std::string_view name = module.name;
  if (name == "tcp") return tcp_text(module, options, names);
  if (name == "udp")
    return "udp " + ports_of(module, options, names, protocol.value_or(net::Protocol::udp));
  if (name == "icmp") return icmp_text(module, options);
  if (name == "multiport") return multiport_text(module);
  if (name == "state") return plain(module, "state ", "--state");
  if (name == "conntrack") return plain(module, "ctstate ", "--ctstate");
  if (name == "limit") return limit_text(module);
  if (name == "mac") return plain(module, "MAC ", "--mac-source");
  if (name == "owner") return plain(module, "OWNER UID match ", "--uid-owner");
  if (name == "mark") return plain(module, "MARK match ", "--mark");
  if (name == "helper") return helper_text(module);
  if (name == "tos") return plain(module, "TOS match ", "--tos");
  if (name == "length") return plain(module, "length ", "--length");
  if (name == "ttl") return ttl_text(module);
  if (name == "tcpmss") return plain(module, "tcpmss match ", "--mss");
  if (name == "unclean") return "unclean ";
  if (name == "psd") return psd_text(module);
  if (name == "quota") return plain(module, "quota: ", "--quota");
  if (name == "comment") return "/* " + module.options.front().words[0] + " */ ";
  if (name == "REJECT") return reject_text(module);
  if (name == "LOG") return log_text(module);
  if (name == "MARK") return plain(module, "MARK set ", "--set-mark");
  if (name == "TOS") return plain(module, "TOS set ", "--set-tos");
  if (name == "TCPMSS") return tcpmss_target(module);
  if (name == "SNAT") return plain(module, "to:", "--to-source");
  if (name == "DNAT") return plain(module, "to:", "--to-destination");
  if (name == "MASQUERADE") return plain(module, "masq ports: ", "--to-ports");
  if (name == "REDIRECT") return plain(module, "redir ports ", "--to-ports");
  if (name == "NETMAP") return plain(module, "", "--to");
  return {};
}

}  // namespace masqgate::language
