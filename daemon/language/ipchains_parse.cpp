#include "daemon/language/ipchains_command.hpp"

#include <array>
#include <functional>

namespace masqgate::language {
namespace {

[[noreturn]] void bad(const std::string& sentence) {
  throw Mistake{2, sentence};
}

class Parser {
 public:
  Parser(std::span<const std::string> words, const Names& names) : words_{words}, names_{names} {}
  IpchainsCommand parse();

 private:
  void option(std::string_view word, bool negated);
  bool command(std::string_view word);
  bool part(std::string_view word, bool negated);
  bool action(std::string_view word);
  void address(IpchainsRule::Part<net::Prefix>& prefix, IpchainsRule::Part<net::PortRange>& range,
               bool negated);
  void port_range(IpchainsRule::Part<net::PortRange>& range, bool is_code);
  void icmp(bool negated);
  void interface(bool negated);
  void type_of_service();
  void mark();
  void check_combinations();
  net::Protocol protocol() const { return command_.rule.protocol.value.value_or(net::Protocol{}); }

  Reader words_;
  const Names& names_;
  IpchainsCommand command_;
  // Words about ports may stand before the one that says the protocol.
  std::vector<std::function<void()>> later_;
  bool any_ports_ = false;
};

IpchainsCommand Parser::parse() {
  while (!words_.done()) {
    bool negated = words_.take("!");
    const std::string& word = words_.next("an option");
    option(word, negated);
  }
  for (const auto& step : later_) step();
  check_combinations();
  return command_;
}

void Parser::option(std::string_view word, bool negated) {
  if (word.size() > 2 && word.front() == '-' && word[1] != '-' && !negated) {
    // Letters that stand together: the first ones take nothing.
    if (std::string_view{"vnxlyfb"}.find(word[1]) == word.npos)
      bad("unknown option `" + std::string{word} + "'");
    for (const char letter : word.substr(1)) option(std::string{'-', letter}, false);
    return;
  }
  if (part(word, negated)) {
    command_.has_rule = true;
    return;
  }
  if (negated) bad("`!' cannot stand before `" + std::string{word} + "'");
  if (action(word)) {
    command_.has_rule = true;
    return;
  }
  const bool known =
      command(word) || read_list_option(command_.list, word) || word == "--no-warnings";
  if (!known) bad("unknown option `" + std::string{word} + "'");
}

bool Parser::command(std::string_view word) {
  constexpr std::array<CommandWord, 1> kMore{{{'C', "--check", true}}};
  if (is_option(word, "-h", "--help")) bad("see the manual page masqctl(1)");
  if (is_option(word, "-M", "--masquerading")) return command_.masquerading = true;
  if (is_option(word, "-S", "--set")) {
    const auto seconds = [&] {
      const auto value = number(words_.next("a time-out"));
      if (!value) bad("-S needs three numbers of seconds");
      return *value;
    };
    command_.timeouts = MasqueradeTimeouts{};
    command_.timeouts->tcp = seconds();
    command_.timeouts->tcp_fin = seconds();
    command_.timeouts->udp = seconds();
    return true;
  }
  const char letter = read_command(command_, word, words_, kMore);
  if (letter == 'P') command_.policy = words_.next("a policy");
  return letter != 0;
}

bool Parser::part(std::string_view word, bool negated) {
  IpchainsRule& rule = command_.rule;
  if (is_option(word, "-s", "--source") || word == "--src") {
    address(rule.source, rule.source_ports, negated);
  } else if (is_option(word, "-d", "--destination") || word == "--dst") {
    address(rule.destination, rule.destination_ports, negated);
  } else if (is_option(word, "--sport", "--source-port")) {
    port_range(rule.source_ports, false);
  } else if (is_option(word, "--dport", "--destination-port")) {
    port_range(rule.destination_ports, true);
  } else if (word == "--icmp-type") {
    icmp(negated);
  } else if (is_option(word, "-p", "--protocol")) {
    rule.protocol.negated = negated || words_.take("!");
    rule.protocol.value = language::protocol(words_.next("a protocol"));
    if (rule.protocol.negated && !rule.protocol.value) bad("rule would never match protocol");
  } else if (is_option(word, "-i", "--interface")) {
    interface(negated);
  } else if (is_option(word, "-y", "--syn")) {
    rule.syn = {true, negated};
  } else if (is_option(word, "-f", "--fragments")) {
    rule.fragment = {true, negated};
  } else {
    return false;
  }
  return true;
}

bool Parser::action(std::string_view word) {
  IpchainsRule& rule = command_.rule;
  if (is_option(word, "-j", "--jump")) {
    rule.target = words_.next("a target");
    if (rule.target == "REDIRECT" && words_.argument_follows() && words_.peek() != "!")
      rule.redirect = ports(words_.next("a port"), net::Protocol::tcp, names_).first;
  } else if (is_option(word, "-m", "--mark")) {
    mark();
  } else if (is_option(word, "-t", "--TOS")) {
    type_of_service();
  } else if (is_option(word, "-l", "--log")) {
    rule.log = true;
  } else if (is_option(word, "-b", "--bidirectional")) {
    command_.bidirectional = true;
  } else if (is_option(word, "-o", "--output")) {
    bad("-o copied packets to a netlink device; masqgate has none: use a divert port");
  } else {
    return false;
  }
  return true;
}

void Parser::address(IpchainsRule::Part<net::Prefix>& prefix,
                     IpchainsRule::Part<net::PortRange>& range, bool negated) {
  prefix.negated = negated || words_.take("!");
  prefix.value = network(words_.next("an address"), names_);
  if (words_.argument_follows()) port_range(range, &range == &command_.rule.destination_ports);
}

// Of ICMP a type, or behind -d a code.
void Parser::port_range(IpchainsRule::Part<net::PortRange>& range, bool is_code) {
  range.negated = words_.take("!");
  any_ports_ = true;
  later_.push_back([this, &range, is_code, word = words_.next("a port")] {
    if (protocol() != net::Protocol::icmp || is_code || number(word) ||
        word.find(':') != word.npos) {
      range.value = ports(word, protocol(), names_);
      return;
    }
    const IcmpType type = icmp_type(word);
    range.value = {type.type, type.type};
    if (type.last_code != 255)
      command_.rule.destination_ports.value = {type.first_code, type.last_code};
  });
}

void Parser::icmp(bool negated) {
  IpchainsRule& rule = command_.rule;
  rule.source_ports.negated = negated || words_.take("!");
  const IcmpType type = icmp_type(words_.next("an ICMP type"));
  rule.source_ports.value = {type.type, type.type};
  if (type.last_code != 255) rule.destination_ports.value = {type.first_code, type.last_code};
  any_ports_ = true;
}

void Parser::interface(bool negated) {
  auto& interface = command_.rule.interface;
  interface.negated = negated || words_.take("!");
  interface.value = words_.next("an interface");
  if (interface.value == "+") interface.value.clear();
  if (interface.negated && interface.value.empty()) bad("rule would never match interface");
}

void Parser::type_of_service() {
  const auto byte = [&] {
    const std::string& word = words_.next("a mask");
    std::uint32_t value = 0;
    for (const char c : word.starts_with("0x") ? word.substr(2) : word) {
      const std::size_t digit =
          std::string_view{"0123456789abcdef"}.find(static_cast<char>(c | 0x20));
      if (digit == std::string_view::npos) bad("invalid TOS mask `" + word + "' specified");
      value = value << 4 | static_cast<std::uint32_t>(digit);
    }
    if (value > 255 || word.empty()) bad("invalid TOS mask `" + word + "' specified");
    return static_cast<std::uint8_t>(value);
  };
  command_.rule.tos_and = byte();
  command_.rule.tos_xor = byte();
  // The bit that must be zero stays as it is.
  if ((command_.rule.tos_and & 1) == 0 || (command_.rule.tos_xor & 1) != 0)
    bad("the lowest bit of the type of service must not be changed");
}

void Parser::mark() {
  std::string word = words_.next("a mark");
  IpchainsRule& rule = command_.rule;
  const bool adds = word.starts_with('+') || word.starts_with('-');
  const bool subtracts = word.starts_with('-');
  if (adds) word.erase(0, 1);
  const auto value = number(word);
  if (!value) bad("invalid mark value `" + word + "' specified");
  rule.marking = adds ? IpchainsRule::Mark::add : IpchainsRule::Mark::set;
  rule.mark = subtracts ? 0 - *value : *value;
}

void Parser::check_combinations() {
  const IpchainsRule& rule = command_.rule;
  const net::Protocol kind = protocol();
  const bool has_ports = kind == net::Protocol::tcp || kind == net::Protocol::udp;
  if (any_ports_ && ((!has_ports && kind != net::Protocol::icmp) || rule.protocol.negated))
    bad("can only specify ports for icmp, tcp or udp");
  if (rule.syn.value && (kind != net::Protocol::tcp || rule.protocol.negated))
    bad("can only use -y with TCP protocol");
  if (rule.fragment.value && !rule.fragment.negated && (any_ports_ || rule.syn.value))
    bad("only the first fragment has ports and flags: -f excludes them");
  if (command_.bidirectional && kind == net::Protocol::icmp && any_ports_)
    bad("can't use -b with an ICMP type or code");
  if (rule.redirect != 0 && !has_ports) bad("REDIRECT needs -p tcp or -p udp");
  if (command_.masquerading && command_.letter != 'L' && !command_.timeouts)
    bad("-M goes with -L or with -S");
  if (command_.timeouts && !command_.masquerading) bad("-S goes with -M");
}

}  // namespace

IpchainsCommand parse_ipchains(std::span<const std::string> words, const Names& names) {
  const IpchainsCommand command = Parser{words, names}.parse();
  if (command.has_rule && std::string_view{"AIRDC"}.find(command.letter) == std::string_view::npos)
    bad(std::string{"-"} + command.letter + " takes no rule");
  return command;
}

}  // namespace masqgate::language
