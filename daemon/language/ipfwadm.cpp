#include "daemon/language/ipfwadm.hpp"

#include <array>
#include <optional>

#include "daemon/language/words.hpp"

namespace masqgate::language {
namespace {

using Line = std::vector<std::string>;

[[noreturn]] void bad(const std::string& sentence) {
  throw Mistake{2, sentence};
}

// An address and the ports behind it.
struct Side {
  std::string address = "0.0.0.0/0";
  std::vector<std::string> ports;
};

class Translation {
 public:
  explicit Translation(std::span<const std::string> words) : words_{words} {}
  std::vector<Line> run();

 private:
  void category(const std::string& word);
  void command(const std::string& word);
  void take_option(const std::string& word);
  void part(const std::string& word);
  Side side();
  std::string target(std::string_view policy) const;
  Line rule(const std::string& from_port, const std::string& to_port) const;
  Line head(const std::string& chain) const;
  std::vector<Line> lines() const;
  std::vector<Line> rules() const;
  bool has_rule() const {
    return command_ == 'a' || command_ == 'i' || command_ == 'd' || command_ == 'c';
  }

  Reader words_;
  char category_ = 0;
  std::vector<std::string> chains_;  // of accounting there may be two
  char command_ = 0;
  bool zeroes_ = false;
  std::string policy_;
  std::array<std::string, 3> timeouts_;
  std::string protocol_;
  Side from_, to_;
  std::string interface_;
  Line extra_;  // flags of the rule, in ipchains' words
  Line list_;   // flags of a listing
  bool masquerade_ = false;
  std::optional<std::string> redirect_;
};

void Translation::category(const std::string& word) {
  if (category_ != 0) bad("can't use `" + word + "' with -" + category_);
  category_ = word[1];
  switch (category_) {
    case 'I':
      chains_ = {"input"};
      break;
    case 'O':
      chains_ = {"output"};
      break;
    case 'F':
      chains_ = {"forward"};
      break;
    case 'A':
      if (words_.take("in"))
        chains_ = {"input"};
      else if (words_.take("out"))
        chains_ = {"output"};
      else
        chains_ = {"input", "output"};
      words_.take("both");
      break;
    default:
      break;
  }
}

void Translation::command(const std::string& word) {
  const bool lists_and_zeroes =
      (command_ == 'l' && word[1] == 'z') || (command_ == 'z' && word[1] == 'l');
  if (command_ != 0 && !lists_and_zeroes) bad("can't use `" + word + "' with -" + command_);
  zeroes_ = zeroes_ || word[1] == 'z';
  command_ = lists_and_zeroes ? 'l' : word[1];
  const bool wants_policy = command_ == 'p' || (has_rule() && command_ != 'c' && category_ != 'A');
  // To take a rule away its policy may be left out.
  if (wants_policy && (command_ != 'd' || words_.argument_follows()))
    policy_ = words_.next("a policy");
  if (command_ == 's')
    for (std::string& seconds : timeouts_) seconds = words_.next("a time-out");
}

Side Translation::side() {
  Side side{words_.next("an address"), {}};
  while (words_.argument_follows()) side.ports.push_back(words_.next("a port"));
  if (side.ports.size() > 10) bad("too many ports: at most 10");
  return side;
}

void Translation::part(const std::string& word) {
  switch (word[1]) {
    case 'P':
      protocol_ = words_.next("a protocol");
      break;
    case 'S':
      from_ = side();
      break;
    case 'D':
      to_ = side();
      break;
    case 'W':
      interface_ = words_.next("an interface");
      break;
    case 'b':
      extra_.emplace_back("-b");
      break;
    case 'k':
      extra_.insert(extra_.end(), {"!", "-y"});
      break;
    case 'y':
      extra_.emplace_back("-y");
      break;
    case 'o':
      extra_.emplace_back("-l");
      break;
    case 'm':
      masquerade_ = true;
      break;
    case 'r':
      redirect_ = words_.argument_follows() ? words_.next("a port") : "";
      break;
    case 't':
      extra_.emplace_back("-t");
      extra_.push_back(words_.next("a mask"));
      extra_.push_back(words_.next("a mask"));
      break;
    case 'V':
      bad("-V names an interface by its address: say -W and its name");
    default:
      bad("unknown option `" + word + "'");
  }
}

void Translation::take_option(const std::string& word) {
  if (word.size() != 2 || word[0] != '-') bad("unknown option `" + word + "'");
  const char letter = word[1];
  const auto is_one_of = [&](std::string_view letters) {
    return letters.find(letter) != std::string_view::npos;
  };
  if (is_one_of("AIOFM"))
    category(word);
  else if (is_one_of("aidlzfpsc"))
    command(word);
  else if (letter == 'n' || letter == 'x')
    list_.push_back(word);
  else if (letter == 'e' || letter == 'v')
    list_.emplace_back("-v");
  else
    part(word);
}

std::string Translation::target(std::string_view policy) const {
  // As the tool, by their first letters.
  const auto is = [&](std::string_view name) {
    return !policy.empty() && name.starts_with(policy);
  };
  if (is("masquerade") || (is("accept") && masquerade_)) return "MASQ";
  if (is("accept")) return redirect_ ? "REDIRECT" : "ACCEPT";
  if (is("deny")) return "DENY";
  if (is("reject")) return "REJECT";
  bad("invalid policy `" + std::string{policy} + "' specified");
}

Line Translation::rule(const std::string& from_port, const std::string& to_port) const {
  Line line{"-s", from_.address};
  if (!from_port.empty()) line.push_back(from_port);
  line.insert(line.end(), {"-d", to_.address});
  if (!to_port.empty()) line.push_back(to_port);
  if (!protocol_.empty()) line.insert(line.end(), {"-p", protocol_});
  if (!interface_.empty()) line.insert(line.end(), {"-i", interface_});
  line.insert(line.end(), extra_.begin(), extra_.end());
  if (policy_.empty()) return line;
  line.insert(line.end(), {"-j", target(policy_)});
  if (redirect_ && !redirect_->empty() && *redirect_ != "0") line.push_back(*redirect_);
  return line;
}

// What stands in front of a rule's words.
Line Translation::head(const std::string& chain) const {
  if (category_ == 'A' && command_ != 'd') return {"-I", chain, "1"};
  switch (command_) {
    case 'a':
      return {"-A", chain};
    case 'i':
      return {"-I", chain};
    case 'd':
      return {"-D", chain};
    default:
      return {"-C", chain};
  }
}

std::vector<Line> Translation::rules() const {
  std::vector<Line> all;
  const auto or_none = [](const std::vector<std::string>& ports) {
    return ports.empty() ? std::vector<std::string>{""} : ports;
  };
  for (const std::string& chain : chains_)
    for (const std::string& from : or_none(from_.ports))
      for (const std::string& to : or_none(to_.ports)) {
        Line line = head(chain);
        const Line words = rule(from, to);
        line.insert(line.end(), words.begin(), words.end());
        all.push_back(std::move(line));
      }
  return all;
}

std::vector<Line> Translation::lines() const {
  const auto with_list = [&](Line line) {
    line.insert(line.end(), list_.begin(), list_.end());
    return line;
  };
  if (category_ == 'M') {
    if (command_ == 'l') return {with_list({"-M", "-L"})};
    if (command_ == 's') return {{"-M", "-S", timeouts_[0], timeouts_[1], timeouts_[2]}};
    bad("-M goes with -l or with -s");
  }
  if (command_ == 's') bad("-s goes with -M");
  if (has_rule()) return rules();
  std::vector<Line> all;
  for (const std::string& chain : chains_) switch (command_) {
      case 'l':
        all.push_back(with_list(zeroes_ ? Line{"-L", chain, "-Z"} : Line{"-L", chain}));
        break;
      case 'f':
        all.push_back({"-F", chain});
        break;
      case 'z':
        all.push_back({"-Z", chain});
        break;
      case 'p':
        all.push_back({"-P", chain, target(policy_)});
        break;
      default:
        bad("no command specified");
    }
  return all;
}

std::vector<Line> Translation::run() {
  while (!words_.done()) take_option(words_.next("an option"));
  if (category_ == 0) bad("one of -A, -I, -O, -F and -M is missing");
  if (category_ == 'A' && command_ == 'f')
    bad("-A -f would take the rules of input and output along: take them away one by one with -d");
  if (masquerade_ && category_ != 'F') bad("-m goes with -F");
  if (redirect_ && category_ != 'I') bad("-r goes with -I");
  return lines();
}

}  // namespace

std::vector<Line> ipfwadm_as_ipchains(std::span<const std::string> words) {
  return Translation{words}.run();
}

}  // namespace masqgate::language
