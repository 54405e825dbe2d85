#include "daemon/control/ipmasqadm.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>
#include <vector>

namespace masqgate::control {
namespace {

using nat::AutoForward;
using nat::ForwardModule;
using nat::ForwardOrder;
using Act = ForwardOrder::Act;
using Words = std::span<const std::string>;

constexpr std::array<std::string_view, 3> kModules{"portfw", "autofw", "mfw"};

constexpr const char* kPortfwUsage =
    "Usage: portfw -a -P PROTO -L LADDR LPORT -R RADDR RPORT [-p PREF] add entry\n"
    "       portfw -d -P PROTO -L LADDR LPORT [-R RADDR RPORT]         delete entry\n"
    "       portfw -f                                                  clear table\n"
    "       portfw -l                                                  list table\n"
    "       portfw <args> -n                                           no names\n"
    "\n"
    "PROTO is the protocol, can be \"tcp\" or \"udp\"\n"
    "LADDR is the local interface receiving packets to be forwarded.\n"
    "LPORT is the port being redirected.\n"
    "RADDR is the remote address.\n"
    "RPORT is the port being redirected to.\n"
    "PREF  is the preference level (load balancing, default=10)\n";

constexpr const char* kMfwUsage =
    "Usage: mfw -A -m FWMARK -r RADDR RPORT [-p PREF] add entry\n"
    "       mfw -D -m FWMARK [-r RADDR RPORT]         delete entry\n"
    "       mfw -E -m FWMARK [-r RADDR RPORT]         edit entry\n"
    "       mfw -S -m FWMARK                          force scheduling\n"
    "       mfw -F                                    clear table\n"
    "       mfw -L                                    list table\n"
    "       mfw <args> -n                             no names\n"
    "\n"
    "FWMARK is the fwmark being redirected.\n"
    "RADDR is the remote address.\n"
    "RPORT is the port being redirected to.\n"
    "PREF  is the preference level (load balancing, default=10)\n";

constexpr const char* kAutofwUsage =
    "Usage:\n"
    "    ipautofw <command> <options>\n"
    "\n"
    "Valid commands:\n"
    "    -A                           add new autoforward entry\n"
    "    -D                           delete an autoforward entry\n"
    "    -F                           flush the autoforward table\n"
    "\n"
    "Valid options:\n"
    "    -r <type> <low> <high>       forward the ports <low> to <high> of the\n"
    "                                 protocol <type> (tcp or udp)\n"
    "    -d <type> <low> <high>       keep the source port of what goes out to\n"
    "                                 the ports <low> to <high>\n"
    "    -p <type> <visible> <host>:<hidden>\n"
    "                                 forward the port <visible> to the port\n"
    "                                 <hidden> of <host>\n"
    "    -h <host>                    the host that receives; implies -i\n"
    "    -c <type> <port>             the control port that opens the range;\n"
    "                                 without it -i is implied\n"
    "    -u                           no limit of 15 seconds\n"
    "    -i                           insecure: anybody may send\n"
    "    -v                           verbose\n";

// The whole word as a number in decimal; the historic tool stopped at the first other letter.
template <typename Number>
std::optional<Number> decimal(std::string_view word) {
  Number value = 0;
  const auto [stop, problem] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (problem != std::errc{} || stop != word.data() + word.size() || word.empty())
    return std::nullopt;
  return value;
}

net::Port port_number(std::string_view word) {
  return decimal<net::Port>(word).value_or(0);
}

std::optional<net::IpAddress> v4_address(std::string_view word) {
  const auto address = net::IpAddress::parse(word);
  return address && address->is_v4() && word.find(':') == word.npos ? address : std::nullopt;
}

// A mistake, as portfw and mfw ended with it. Thrown here only, and caught in parse_ipmasqadm().
[[noreturn]] void end(ForwardModule module, const std::string& text) {
  throw IpmasqadmEnd{2, "", std::string{name(module)} + ": " + text + "\n"};
}

// getopt(3) as the tools used it: letters may stand together, an argument may stick to its letter,
// words that are no options are passed over and counted.
class Options {
 public:
  Options(Words words, std::string_view with_argument, std::string_view without)
      : words_{words}, with_argument_{with_argument}, without_{without} {}

  struct Option {
    char letter = 0;            // '?': not an option, or its argument is missing
    std::string_view argument;  // of those that have one
    std::string complaint;      // for '?'
  };
  // Empty at the end.
  std::optional<Option> next();

