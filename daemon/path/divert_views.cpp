// What programs are shown of diverted packets: other addresses than those of their chain, or whole
// datagrams; and how such packets go on.

#include <algorithm>
#include <utility>

#include "daemon/conntrack/track.hpp"
#include "daemon/path/divert_tools.hpp"
#include "daemon/path/diverting.hpp"
#include "daemon/path/shard.hpp"
#include "daemon/path/stages.hpp"

namespace masqgate::path {

using conntrack::Connection;
using divert::View;
using firewall::Hook;

// The program of this rule gets it when its addresses are final. Who wants to judge one packet more
// often than that sees something go in circles; one copy less harms nobody.
std::optional<Verdict> Diverting::put_off(Packet& packet, Hook hook, bool is_copy,
                                          const divert::Place& place) const {
  if (packet.later_count == Packet::kMostLater) {
    if (is_copy) return std::nullopt;
    return Verdict::drop(DropReason::divert_loop);
  }
  packet.later_hooks[packet.later_count] = number_of(hook);
  packet.later_rules[packet.later_count] = place.rule().rule;
  ++packet.later_count;
  return std::nullopt;
}

// The rules behind have to let it pass first. What they divert themselves comes before.
Verdict Diverting::show(Packet& packet) {
  packet.is_final = true;
  while (packet.later_count != 0) {
    const std::uint32_t number = packet.later_rules[0];
    const Hook hook = hook_of(packet.later_hooks[0]);
    std::shift_left(packet.later_rules.begin(), packet.later_rules.end(), 1);
    std::shift_left(packet.later_hooks.begin(), packet.later_hooks.end(), 1);
    --packet.later_count;
    const auto [rule, position] = shard_.policy().ruleset->find(number);
    const auto* divert = rule != nullptr ? std::get_if<firewall::Divert>(&rule->action) : nullptr;
    const auto* tee = rule != nullptr ? std::get_if<firewall::Tee>(&rule->action) : nullptr;
    divert::Place place;
    place.add({number, static_cast<std::uint16_t>(position)});
    const divert::Facts facts = facts_of(packet, hook, View::after);
    if (tee != nullptr) {
      packet.not_remembered = true;
      if (packet.connection != nullptr) packet.connection_serial = packet.connection->serial;
      desk_.tee(packet, tee->terms, place, facts, shard_.now());
    } else if (divert == nullptr) {
      count_gone_rule();
    } else if (const auto verdict = hand_over(packet, divert->terms, place, facts)) {
      if (verdict->kind() == Verdict::Kind::drop) forget_beginning(packet, facts);
      return *verdict;
    }
  }
  return Verdict::accept();
}

// A connection entered the table with the packet that begins it, and a program has refused that one.
void Diverting::forget_beginning(Packet& packet, const divert::Facts& facts) {
  Connection* connection = packet.connection;
  if (!facts.first_of_flow || facts.view != View::after || connection == nullptr ||
      !connection->has(Connection::kConfirmed) || connection->has(Connection::kSeenReply))
    return;
  packet.connection = nullptr;
  shard_.connections().remove(*connection);
}

// A rule wants this fragment's datagram as a whole. It is taken back to where it came in, and its
// datagram is put together there; whole it walks the corridor once more, and meets the rule again.
Verdict Diverting::put_together(Packet& packet) {
  Packet piece;
  come_alike(packet, piece);
  if (packet.from == Side::host) {
    piece.egress = packet.egress;
    piece.next_hop = packet.next_hop;
  }
  divert::Facts facts;
  show_as_it_came(packet, facts);
  if (packet.ttl_taken) stages::give_hop_back(packet);
  if (Connection* connection = std::exchange(packet.connection, nullptr)) {
    if (!connection->has(Connection::kConfirmed)) {
      shard_.helpers().removed(*connection, shard_.now());
      shard_.connections().discard(*connection);
    } else if (packet.state != ConnState::related) {
      conntrack::Half& half = connection->half(packet.direction);
      --half.packets;
      half.bytes -= packet.frame.ip().size();
    }
  }
  packet.trail.clear();  // it has met no rule
  piece.frame = std::move(packet.frame);
  const auto problem = parse(piece);
  Verdict verdict = problem ? Verdict::drop(*problem) : stages::put_together(shard_, piece);
  const List list = piece.made_here            ? List::made_here
                    : piece.from == Side::host ? List::output
                                               : List::forward;
  const std::size_t behind_defragment = list == List::made_here ? 0 : 1;
  if (verdict.accepted()) verdict = walk(shard_, piece, list, behind_defragment);
  shard_.end(piece, verdict);
  return Verdict::stolen();
}

// The program saw the packet as it came; the rules go on seeing its destination inside. What the
// program has changed is translated as if it had come so.
Verdict Diverting::translate_again(Packet& packet, const divert::Facts& facts) {
  const bool changed = std::exchange(packet.tracked_anew, false);
  if (facts.view != View::before) return Verdict::accept();
  if (!changed) {
    if (!packet.new_destination) show_inside_again(packet, facts);
    return Verdict::accept();
  }
  if (hook_of(facts.hook) == Hook::prerouting) return Verdict::accept();  // dnat is still to come
  packet.new_destination = true;
  return stages::dnat(shard_, packet);
}

// Behind all rules. Whatever a program has written: no inside address leaves where it is hidden.
Verdict Diverting::leave_again(Packet& packet, const divert::Facts& facts) {
  const auto list = static_cast<List>(packet.list);
  const bool changed = std::exchange(packet.new_destination, false);
  if (changed && list == List::forward) {
    const Verdict verdict = stages::route(shard_, packet);
    if (verdict.kind() == Verdict::Kind::local) return walk(shard_, packet, List::input);
    if (!verdict.accepted()) return verdict;
  }
  if (packet.rewritten && !packet.made_here && facts.hook != number_of(Hook::input) &&
      shard_.policy().shows_inside(packet.egress, packet.tuple))
    return Verdict::drop(DropReason::untranslatable);
  return walk(shard_, packet, list, packet.stage);  // other rules may wait for it, too
}

}  // namespace masqgate::path
