// What the old rule languages share: words of a line, names and numbers, and how a command ends.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/net/endpoint.hpp"
#include "daemon/net/prefix.hpp"

namespace masqgate::language {

// How words that are no numbers become addresses and ports, and back. Without it there are numbers
// only.
class Names {
 public:
  virtual ~Names() = default;
  virtual std::optional<net::IpAddress> address(std::string_view) const { return std::nullopt; }
  virtual std::optional<net::Port> service(std::string_view, net::Protocol) const {
    return std::nullopt;
  }
  virtual std::optional<std::uint32_t> user(std::string_view) const { return std::nullopt; }
  // Empty where there is none.
  virtual std::string host(net::IpAddress) const { return {}; }
  virtual std::string service(net::Port, net::Protocol) const { return {}; }
};

// A rule of a chain, from 1 on; 0: none is meant. Only iptables has tables.
struct RulePlace {
  std::string table{}, chain{};
  std::size_t rule = 0;
  std::string text() const;  // "table nat, chain PREROUTING, rule 2"
};

// The line that makes this rule, from 1 on; 0 where no line alone does, as where rules are
// inserted.
std::size_t line_of(std::span<const std::string> lines, const RulePlace& place);
// The rule that this line makes; none where it makes no rule.
RulePlace place_of(std::span<const std::string> lines, std::size_t line);

// A mistake in a command, and the status with which the old tool ended.
struct Mistake {
  int status = 2;
  std::string sentence;  // without the tool's name
  std::size_t line = 0;  // of a rule set in lines, from 1 on; then the sentence tells it, too
  RulePlace place{};  // of a rule that was read well and cannot be had; the sentence tells it, too
};

constexpr std::size_t kMostLineBytes = 4096;

// Words separated by blanks, quoted as a shell quotes them; throws Mistake where a quote is open or
// the line too long.
std::vector<std::string> split(std::string_view line);
// The word, quoted if a shell would have to.
std::string quoted(std::string_view word);

// Walks over words. An option's arguments are asked for one by one.
class Reader {
 public:
  explicit Reader(std::span<const std::string> words) : words_{words} {}
  bool done() const { return at_ == words_.size(); }
  // Throws Mistake where there is none.
  const std::string& next(std::string_view what);
  // Whether the next word is exactly this one; then it is taken.
  bool take(std::string_view word);
  // Whether a word follows that is no option; "!" is one.
  bool argument_follows() const;
  std::string_view peek() const { return done() ? std::string_view{} : words_[at_]; }

 private:
  std::span<const std::string> words_;
  std::size_t at_ = 0;
};

// Decimal, 0x… or 0…, as strtoul(3) with base 0 takes them; nothing may follow.
std::optional<std::uint32_t> number(std::string_view word);

// "192.168.0.0/16", "10.0.0.1/255.255.255.0", a bare address, "0/0", or a name. Host bits are cut
// off, as the old tools did. Throws Mistake; a mask with holes is refused by name.
net::Prefix network(std::string_view word, const Names& names);
// "80", "1024:", ":1023", "6000:6010", names; the separator is a letter. Throws Mistake.
net::PortRange ports(std::string_view word, net::Protocol protocol, const Names& names,
                     char separator = ':');
// Name or number; "all" is none.
std::optional<net::Protocol> protocol(std::string_view word);

// 0 to 255 both; any code: 0 to 255.
struct IcmpType {
  std::uint8_t type = 0;
  std::uint8_t first_code = 0;
  std::uint8_t last_code = 255;
  friend bool operator==(const IcmpType&, const IcmpType&) = default;
};
// "echo-request", "host-unreachable", "3", "3/1". Throws Mistake.
IcmpType icmp_type(std::string_view word);
// The name of the list, or "3/1".
std::string icmp_name(const IcmpType& type);

// "1234", "12K", "3M", "1G": thousands above 99,999, as both tools shortened counters.
std::string short_count(std::uint64_t count, bool exact);
// The dotted mask of so many bits.
std::string mask_text(unsigned length);

}  // namespace masqgate::language