  // What follows the word of the last argument, for options of two words.
  std::optional<std::string_view> following() const {
    return at_ < words_.size() ? std::optional<std::string_view>{words_[at_]} : std::nullopt;
  }
  // The last argument was a word of its own.
  bool was_apart() const { return apart_; }
  void skip() { ++at_; }
  bool any_strange() const { return strange_; }

 private:
  std::optional<Option> with_argument(char letter, std::string_view rest);

  Words words_;
  std::string_view with_argument_;
  std::string_view without_;
  std::size_t at_ = 0;
  std::string_view cluster_;
  bool apart_ = false;
  bool strange_ = false;
};

std::optional<Options::Option> Options::next() {
  while (cluster_.empty()) {
    if (at_ == words_.size()) return std::nullopt;
    const std::string_view word = words_[at_++];
    if (word == "--") {
      strange_ = strange_ || at_ < words_.size();
      at_ = words_.size();
    } else if (word.size() > 1 && word.front() == '-') {
      cluster_ = word.substr(1);
    } else {
      strange_ = true;
    }
  }
  const char letter = cluster_.front();
  cluster_.remove_prefix(1);
  if (without_.find(letter) != without_.npos) return Option{letter, {}, {}};
  if (with_argument_.find(letter) != with_argument_.npos)
    return with_argument(letter, std::exchange(cluster_, {}));
  return Option{'?', {}, std::string{"invalid option -- '"} + letter + "'"};
}

std::optional<Options::Option> Options::with_argument(char letter, std::string_view rest) {
  apart_ = rest.empty();
  if (!apart_) return Option{letter, rest, {}};
  if (at_ < words_.size()) return Option{letter, words_[at_++], {}};
  return Option{'?', {}, std::string{"option requires an argument -- '"} + letter + "'"};
}

struct Place {
  net::Endpoint endpoint = nat::kAnyEndpoint;
  int words = 0;  // how many were an address and a port: 0, 1 or 2
};

// An address, and a port if the next word is one.
Place parse_place(Options& options, std::string_view argument, bool numeric, const Names& names) {
  Place place;
  auto address = options.was_apart() ? v4_address(argument) : std::nullopt;
  if (!address && options.was_apart() && !numeric) address = names.address(argument);
  if (!address || !address->is_v4()) return place;
  place.endpoint.address = *address;
  place.words = 1;
  const auto word = options.following();
  if (!word) return place;
  auto port = decimal<net::Port>(*word);
  if (!port && !numeric) port = names.service(*word);
  if (!port) return place;
  options.skip();
  place.endpoint.port = *port;
  place.words = 2;
  return place;
}

// The one command of a line; 'l' stands for listing.
class Choice {
 public:
  explicit Choice(ForwardModule module) : module_{module} {}
  void set(char letter) {
    if (letter_ != 0) end(module_, "multiple commands specified");
    letter_ = letter;
  }
  char letter() const { return letter_; }

