// Diverted packets between the corridor and the desk: how they leave it, come back to it, and what
// happens to what was changed or made by programs.
//
//   judge() ── rule says divert ──▶ Desk ──▶ program ──▶ Desk ──▶ go_on(): rules behind the rule,
//                                                                 then the stages behind the stage
//
// While a packet is away its connection may have gone, its rule, its port. The packet goes on with
// what there is: behind the rule of the same name, wherever that stands now; with its connection, if
// it is still the same one. A first packet whose connection another one has confirmed meanwhile takes
// that one, so that two first packets at once lose nothing.

#pragma once

#include "daemon/divert/desk.hpp"
#include "daemon/firewall/ruleset.hpp"
#include "daemon/path/path.hpp"

namespace masqgate::path {

class Shard;

class Diverting final : divert::Corridor {
 public:
  // Injected packets in a tenth of a second, over all listeners.
  static constexpr std::uint32_t kMostInjected = 20000;

  Diverting(Shard& shard, const divert::Limits& limits, HashKey key, Time now);

  // A rule of this hook has said divert or tee. Empty: the packet is to be asked about the rules
  // behind that one.
  std::optional<Verdict> take(Packet& packet, firewall::Hook hook,
                              const firewall::Decision& decision, const divert::Place& place);
  // The packet stands where its addresses are final, and some rule waited for that.
  Verdict show(Packet& packet);

  void tick(Time now);
  // masqgate ends: what is held goes on, or is dropped. Says how many.
  std::size_t end(bool pass, Time now);
  // A connection has left the table: those who have seen packets of it may want to know.
  void removed(const conntrack::Connection& connection, Time now) noexcept;
  divert::Desk& desk() { return desk_; }
  const divert::Desk& desk() const { return desk_; }
  // Packets that went on without their rule, because it was gone.
  std::uint64_t rules_gone() const noexcept override { return rules_gone_; }
  void count_gone_rule() { ++rules_gone_; }

 private:
  void go_on(Packet& packet, const divert::Place& place, const divert::Facts& facts,
             const divert::Release& release) noexcept override;
  bool replace(Packet& packet, divert::format::Bytes bytes, bool fix) noexcept override;
  std::optional<divert::format::Code> inject(const divert::Injection& how,
                                             divert::format::Bytes bytes) noexcept override;
  void complete_checksum(Packet& packet) noexcept override;
  std::string_view port_name(PortIndex port) const noexcept override;
  std::optional<net::IpAddress> address_of(PortIndex port,
                                           net::Family family) const noexcept override;
  bool tuples(const Packet& packet, Tuple& original, Tuple& reply) const noexcept override;
  bool flow(const Packet& packet, divert::FlowFacts& facts) const noexcept override;
  bool is_flow(const Tuple& original) const noexcept override;
  void mark_connection(const Packet& packet, std::uint32_t mark,
                       std::uint32_t mask) noexcept override;
  std::string_view rule_name(std::uint32_t rule) const noexcept override;
  std::optional<std::uint32_t> user_of(const Packet& packet) const noexcept override;

  divert::Facts facts_of(const Packet& packet, firewall::Hook hook, divert::View view) const;
  std::optional<Verdict> put_off(Packet& packet, firewall::Hook hook, bool is_copy,
                                 const divert::Place& place) const;
  Verdict put_together(Packet& packet);
  Verdict translate_again(Packet& packet, const divert::Facts& facts);
  Verdict leave_again(Packet& packet, const divert::Facts& facts);
  void forget_beginning(Packet& packet, const divert::Facts& facts);
  divert::Terms terms_for(const Packet& packet, const divert::Terms& terms) const;
  std::optional<Verdict> hand_over(Packet& packet, const divert::Terms& terms,
                                   const divert::Place& place, const divert::Facts& facts);
  Verdict cut(Packet& packet, const divert::Terms& terms, const divert::Place& place,
              const divert::Facts& facts);
  void find_connection_again(Packet& packet);
  bool track_anew(Packet& packet);
  Verdict refuse(Packet& packet, const divert::Release& release);
  Verdict inject_outward(Packet& packet);
  Verdict inject_inward(Packet& packet, const divert::Injection& how);

  Shard& shard_;
  divert::Desk desk_;
  std::uint32_t injected_ = 0;  // since the last tick
  std::uint64_t rules_gone_ = 0;
};

}  // namespace masqgate::path
