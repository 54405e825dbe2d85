// What iptables printed: listings, and the lines of iptables-save (history 3.8).

#include "daemon/language/iptables_words.hpp"
#include "daemon/language/text.hpp"

namespace masqgate::language {
namespace {

using Rule = IptablesRule;

std::string prefix_words(const char* option, const Rule::Part<net::Prefix>& side) {
  if (side.value.length() == 0 && !side.negated) return "";
  std::string text = std::string{option} + " " + bang(side.negated) + side.value.address().text();
  if (side.value.length() < 32) text += "/" + mask_text(side.value.length());
  return text + " ";
}

std::string option_words(const IptablesOption& option) {
  std::string text = bang(option.negated) + std::string{option.name} + " ";
  const bool is_text = option.name == "--log-prefix" || option.name == "--comment";
  for (const std::string& word : option.words) text += (is_text ? quoted(word) : word) + " ";
  return text;
}

std::string target_words(const Rule& rule) {
  if (!rule.jump.empty()) return "-j " + rule.jump + " ";
  if (!rule.target) return "";
  std::string text = "-j " + std::string{rule.target->name} + " ";
  for (const IptablesOption& option : rule.target->options) text += option_words(option);
  return text;
}

// With the column in front of it, which "!" may take.
std::string place_text(const Rule::Part<net::Prefix>& side, const ListOptions& options,
                       const Names& names) {
  const net::Prefix& prefix = side.value;
  std::string text = prefix.length() == 0 && !options.numeric ? "anywhere" : "";
  if (text.empty() && !options.numeric) text = names.host(prefix.address());
  if (text.empty()) text = prefix.address().text();
  if (text != "anywhere" && prefix.length() < 32) text += "/" + std::to_string(prefix.length());
  return print("%c%-19s ", side.negated ? '!' : ' ', text.c_str());
}

std::string interface_text(const Rule::Part<std::string>& interface, const ListOptions& options) {
  if (interface.value.empty()) return options.numeric ? "*" : "any";
  return (interface.negated ? "!" : "") + interface.value;
}

std::string row(const IptablesTable& table, const IptablesChain& chain, std::size_t number,
                const ListOptions& options, const Names& names, const IptablesCounts& counts) {
  const Rule& rule = chain.rules[number - 1];
  std::string text;
  if (options.numbers) text += print("%-4zu ", number);
  if (options.verbose) {
    const Count count = counts ? counts(table.name, chain.name, number) : Count{};
    text += print(options.exact ? "%8s %8s " : "%5s %5s ",
                  short_count(count.packets, options.exact).c_str(),
                  short_count(count.bytes, options.exact).c_str());
  }
  const std::string target = !rule.jump.empty() ? rule.jump
                             : rule.target      ? std::string{rule.target->name}
                                                : std::string{};
  const std::string protocol =
      rule.protocol.value ? net::text(*rule.protocol.value) : std::string{"all"};
  text +=
      print("%-9s %c%-5s%c%c ", target.c_str(), rule.protocol.negated ? '!' : ' ', protocol.c_str(),
            rule.fragment.negated ? '!' : '-', rule.fragment.value ? 'f' : '-');
  if (options.verbose)
    text += print(" %-6s %-6s ", interface_text(rule.in, options).c_str(),
                  interface_text(rule.out, options).c_str());
  text += place_text(rule.source, options, names) + place_text(rule.destination, options, names);
  for (const IptablesModule& module : rule.matches)
    text += listed(module, options, names, rule.protocol.value);
  if (rule.target) text += listed(*rule.target, options, names, rule.protocol.value);
  return text + "\n";
}

std::string head(const ListOptions& options) {
  std::string text;
  if (options.numbers) text += print("%-4s ", "num");
  if (options.verbose) text += print(options.exact ? "%8s %8s " : "%5s %5s ", "pkts", "bytes");
  text += "target     prot opt";
  if (options.verbose) text += " in     out    ";
  return text + " source               destination         \n";
}

// The lines of one table, up to its COMMIT.
class Loader {
 public:
  explicit Loader(const Names& names) : names_{names} {}
  void take(std::string_view line);
  Iptables result(std::size_t lines);
  const std::string& open() const { return open_; }

 private:
  void take_chain(std::span<const std::string> words);