 private:
  ForwardModule module_;
  char letter_ = 0;
};

IpmasqadmEnd help(ForwardModule module, const Options::Option& option, const char* usage) {
  IpmasqadmEnd shown{0, usage, ""};
  if (!option.complaint.empty())
    shown.error = std::string{name(module)} + ": " + option.complaint + "\n";
  return shown;
}

void take_preference(ForwardModule module, std::string_view argument, int least, int& preference) {
  const auto value = decimal<int>(argument);
  if (!value || *value < least) end(module, "illegal preference value specified");
  preference = *value;
}

void take_place(ForwardModule module, Options& options, const Options::Option& option,
                const IpmasqadmCommand& command, const Names& names, int least, const char* what,
                net::Endpoint& to) {
  const bool plural = std::string_view{what} == "destination";
  if (to != nat::kAnyEndpoint)
    end(module, std::string{"multiple "} + what + (plural ? "s" : "") + " specified");
  const Place place = parse_place(options, option.argument, command.numeric, names);
  if (place.words < least) end(module, std::string{"illegal "} + what + " specified");
  to = place.endpoint;
}

IpmasqadmResult parse_portfw(Words words, const Names& names) {
  constexpr ForwardModule kModule = ForwardModule::portfw;
  IpmasqadmCommand command;
  nat::PortForward entry;
  std::optional<net::Protocol> protocol;
  Choice choice{kModule};
  Options options{words, "PRLp", "adflnh"};
  while (const auto option = options.next()) switch (option->letter) {
      case 'a':
      case 'd':
      case 'f':
      case 'l':
        choice.set(option->letter);
        break;
      case 'n':
        command.numeric = true;
        break;
      case 'P':
        if (protocol) end(kModule, "multiple protocols specified");
        if (option->argument.starts_with('t')) protocol = net::Protocol::tcp;
        if (option->argument.starts_with('u')) protocol = net::Protocol::udp;
        if (!protocol) end(kModule, "invalid protocol specified");
        break;
      case 'L':
        take_place(kModule, options, *option, command, names, 2, "local address/port", entry.local);
        break;
      case 'R':
        take_place(kModule, options, *option, command, names, 2, "destination", entry.remote);
        break;
      case 'p':
        take_preference(kModule, option->argument, 1, entry.preference);
        break;
      default:
        return help(kModule, *option, kPortfwUsage);
    }
  if (options.any_strange()) end(kModule, "unknown arguments found on commandline");
  entry.count = entry.preference;
  entry.protocol = protocol.value_or(entry.protocol);
  switch (choice.letter()) {
    case 'a':
    case 'd':
      if (!protocol || entry.local.port == 0) end(kModule, "insufficient options specified");
      command.order = ForwardOrder{choice.letter() == 'a' ? Act::add : Act::remove, entry};
      return command;
    case 'f':
    case 'l':
      if (protocol || entry.local.port != 0 || entry.remote != nat::kAnyEndpoint)
        end(kModule, "incompatible options specified");
      if (choice.letter() == 'f') command.order = ForwardOrder{Act::flush, nat::PortForward{}};
      return command;
    default:
      return IpmasqadmEnd{0, kPortfwUsage, ""};
  }
}

Act mfw_act(char letter) {
  switch (letter) {
    case 'A':
      return Act::add;
    case 'I':
      return Act::insert;
    case 'D':
      return Act::remove;
    case 'E':
      return Act::edit;
    case 'S':
      return Act::schedule;
    default:
      return Act::flush;
  }
}

// -I is the article's (seed 002): the kernel could insert, the tool could not say so.
IpmasqadmResult parse_mfw(Words words, const Names& names) {
  constexpr ForwardModule kModule = ForwardModule::mfw;
  IpmasqadmCommand command;
  nat::MarkForward entry;
  Choice choice{kModule};
  Options options{words, "mrp", "AIEDFSLnh"};
  while (const auto option = options.next()) switch (option->letter) {
      case 'n':
        command.numeric = true;
        break;
      case 'm':
        entry.mark = decimal<std::uint32_t>(option->argument).value_or(0);
        break;
      case 'r':
        take_place(kModule, options, *option, command, names, 1, "destination", entry.remote);
        break;
      case 'p':
        take_preference(kModule, option->argument, 0, entry.preference);
        break;
      case 'h':
      case '?':
        return help(kModule, *option, kMfwUsage);
      default:
        choice.set(option->letter);
    }
  if (options.any_strange()) end(kModule, "unknown arguments found on commandline");
  const char letter = choice.letter();
  if (letter == 0) return IpmasqadmEnd{0, kMfwUsage, ""};
  if ((letter == 'A' || letter == 'I' || letter == 'D') && entry.mark == 0)
    end(kModule, "insufficient options specified");
  const bool whole_table = letter == 'F' || letter == 'L';
  if (whole_table && (entry.mark != 0 || entry.remote != nat::kAnyEndpoint))
    end(kModule, "incompatible options specified");
  entry.count = entry.preference;
  if (letter == 'S') entry = {entry.mark};
  if (whole_table) entry = {};
  if (letter != 'L') command.order = ForwardOrder{mfw_act(letter), entry};
  return command;
}

// autofw says everything on its standard output.
[[noreturn]] void end_autofw(const std::string& text) {
  throw IpmasqadmEnd{1, text + "\n", ""};
}

// Words one by one; the historic tool read behind the last one.
class AutofwWords {
 public:
  explicit AutofwWords(Words words) : words_{words} {}
  bool empty() const { return words_.empty(); }
  std::string_view take() {
    if (words_.empty()) return {};
    const std::string_view word = words_.front();
    words_ = words_.subspan(1);
    return word;
  }
  net::Protocol take_protocol(const char* what) {
    const std::string_view word = take();
    if (word.starts_with('t')) return net::Protocol::tcp;
    if (word.starts_with('u')) return net::Protocol::udp;
    end_autofw(std::string{what} + " must be either tcp or udp");
  }
  net::IpAddress take_address(std::string_view word) {
    const auto address = v4_address(word);
    if (!address) end_autofw("Invalid IP address: " + std::string{word});
    return *address;
  }

