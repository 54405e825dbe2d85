// What ipchains printed: listings, and the lines of ipchains-save (history 3.5, 3.7).

#include "daemon/language/ipchains.hpp"
#include "daemon/language/text.hpp"

namespace masqgate::language {
namespace {

using Rule = IpchainsRule;

bool is_all(const net::PortRange& range) {
  return range.first == 0 && range.last == 65535;
}

std::string range_text(const net::PortRange& range) {
  return std::to_string(range.first) + ":" + std::to_string(range.last);
}

// "-s ! 10.0.0.0/255.0.0.0 80:80".
std::string side_words(const char* option, const Rule::Part<net::Prefix>& side,
                       const Rule::Part<net::PortRange>& range) {
  std::string text = std::string{option} + " " + bang(side.negated) + side.value.address().text() +
                     "/" + mask_text(side.value.length());
  if (!is_all(range.value)) text += " " + bang(range.negated) + range_text(range.value);
  return text;
}

std::string place_text(const Rule::Part<net::Prefix>& side, const ListOptions& options,
                       const Names& names) {
  const net::Prefix& prefix = side.value;
  std::string text = side.negated ? "!" : "";
  if (prefix.length() == 0) return text + (options.numeric ? "0.0.0.0/0" : "anywhere");
  const std::string name = options.numeric ? "" : names.host(prefix.address());
  text += name.empty() ? prefix.address().text() : name;
  if (prefix.length() < 32) text += "/" + std::to_string(prefix.length());
  return text;
}

std::string port_text(const Rule& rule, const Rule::Part<net::PortRange>& part,
                      const ListOptions& options, const Names& names) {
  const auto one = [&](net::Port port) {
    const std::string name =
        options.numeric ? "" : names.service(port, rule.protocol.value.value_or(net::Protocol{}));
    return name.empty() ? std::to_string(port) : name;
  };
  const std::string bang = part.negated ? "!" : "";
  if (is_all(part.value)) return options.numeric ? "*" : "any";
  if (part.value.first == part.value.last) return bang + one(part.value.first);
  return bang + one(part.value.first) + ":" + one(part.value.last);
}

std::string ports_text(const Rule& rule, const ListOptions& options, const Names& names) {
  const auto protocol = rule.protocol.value;
  const bool has_ports = protocol == net::Protocol::tcp || protocol == net::Protocol::udp;
  if (!has_ports && protocol != net::Protocol::icmp) return "n/a";
  const auto& type = rule.source_ports.value;
  const auto& code = rule.destination_ports.value;
  if (!has_ports && !options.numeric && !is_all(type) && type.first == type.last)
    return (rule.source_ports.negated ? "!" : "") +
           icmp_name({static_cast<std::uint8_t>(type.first),
                      static_cast<std::uint8_t>(is_all(code) ? 0 : code.first),
                      static_cast<std::uint8_t>(is_all(code) ? 255 : code.last)});
  std::string text = port_text(rule, rule.source_ports, options, names) + " ->   " +
                     port_text(rule, rule.destination_ports, options, names);
  if (rule.target == "REDIRECT")
    text += " => " + (rule.redirect == 0 ? "any" : std::to_string(rule.redirect));
  return text;
}

std::string option_letters(const Rule& rule) {
  std::string text = "------";
  if (rule.syn.negated) text[0] = '!';
  if (rule.syn.value) text[1] = 'y';
  if (rule.fragment.negated) text[2] = '!';
  if (rule.fragment.value) text[3] = 'f';
  if (rule.log) text[4] = 'l';
  return text;
}

std::string protocol_text(const Rule& rule) {
  const auto protocol = rule.protocol.value;
  return (rule.protocol.negated ? "!" : "") + (protocol ? net::text(*protocol) : "all");
}

std::string mark_text(const Rule& rule) {
  if (rule.marking == Rule::Mark::none) return "";
  return (rule.marking == Rule::Mark::add ? "+" : "") + print("0x%x", rule.mark);
}

std::string row(const Rule& rule, std::size_t number, const Count& count,
                const ListOptions& options, const Names& names) {
  std::string text;
  if (options.numbers) text += print("%-4zu ", number);
  if (options.verbose)
    text += print(options.exact ? "%8s %10s " : "%5s %5s ",
                  short_count(count.packets, options.exact).c_str(),
                  short_count(count.bytes, options.exact).c_str());
  text += print("%-10s %-4s %-6s ", rule.target.empty() ? "-" : rule.target.c_str(),
                protocol_text(rule).c_str(), option_letters(rule).c_str());
  if (options.verbose) {
    const std::string interface =
        (rule.interface.negated ? "!" : "") +
        (rule.interface.value.empty() ? (options.numeric ? "*" : "any") : rule.interface.value);
    text += print("0x%02X 0x%02X  %-10s %-10s ", unsigned{rule.tos_and}, unsigned{rule.tos_xor},
                  interface.c_str(), mark_text(rule).c_str());
  }
  return text +
         print(" %-20s %-20s  ", place_text(rule.source, options, names).c_str(),
               place_text(rule.destination, options, names).c_str()) +
         ports_text(rule, options, names) + "\n";
}

std::string head(const ListOptions& options) {
  std::string text;
  if (options.numbers) text += print("%-4s ", "num");
  if (options.verbose) text += print(options.exact ? "%8s %10s " : "%5s %5s ", "pkts", "bytes");
  text += "target     prot opt    ";
  if (options.verbose) text += "tosa tosx  ifname     mark       ";
  return text + " source                destination           ports\n";
}

[[noreturn]] void wrong(std::size_t line, const std::string& sentence) {
  throw Mistake{2, "line " + std::to_string(line) + ": " + sentence, line};
}

// ":input ACCEPT" or ":mine -".
void take_chain(Ipchains& rules, std::span<const std::string> words) {
  const std::string name = words[0].substr(1);
  const std::string policy = words.size() > 1 ? words[1] : "";
  const bool built_in = rules.is_built_in(name);
  const std::vector<std::string> command = built_in ? std::vector<std::string>{"-P", name, policy}
                                                    : std::vector<std::string>{"-N", name};
  if (!built_in && policy != "-")
    throw Mistake{2, "chain `" + name + "' of your own: its policy is -"};
  run_ipchains(rules, command);
}

}  // namespace

std::string rule_words(const Rule& rule) {
  std::string text = side_words("-s", rule.source, rule.source_ports) + " " +
                     side_words("-d", rule.destination, rule.destination_ports);
  if (!rule.interface.value.empty())
    text += " -i " + bang(rule.interface.negated) + quoted(rule.interface.value);
  if (rule.protocol.value)
    text +=
        " -p " + bang(rule.protocol.negated) + std::to_string(net::number(*rule.protocol.value));
  if (!rule.target.empty()) text += " -j " + rule.target;
  if (rule.target == "REDIRECT" && rule.redirect != 0) text += " " + std::to_string(rule.redirect);
  if (rule.marking == Rule::Mark::set) text += print(" -m 0x%x", rule.mark);
  if (rule.marking == Rule::Mark::add) text += print(" -m +%u", rule.mark);
  if (rule.log) text += " -l";
  if (rule.tos_and != 0xff || rule.tos_xor != 0)
    text += print(" -t 0x%02X 0x%02X", unsigned{rule.tos_and}, unsigned{rule.tos_xor});
  if (rule.fragment.value) text += " " + bang(rule.fragment.negated) + "-f";
  if (rule.syn.value) text += " " + bang(rule.syn.negated) + "-y";
  return text;
}

std::vector<std::string> write_ipchains(const Ipchains& rules) {
  std::vector<std::string> lines;
  for (const IpchainsChain& chain : rules.chains)
    lines.push_back(":" + chain.name + " " + (chain.policy.empty() ? "-" : chain.policy));
  for (const IpchainsChain& chain : rules.chains)
    for (const Rule& rule : chain.rules)
      lines.push_back("-A " + chain.name + " " + rule_words(rule));
  return lines;
}

Ipchains read_ipchains(std::span<const std::string> lines, const Names& names) {
  Ipchains rules;
  for (std::size_t i = 0; i < lines.size(); ++i) try {
      const auto words = split(lines[i]);
      if (words.empty() || words.front().starts_with('#')) continue;
      if (words.front().starts_with(':')) {
        take_chain(rules, words);
        continue;
      }
      const bool has_name = words.front() == "ipchains" || words.front().ends_with("/ipchains");
      const auto outcome = run_ipchains(rules, std::span{words}.subspan(has_name ? 1 : 0), names);
      if (!outcome.changed && !outcome.zeroes) throw Mistake{2, "it changes no rule"};
    } catch (const Mistake& mistake) {
      wrong(i + 1, mistake.sentence);
    }
  return rules;
}

std::string list_chain(const Ipchains& rules, const IpchainsChain& chain,
                       const ListOptions& options, const Names& names, const Counts& counts) {
  const auto count = [&](std::size_t number) {
    return counts ? counts(chain.name, number) : Count{};
  };
  std::string text = "Chain " + chain.name;
  if (chain.policy.empty()) {
    text += " (" + std::to_string(rules.references(chain.name)) + " references):\n";
  } else {
    text += " (policy " + chain.policy;
    if (options.verbose)
      text += ": " + short_count(count(0).packets, options.exact) + " packets, " +
              short_count(count(0).bytes, options.exact) + " bytes";
    text += "):\n";
  }
  if (!chain.rules.empty()) text += head(options);
  for (std::size_t i = 0; i < chain.rules.size(); ++i)
    text += row(chain.rules[i], i + 1, count(i + 1), options, names);
  return text;
}

}  // namespace masqgate::language
