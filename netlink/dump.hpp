// Asks the kernel for whole lists: all links, addresses, routes of all tables, rules, neighbours.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "netlink/socket.hpp"

namespace masqgate::netlink {

enum class List { links, addresses, routes_v4, routes_v6, rules_v4, rules_v6, neighbours };
inline constexpr List kAllLists[] = {List::links,     List::addresses, List::routes_v4,
                                     List::routes_v6, List::rules_v4,  List::rules_v6,
                                     List::neighbours};
inline constexpr List kRouteLists[] = {List::routes_v4, List::routes_v6};

// Fetches lists one after the other over its own socket. A list that changed under the kernel's
// hands (NLM_F_DUMP_INTR) is asked for again; the last of kDumpTries answers is taken as it is,
// since a list that never stands still is put right by the events that follow.
class Dump {
 public:
  static constexpr unsigned kDumpTries = 8;

  explicit Dump(Socket::Wait wait) : socket_{wait} {}
  int fd() const noexcept { return socket_.fd(); }

  // Throws std::system_error where the kernel cannot be asked.
  void start(std::span<const List> lists);
  // Reads what is there; true when all lists are complete. A family that the kernel does not have
  // gives an empty list. Throws std::system_error.
  bool advance();
  const std::vector<Message>& messages() const { return messages_; }
  void clear() { messages_.clear(); }
  std::uint64_t interrupted() const { return interrupted_; }

 private:
  enum class Answer { more, complete, interrupted };
  void ask();
  Answer take(Bytes datagram);
  bool next_list();

  Socket socket_;
  std::span<const List> lists_;    // still to fetch; the first is being fetched
  std::vector<Message> messages_;  // of all lists fetched and of the one being fetched
  std::size_t list_start_ = 0;     // where in messages_ the list being fetched begins
  unsigned tries_ = 0;
  bool changed_ = false;  // a part of this answer was marked NLM_F_DUMP_INTR
  std::uint32_t sequence_ = 0;
  std::uint64_t interrupted_ = 0;
};

// Waits for the answer. Throws std::system_error.
std::vector<Message> fetch_messages(std::span<const List> lists);

// The same as values of one type: fetch<Link>(List::links).
template <typename Value>
std::vector<Value> fetch(List list) {
  std::vector<Value> values;
  for (const Message& message : fetch_messages({&list, 1})) {
    auto event = parse(message);
    if (!event) continue;
    if (auto* value = std::get_if<Value>(&*event)) values.push_back(std::move(*value));
  }
  return values;
}

}  // namespace masqgate::netlink
