// Finds the rules of a long chain that a packet may match, without asking all of them.
//
// Most rules of long chains name an address or network, a port, a protocol. Rules that name the same
// things (a shape: source /32 and destination port, say) stand together in a table; what a packet
// has at these places leads to those that ask for just that. The lists of all shapes, and the rules
// that have no shape, are merged in the order of the chain. So whoever walks asks the same
// rules as before, but for those that surely say no: order, counters and what rules count stay
// exactly the same.
//
//   rules 0..9999 ─┬─ shape {source /32, tcp, port}  hash ─▶ 17, 4711
//                  ├─ shape {destination /24}        hash ─▶ 12           ─▶ 3, 12, 17, 4711
//                  └─ without shape                          3
//
// Each shape costs one look-up, so only kMostShapes of them, the most frequent ones, have a table.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "daemon/packet/packet.hpp"

namespace masqgate::firewall {

struct Rule;

class RuleFinder {
 public:
  static constexpr std::size_t kLeastRules = 16;  // shorter chains are asked rule by rule
  static constexpr std::size_t kMostShapes = 12;

  RuleFinder() = default;  // finds every rule
  explicit RuleFinder(const std::vector<Rule>& rules);

  // The rules to ask, in their order.
  class Candidates {
   public:
    // The next one; the number of rules, or more, behind the last.
    std::size_t next() noexcept {
      if (lists_ == 0) return next_++;
      std::size_t first = 0;
      for (std::size_t i = 1; i < lists_; ++i)
        if (head(i) < head(first)) first = i;
      const std::size_t rule = head(first);
      if (rule != kEnd) ++at_[first].at;
      return rule;
    }

   private:
    friend class RuleFinder;
    static constexpr std::size_t kEnd = ~std::size_t{0};
    struct Entry {
      std::uint64_t hash = 0;  // of what the rule asks for
      std::uint32_t rule = 0;
    };
    struct List {
      const Entry* at;
      const Entry* end;
    };
    std::size_t head(std::size_t list) const {
      return at_[list].at == at_[list].end ? kEnd : at_[list].at->rule;
    }
    void add(const Entry* begin, const Entry* end) { at_[lists_++] = {begin, end}; }

    std::size_t next_ = 0;
    std::size_t lists_ = 0;
    std::array<List, kMostShapes + 1> at_;
  };
  Candidates candidates(const Packet& packet) const noexcept;

 private:
  using Entry = Candidates::Entry;

  // What a rule names; lengths of networks, none where it names no address.
  struct Shape {
    std::optional<std::uint8_t> source, destination;
    std::optional<net::Family> family;  // of the addresses
    bool protocol = false, source_port = false, destination_port = false;
    bool operator==(const Shape&) const = default;
  };
  struct Table {
    Shape shape;
    std::vector<Entry> entries;         // by hash, then by rule
    std::vector<std::uint32_t> starts;  // by the hash's upper bits: where its entries begin
    unsigned shift = 63;
    void finish();
    std::span<const Entry> find(std::uint64_t hash) const noexcept;
  };

  static Shape shape_of(const Rule& rule);
  static Tuple tuple_of(const Rule& rule);
  static std::uint64_t hash_of(const Shape& shape, const Tuple& tuple) noexcept;
  static bool fits(const Shape& shape, const Packet& packet) noexcept;

  bool all_ = true;
  std::vector<Table> tables_;
  std::vector<Entry> always_;
};

}  // namespace masqgate::firewall
