#include <array>

#include "daemon/language/iptables_command.hpp"
#include "daemon/language/iptables_words.hpp"

namespace masqgate::language {
namespace {

[[noreturn]] void bad(const std::string& sentence) {
  throw Mistake{2, sentence};
}

class Parser {
 public:
  Parser(std::span<const std::string> words, const Names& names) : words_{words}, names_{names} {}
  IptablesCommand parse();

 private:
  void option(const std::string& word, bool negated);
  bool command(std::string_view word);
  bool part(std::string_view word, bool negated);
  bool module_option(std::string_view word, bool negated);
  void load_match(std::string_view name);
  void jump();
  void interface(IptablesRule::Part<std::string>& interface, bool negated);
  void add_option(IptablesModule& module, const IptablesOptionKind& kind, bool negated);
  bool is_only(net::Protocol wanted) const;
  void check_combinations();
  void check_target(const IptablesModule& target, bool has_ports) const;
  void check_options(const IptablesModule& module) const;

  Reader words_;
  const Names& names_;
  IptablesCommand command_;
};

IptablesCommand Parser::parse() {
  while (!words_.done()) {
    const bool negated = words_.take("!");
    option(words_.next("an option"), negated);
  }
  check_combinations();
  return command_;
}

void Parser::option(const std::string& word, bool negated) {
  const bool together = word.size() > 2 && word[0] == '-' && word[1] != '-' && !negated;
  if (together && std::string_view{"nvx"}.find(word[1]) != std::string_view::npos) {
    for (const char letter : word.substr(1)) option(std::string{'-', letter}, false);
    return;
  }
  if (is_option(word, "-t", "--table")) {
    command_.table = words_.next("a table");
  } else if (part(word, negated) || module_option(word, negated)) {
    command_.has_rule = true;
  } else if (negated) {
    bad("`!' cannot stand before `" + word + "'");
  } else if (is_option(word, "-m", "--match")) {
    load_match(words_.next("a match"));
    command_.has_rule = true;
  } else if (is_option(word, "-j", "--jump")) {
    jump();
    command_.has_rule = true;
  } else if (!command(word) && !read_list_option(command_.list, word)) {
    bad("unknown option `" + word + "'");
  }
}

bool Parser::command(std::string_view word) {
  constexpr std::array<CommandWord, 1> kMore{{{'E', "--rename-chain", true}}};
  const char letter = read_command(command_, word, words_, kMore);
  if (letter == 'P') command_.name = words_.next("a policy");
  if (letter == 'E') command_.name = words_.next("a new name");
  return letter != 0;
}

bool Parser::part(std::string_view word, bool negated) {
  IptablesRule& rule = command_.rule;
  const auto side = [&](IptablesRule::Part<net::Prefix>& prefix) {
    prefix.negated = negated || words_.take("!");
    prefix.value = network(words_.next("an address"), names_);
  };
  if (is_option(word, "-s", "--source") || word == "--src") {
    side(rule.source);
  } else if (is_option(word, "-d", "--destination") || word == "--dst") {
    side(rule.destination);
  } else if (is_option(word, "-p", "--protocol") || word == "--proto") {
    rule.protocol.negated = negated || words_.take("!");
    rule.protocol.value = language::protocol(words_.next("a protocol"));
    if (rule.protocol.negated && !rule.protocol.value) bad("rule would never match protocol");
  } else if (is_option(word, "-i", "--in-interface")) {
    interface(rule.in, negated);
  } else if (is_option(word, "-o", "--out-interface")) {
    interface(rule.out, negated);
  } else if (is_option(word, "-f", "--fragment")) {
    rule.fragment = {true, negated};
  } else {
    return false;
  }
  return true;
}

void Parser::interface(IptablesRule::Part<std::string>& interface, bool negated) {
  interface.negated = negated || words_.take("!");
  interface.value = words_.next("an interface");
  if (interface.value == "+") interface.value.clear();
  if (interface.negated && interface.value.empty()) bad("rule would never match interface");
}

void Parser::load_match(std::string_view name) {
  const IptablesModuleKind* kind = match_kind(name);
  if (kind == nullptr) bad("there is no match `" + std::string{name} + "'");
  for (const IptablesModule& module : command_.rule.matches)
    if (module.name == kind->name) return;
  command_.rule.matches.push_back({kind->name});
}

// The option of a match or target that was named, or of the rule's protocol.
bool Parser::module_option(std::string_view word, bool negated) {
  IptablesRule& rule = command_.rule;
  if (rule.target)
    if (const auto* kind = option_kind(*target_kind(rule.target->name), word)) {
      add_option(*rule.target, *kind, negated);
      return true;
    }
  const auto find_in_matches = [&] {
    for (IptablesModule& module : rule.matches)
      if (const auto* kind = option_kind(*match_kind(module.name), word)) {
        add_option(module, *kind, negated);
        return true;
      }
    return false;
  };
  if (find_in_matches()) return true;
  if (!rule.protocol.value || rule.protocol.negated) return false;
  const IptablesModuleKind* implied = match_kind(net::text(*rule.protocol.value));
  if (implied == nullptr || option_kind(*implied, word) == nullptr) return false;
  load_match(implied->name);
  return find_in_matches();
}

void Parser::add_option(IptablesModule& module, const IptablesOptionKind& kind, bool negated) {
  IptablesOption option{kind.name, negated || words_.take("!"), {}};
  if (option.negated && !kind.may_negate)
    bad("`!' cannot stand before `" + std::string{kind.name} + "'");
  if (module.find(kind.name) != nullptr) bad("`" + std::string{kind.name} + "' stands there twice");
  option.words = read_argument(kind.argument, words_, command_.rule.protocol.value, names_);
  module.options.push_back(std::move(option));
}

void Parser::jump() {
  IptablesRule& rule = command_.rule;
  const std::string& word = words_.next("a target");
  if (rule.target || !rule.jump.empty()) bad("-j stands there twice");
  if (const IptablesModuleKind* kind = target_kind(word))
    rule.target = IptablesModule{kind->name};
  else
    rule.jump = word;
}

// What must be there.
void Parser::check_options(const IptablesModule& module) const {
  const auto any_of = [&](std::initializer_list<std::string_view> wanted) {
    for (const std::string_view name : wanted)
      if (module.find(name) != nullptr) return;
    std::string text;
    for (const std::string_view name : wanted)
      text += (text.empty() ? "" : " or ") + std::string{name};
    bad(std::string{module.name} + ": " + text + " is missing");
  };
  if (module.name == "multiport") any_of({"--sports", "--dports", "--ports"});
  if (module.name == "state") any_of({"--state"});
  if (module.name == "conntrack") any_of({"--ctstate"});
  if (module.name == "owner") any_of({"--uid-owner"});
  if (module.name == "mac") any_of({"--mac-source"});
  if (module.name == "tos") any_of({"--tos"});
  if (module.name == "length") any_of({"--length"});
  if (module.name == "ttl") any_of({"--ttl-eq", "--ttl-gt", "--ttl-lt"});
  if (module.name == "tcpmss") any_of({"--mss"});
  if (module.name == "quota") any_of({"--quota"});
  if (module.name == "mark") any_of({"--mark"});
  if (module.name == "helper") any_of({"--helper"});
  if (module.name == "MARK") any_of({"--set-mark"});
  if (module.name == "TOS") any_of({"--set-tos"});
  if (module.name == "SNAT") any_of({"--to-source"});
  if (module.name == "DNAT") any_of({"--to-destination"});
  if (module.name == "NETMAP") any_of({"--to"});
  if (module.name == "TCPMSS") any_of({"--set-mss", "--clamp-mss-to-pmtu"});
}

// The rule names this protocol, and no other fits.
bool Parser::is_only(net::Protocol wanted) const {
  const auto& protocol = command_.rule.protocol;
  return !protocol.negated && protocol.value.has_value() && *protocol.value == wanted;
}

void Parser::check_combinations() {
  const IptablesRule& rule = command_.rule;
  const bool has_ports = is_only(net::Protocol::tcp) || is_only(net::Protocol::udp);
  for (const IptablesModule& module : rule.matches) {
    check_options(module);
    const auto needed = match_kind(module.name)->protocol;
    if (needed && !is_only(*needed))
      bad("match `" + std::string{module.name} + "' needs -p " + net::text(*needed));
    if (module.name == "multiport" && !has_ports) bad("multiport needs -p tcp or -p udp");
  }
  if (rule.target) check_target(*rule.target, has_ports);
}

void Parser::check_target(const IptablesModule& target, bool has_ports) const {
  check_options(target);
  const bool is_nat = target_kind(target.name)->table == "nat";
  for (const IptablesOption& option : target.options) {
    const bool names_ports =
        option.name == "--to-ports" ||
        (!option.words.empty() && option.words[0].find(':') != std::string::npos);
    if (is_nat && names_ports && !has_ports) bad("ports to translate to need -p tcp or -p udp");
    if (option.words == std::vector<std::string>{"tcp-reset"} && !is_only(net::Protocol::tcp))
      bad("tcp-reset needs -p tcp");
  }
  if (target.name == "TCPMSS" && !is_only(net::Protocol::tcp)) bad("TCPMSS needs -p tcp");
}

}  // namespace

const IptablesOption* IptablesModule::find(std::string_view option) const {
  for (const IptablesOption& one : options)
    if (one.name == option) return &one;
  return nullptr;
}

IptablesCommand parse_iptables(std::span<const std::string> words, const Names& names) {
  const IptablesCommand command = Parser{words, names}.parse();
  if (command.has_rule && std::string_view{"AIRD"}.find(command.letter) == std::string_view::npos)
    bad(std::string{"-"} + command.letter + " takes no rule");
  return command;
}

}  // namespace masqgate::language