 private:
  Words words_;
};

void take_range(AutoForward& entry, AutofwWords& words, char letter) {
  entry.protocol = words.take_protocol("protocol");
  entry.ports.first = port_number(words.take());
  entry.ports.last = port_number(words.take());
  if (entry.ports.first == 0 || entry.ports.last < entry.ports.first)
    end_autofw("Illegal port numbers");
  if (entry.kind != AutoForward::Kind::none)
    end_autofw(letter == 'r' ? "-r cannot be used in conjunction with -p or -d"
                             : "-d cannot be used in conjunction with -p or -r");
  entry.kind = letter == 'r' ? AutoForward::Kind::range : AutoForward::Kind::direct;
}

void take_bounce(AutoForward& entry, AutofwWords& words) {
  entry.protocol = words.take_protocol("protocol");
  entry.visible = port_number(words.take());
  const std::string_view target = words.take();
  const std::size_t colon = std::min(target.rfind(':'), target.size());
  entry.named = words.take_address(target.substr(0, colon));
  entry.hidden = colon < target.size() ? port_number(target.substr(colon + 1)) : net::Port{0};
  if (entry.visible == 0 || entry.hidden == 0) end_autofw("Illegal port numbers");
  if (entry.kind != AutoForward::Kind::none)
    end_autofw("-p cannot be used in conjunction with -r or -d");
  entry.kind = AutoForward::Kind::port;
}

void take_autofw_option(AutoForward& entry, IpmasqadmCommand& command, AutofwWords& words) {
  const std::string_view word = words.take();
  const char letter = word.size() > 1 && word.front() == '-' ? word[1] : '\0';
  switch (letter) {
    case 'r':
    case 'd':
      return take_range(entry, words, letter);
    case 'p':
      return take_bounce(entry, words);
    case 'h':
      entry.named = words.take_address(words.take());
      entry.secure = false;
      return;
    case 'c':
      entry.control_protocol = words.take_protocol("Control protocol");
      entry.control_port = port_number(words.take());
      return;
    case 'u':
      entry.timed = false;
      return;
    case 'i':
      entry.secure = false;
      return;
    case 'v':
      command.verbose = true;
      return;
    default:  // the historic tool went on behind a word without a dash
      end_autofw("Invalid option: " + std::string{word});
  }
}

IpmasqadmResult parse_autofw(Words given) {
  AutofwWords words{given};
  if (words.empty()) return IpmasqadmEnd{1, kAutofwUsage, ""};
  IpmasqadmCommand command;
  AutoForward entry;
  const std::string_view first = words.take();
  const char letter = first.size() > 1 ? first[1] : '\0';
  if (letter != 'A' && letter != 'D' && letter != 'F')
    end_autofw("Command must be either -A, -D, or -F");
  if (letter == 'F' && !words.empty()) end_autofw("The flush command does not take options");
  while (!words.empty()) take_autofw_option(entry, command, words);
  if (entry.control_port == 0) entry.secure = false;
  if (entry.control_port != 0 && !entry.secure)
    command.complaints = "-i cannot be specified with a control port\n";
  if (letter == 'F') {
    command.order = ForwardOrder{Act::flush, AutoForward{}};
    return command;
  }
  if (entry.kind == AutoForward::Kind::none)
    end_autofw("You must select a type of forwarding (direct, port, or range)");
  command.order = ForwardOrder{letter == 'A' ? Act::add : Act::remove, entry};
  return command;
}

std::string words_of(net::Endpoint endpoint) {
  return endpoint.address.text() + " " + std::to_string(endpoint.port);
}

std::string words_of(const AutoForward& entry) {
  using Kind = AutoForward::Kind;
  const std::string protocol = net::text(entry.protocol);
  std::string words;
  if (entry.kind == Kind::port) {
    words += " -p " + protocol + " " + std::to_string(entry.visible) + " " + entry.named.text() +
             ":" + std::to_string(entry.hidden);
  } else {
    words += (entry.kind == Kind::range ? " -r " : " -d ") + protocol + " " +
             std::to_string(entry.ports.first) + " " + std::to_string(entry.ports.last);
    if (!entry.named.is_unspecified()) words += " -h " + entry.named.text();
  }
  if (net::number(entry.control_protocol) != 0)
    words += " -c " + net::text(entry.control_protocol) + " " + std::to_string(entry.control_port);
  if (!entry.timed) words += " -u";
  if (!entry.secure) words += " -i";
  return words;
}

}  // namespace

std::optional<nat::ForwardModule> forward_module(std::string_view name) {
  const auto found = std::ranges::find(kModules, name);
  if (found == kModules.end()) return std::nullopt;
  return static_cast<nat::ForwardModule>(found - kModules.begin());
}

std::string_view name(nat::ForwardModule module) {
  return kModules[static_cast<std::size_t>(module)];
}

IpmasqadmResult parse_ipmasqadm(nat::ForwardModule module, Words words, const Names& names) {
  try {
    switch (module) {
      case ForwardModule::portfw:
        return parse_portfw(words, names);
      case ForwardModule::autofw:
        return parse_autofw(words);
      default:
        return parse_mfw(words, names);
    }
  } catch (const IpmasqadmEnd& ended) {
    return ended;
  }
}

IpmasqadmResult parse_ipmasqadm(nat::ForwardModule module, std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  const auto is_odd = [](char c) { return static_cast<unsigned char>(c) < ' ' && c != '\t'; };
  if (line.size() > kMostIpmasqadmBytes || std::ranges::any_of(line, is_odd))
    return IpmasqadmEnd{2, "", std::string{name(module)} + ": write one command, on one line\n"};
  std::vector<std::string> words;
  for (std::size_t at = 0; (at = line.find_first_not_of(" \t", at)) != line.npos;) {
    const std::size_t stop = std::min(line.find_first_of(" \t", at), line.size());
    words.emplace_back(line.substr(at, stop - at));
    at = stop;
  }
  return parse_ipmasqadm(module, words);
}

std::string ipmasqadm_words(const nat::ForwardOrder& order) {
  if (const auto* entry = std::get_if<nat::PortForward>(&order.entry)) {
    if (order.act == Act::flush) return "-f";
    std::string words = order.act == Act::add ? "-a" : "-d";
    words += " -P " + net::text(entry->protocol) + " -L " + words_of(entry->local);
    words += " -R " + words_of(entry->remote);
    return words + " -p " + std::to_string(entry->preference);
  }
  if (const auto* entry = std::get_if<AutoForward>(&order.entry)) {
    if (order.act == Act::flush) return "-F";
    return (order.act == Act::remove ? "-D" : "-A") + words_of(*entry);
  }
  const auto& entry = std::get<nat::MarkForward>(order.entry);
  if (order.act == Act::flush) return "-F";
  const std::string mark = " -m " + std::to_string(entry.mark);
  if (order.act == Act::schedule) return "-S" + mark;
  constexpr std::string_view kLetters = "AIDE";  // in the order of Act
  return std::string{"-"} + kLetters[static_cast<std::size_t>(order.act)] + mark + " -r " +
         words_of(entry.remote) + " -p " + std::to_string(entry.preference);
}

std::string ipmasqadm_description(const nat::ForwardOrder& order) {
  using Kind = AutoForward::Kind;
  const auto* entry = std::get_if<AutoForward>(&order.entry);
  if (entry == nullptr) return "";
  const std::string protocol = net::text(entry->protocol);
  std::string text = order.act == Act::remove ? "Deleting autofwd " : "Adding autofwd ";
  const std::string ports =
      "ports " + std::to_string(entry->ports.first) + " - " + std::to_string(entry->ports.last);
  if (entry->kind == Kind::direct) text += "(direct) " + ports + "\n";
  if (entry->kind == Kind::port)
    text += protocol + " port " + std::to_string(entry->visible) + " -> " + entry->named.text() +
            ":" + std::to_string(entry->hidden) + " ";
  if (entry->kind == Kind::range) text += protocol + " " + ports + " ";
  if (entry->kind == Kind::range && !entry->named.is_unspecified())
    text += "to fixed host " + entry->named.text() + " ";
  if (entry->control_port != 0)
    text += "via " + net::text(entry->control_protocol) + " ctl port " +
            std::to_string(entry->control_port) + " ";
  return text + (entry->timed ? "U" : "") + (entry->secure ? "S" : "") + "\n";
}

std::string ipmasqadm_failure(nat::ForwardModule module, nat::ForwardProblem problem) {
  return std::string{name(module)} +
         ": setsockopt failed: " + std::strerror(static_cast<int>(problem));
}

}  // namespace masqgate::control
