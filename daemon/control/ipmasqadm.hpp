// The command language of ipmasqadm (history 4): words to orders, orders to words.
//
// Reads what the historic tool read and answers as it answered, usage and mistakes included. It does
// nothing itself: masqctl prints and sends, the state tree executes.

#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "daemon/nat/forwards.hpp"

namespace masqgate::control {

// How words that are no numbers become addresses and ports.
class Names {
 public:
  virtual ~Names() = default;
  virtual std::optional<net::IpAddress> address(std::string_view) const { return std::nullopt; }
  virtual std::optional<net::Port> service(std::string_view) const { return std::nullopt; }
};

// A command line that was understood.
struct IpmasqadmCommand {
  // Empty: list the table.
  std::optional<nat::ForwardOrder> order;
  bool numeric = false;      // -n: no names when listing
  bool verbose = false;      // -v of autofw
  std::string complaints{};  // what the tool complained about, and went on; lines
};

// Where the tool ended with words of its own: usage, or a mistake.
struct IpmasqadmEnd {
  int status = 0;
  std::string output{};  // for the standard output
  std::string error{};   // for the standard error
};

using IpmasqadmResult = std::variant<IpmasqadmCommand, IpmasqadmEnd>;

constexpr std::size_t kMostIpmasqadmBytes = 4096;  // of one command line written to a file

std::optional<nat::ForwardModule> forward_module(std::string_view name);
std::string_view name(nat::ForwardModule module);

// words: what follows the module's name.
IpmasqadmResult parse_ipmasqadm(nat::ForwardModule module, std::span<const std::string> words,
                                const Names& names = {});
// Words separated by blanks, with or without a line break at the end.
IpmasqadmResult parse_ipmasqadm(nat::ForwardModule module, std::string_view line);

// The words, in numbers, that parse to this order.
std::string ipmasqadm_words(const nat::ForwardOrder& order);
// What -v prints before it is done.
std::string ipmasqadm_description(const nat::ForwardOrder& order);
// "portfw: setsockopt failed: No such process"
std::string ipmasqadm_failure(nat::ForwardModule module, nat::ForwardProblem problem);

}  // namespace masqgate::control