  const Names& names_;
  Iptables rules_;
  std::string open_;  // the table between *name and COMMIT
};

void Loader::take_chain(std::span<const std::string> words) {
  const std::string name = words[0].substr(1);
  if (words.size() < 2) throw Mistake{2, "chain `" + name + "' has no policy"};
  const bool is_own = words[1] == "-";
  std::vector<std::string> command{"-t", open_, is_own ? "-N" : "-P", name};
  if (!is_own) command.push_back(words[1]);
  run_iptables(rules_, command, names_);
}

void Loader::take(std::string_view line) {
  std::vector<std::string> words = split(line);
  if (words.empty() || words[0].starts_with('#')) return;
  if (words[0].starts_with('*')) {
    if (!open_.empty()) throw Mistake{2, "table `" + open_ + "' has no COMMIT"};
    open_ = words[0].substr(1);
    if (rules_.find(open_) == nullptr)
      throw Mistake{3, "there is no table `" + open_ + "': there are filter, nat and mangle"};
    return;
  }
  if (words[0] == "COMMIT") {
    if (open_.empty()) throw Mistake{2, "COMMIT without a table"};
    open_.clear();
    return;
  }
  const bool is_script = words[0] == "iptables" || words[0].ends_with("/iptables");
  if (!is_script && open_.empty()) throw Mistake{2, "no table is open: *filter is missing"};
  if (words[0].starts_with(':')) return take_chain(words);
  if (words[0].starts_with('[')) words.erase(words.begin());
  std::vector<std::string> command;
  if (!is_script) command = {"-t", open_};
  command.insert(command.end(), words.begin() + (is_script ? 1 : 0), words.end());
  const IptablesOutcome outcome = run_iptables(rules_, command, names_);
  if (!outcome.changed && !outcome.zeroes) throw Mistake{2, "it changes no rule"};
}

Iptables Loader::result(std::size_t lines) {
  if (!open_.empty())
    throw Mistake{2, "line " + std::to_string(lines) + ": table `" + open_ + "' has no COMMIT"};
  return std::move(rules_);
}

}  // namespace

std::string rule_words(const Rule& rule) {
  std::string text = prefix_words("-s", rule.source) + prefix_words("-d", rule.destination);
  const auto interface = [&](const char* option, const Rule::Part<std::string>& part) {
    if (!part.value.empty())
      text += std::string{option} + " " + bang(part.negated) + quoted(part.value) + " ";
  };
  interface("-i", rule.in);
  interface("-o", rule.out);
  if (rule.protocol.value)
    text += "-p " + bang(rule.protocol.negated) + net::text(*rule.protocol.value) + " ";
  if (rule.fragment.value) text += bang(rule.fragment.negated) + "-f ";
  for (const IptablesModule& module : rule.matches) {
    text += "-m " + std::string{module.name} + " ";
    for (const IptablesOption& option : module.options) text += option_words(option);
  }
  text += target_words(rule);
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

std::vector<std::string> write_iptables(const Iptables& rules, const IptablesCounts& counts) {
  std::vector<std::string> lines;
  for (const IptablesTable& table : rules.tables) {
    lines.push_back("*" + std::string{table.name});
    for (const IptablesChain& chain : table.chains) {
      const Count count =
          counts && !chain.policy.empty() ? counts(table.name, chain.name, 0) : Count{};
      lines.push_back(":" + chain.name + " " + (chain.policy.empty() ? "-" : chain.policy) + " [" +
                      std::to_string(count.packets) + ":" + std::to_string(count.bytes) + "]");
    }
    for (const IptablesChain& chain : table.chains)
      for (const Rule& rule : chain.rules) {
        const std::string words = rule_words(rule);
        lines.push_back("-A " + chain.name + (words.empty() ? "" : " ") + words);
      }
    lines.push_back("COMMIT");
  }
  return lines;
}

Iptables read_iptables(std::span<const std::string> lines, const Names& names) {
  Loader loader{names};
  for (std::size_t i = 0; i < lines.size(); ++i) try {
      loader.take(lines[i]);
    } catch (const Mistake& mistake) {
      throw Mistake{mistake.status, "line " + std::to_string(i + 1) + ": " + mistake.sentence,
                    i + 1};
    }
  return loader.result(lines.size());
}

std::string list_chain(const IptablesTable& table, const IptablesChain& chain,
                       const ListOptions& options, const Names& names,
                       const IptablesCounts& counts) {
  std::string text = "Chain " + chain.name;
  if (chain.policy.empty()) {
    text += " (" + std::to_string(table.references(chain.name)) + " references)\n";
  } else {
    text += " (policy " + chain.policy;
    const Count count = counts ? counts(table.name, chain.name, 0) : Count{};
    if (options.verbose)
      text += " " + short_count(count.packets, options.exact) + " packets, " +
              short_count(count.bytes, options.exact) + " bytes";
    text += ")\n";
  }
  text += head(options);
  for (std::size_t i = 1; i <= chain.rules.size(); ++i)
    text += row(table, chain, i, options, names, counts);
  return text;
}

}  // namespace masqgate::language
