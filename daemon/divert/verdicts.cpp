// What listeners say: verdicts, injected packets, and words about the connection itself.

#include <algorithm>

#include "daemon/divert/desk.hpp"
#include "daemon/wire/bytes.hpp"

namespace masqgate::divert {

// One frame of one listener.
class Verdicts {
 public:
  Verdicts(Desk& desk, Member member, Time now)
      : desk_{desk}, member_{member}, listener_{desk.listeners_[member]}, now_{now} {}

  // False if the connection must end.
  bool read(format::Bytes frame) {
    if (!listener_.bound && is_text(frame)) return bind_plain(frame);
    const bool alive = listener_.plain ? take_plain(frame) : take_all(frame);
    if (!alive) return false;
    if (listener_.draining) desk_.finish_drain(listener_);
    // There is credit again.
    if (!listener_.queue.empty()) desk_.want_flush(member_);
    return true;
  }

 private:
  bool take_all(format::Bytes frame) {
    format::Reader reader{frame};
    while (const auto record = reader.next()) {
      if (!listener_.bound) {
        if (record->type != format::Type::bind) return refuse("a listener binds first");
        const auto bind = record->as<format::BindHeader>(format::Type::bind);
        if (!bind) return refuse("the record that binds is too short");
        if (!desk_.bind(member_, *bind, now_)) return false;
        continue;
      }
      if (!take(*record)) return false;
    }
    if (reader.flaw() != format::Flaw::none) return refuse(format::sentence(reader.flaw()));
    return true;
  }

  static bool is_text(format::Bytes frame) {
    const auto text = std::as_bytes(std::span{format::kListen});
    return frame.size() > text.size() && std::ranges::equal(frame.first(text.size()), text);
  }

  bool bind_plain(format::Bytes frame) {
    listener_.plain = true;
    std::uint32_t port = 0;
    for (const std::byte digit : frame.subspan(format::kListen.size())) {
      const auto value = std::to_integer<unsigned>(digit) - '0';
      if (digit == std::byte{'\n'}) break;
      if (value > 9 || port > 65535) return refuse("say: listen PORT");
      port = port * 10 + value;
    }
    if (port > 65535) return refuse("say: listen PORT");
    format::BindHeader bind;
    bind.port = static_cast<std::uint16_t>(port);
    std::string_view{"plain"}.copy(bind.name, sizeof bind.name);
    return desk_.bind(member_, bind, now_);
  }

  bool take_plain(format::Bytes answer) {
    if (answer.size() < sizeof(format::PlainHeader))
      return refuse("an answer is shorter than its header");
    const auto header = format::load<format::PlainHeader>(answer);
    const format::Bytes data = answer.subspan(sizeof header);
    const auto action = static_cast<format::Action>(header.action);
    if (action != format::Action::accept && action != format::Action::drop)
      return refuse("an answer is to accept (0) or to drop (1)");
    if (data.size() > format::kLargestPacket) return refuse("an answer is too long");
    format::VerdictHeader verdict;
    verdict.id = header.id;
    verdict.action = header.action;
    verdict.argument = static_cast<std::uint16_t>(data.size());
    verdict.flags = data.empty() ? 0 : format::kModified;
    judge(verdict, data);
    return true;
  }

  bool refuse(std::string_view reason) {
    desk_.bye(listener_, reason);
    return false;
  }

  bool take(const format::Record& record) {
    switch (record.type) {
      case format::Type::verdict: {
        const auto verdict = record.as<format::VerdictHeader>(format::Type::verdict);
        if (!verdict) return refuse("a verdict is too short");
        if (verdict->action > format::kLastAction) return refuse("a verdict has an unknown action");
        judge(*verdict, record.rest);
        return true;
      }
      case format::Type::inject: {
        const auto inject = record.as<format::InjectHeader>(format::Type::inject);
        if (!inject) return refuse("an injected packet's header is too short");
        if (inject->data_length > record.rest.size() ||
            inject->data_length > format::kLargestPacket)
          return refuse("an injected packet is longer than its record");
        this->inject(*inject, record.rest.first(inject->data_length));
        return true;
      }
      case format::Type::bind:
        return refuse("is bound already");
      case format::Type::drain:
        desk_.drain(member_);
        return true;
      default:
        return true;  // of a later minor version
    }
  }

  void complain(std::uint64_t id, format::Code code) { desk_.notice(listener_, id, code); }

  // The packet that the verdict is about, if it is this listener's to judge.
  Slot find(std::uint64_t id) {
    const Slot slot = desk_.held_.find(id);
    if (slot == kNoSlot) {
      complain(id, format::Code::expired);
      return kNoSlot;
    }
    const Held& held = desk_.held_.at(slot);
    if (held.state == Held::State::given && held.member == member_) return slot;
    complain(id, format::Code::unknown_id);
    return kNoSlot;
  }

  void judge(const format::VerdictHeader& verdict, format::Bytes data) {
    const Slot slot = find(verdict.id);
    if (slot == kNoSlot) return;
    if ((verdict.flags & ~format::kKnownVerdictFlags) != 0)
      complain(verdict.id, format::Code::not_known);
    using format::Action;
    switch (static_cast<Action>(verdict.action)) {
      case Action::accept:
        return one(slot, verdict, data, true);
      case Action::drop:
        return one(slot, verdict, data, false);
      case Action::accept_upto:
        return all_to(slot, verdict, true);
      case Action::drop_upto:
        return all_to(slot, verdict, false);
      case Action::reject:
        ++listener_.counters.rejected;
        note_time(slot);
        return desk_.let_go(slot,
                            {Release::Kind::reject, DropReason::divert_verdict, verdict.argument});
      case Action::repeat_at:
        return repeat(slot, verdict);
      case Action::requeue:
        return requeue(slot, verdict.argument, verdict.id);
      case Action::hold:
        return wait(slot, verdict.argument);
    }
  }

  void note_time(Slot slot) { listener_.latency.add(now_ - desk_.held_.at(slot).given); }

  void set_mark(Held& held, const format::VerdictHeader& verdict) {
    if ((verdict.flags & (format::kSetMark | format::kSetFlowMark)) == 0) return;
    if (!listener_.may(format::kMaySetMark)) return complain(verdict.id, format::Code::not_allowed);
    const std::uint32_t mask = verdict.mark_mask;
    if ((verdict.flags & format::kSetMark) != 0)
      held.packet.mark = (held.packet.mark & ~mask) | (verdict.mark & mask);
    if ((verdict.flags & format::kSetFlowMark) != 0)
      desk_.corridor_.mark_connection(held.packet, verdict.mark, mask);
  }

  void give_order(const Held& held, const format::VerdictHeader& verdict) {
    using enum FlowOrders::Order;
    if ((verdict.flags & (format::kFlowOffload | format::kFlowBlock)) == 0) return;
    const bool block_it = (verdict.flags & format::kFlowBlock) != 0;
    desk_.flows_.give(held.facts.flow, held.terms.port, block_it ? block : offload, verdict.budget);
  }

  // False if the new bytes are no packet.
  bool modify(Slot slot, const format::VerdictHeader& verdict, format::Bytes data) {
    Held& held = desk_.held_.at(slot);
    Desk::Port& port = desk_.ports_[held.port];
    const std::size_t before = held.packet.frame.ip().size();
    HeldPackets::List& given = listener_.given;
    const std::size_t size = verdict.argument;
    if (size > data.size() || size + 8 <= data.size()) data = {};
    data = data.first(data.empty() ? 0 : size);
    if (data.empty() || !desk_.corridor_.replace(held.packet, data,
                                                 (verdict.flags & format::kKeepChecksums) == 0)) {
      complain(verdict.id, format::Code::bad_packet);
      return false;
    }
    const std::size_t after = held.packet.frame.ip().size();
    given.bytes += after - before;
    port.bytes += after - before;
    desk_.bytes_ += after - before;
    ++listener_.counters.modified;
    return true;
  }

  void one(Slot slot, const format::VerdictHeader& verdict, format::Bytes data, bool accept) {
    Held& held = desk_.held_.at(slot);
    note_time(slot);
    give_order(held, verdict);
    if (!accept) {
      ++listener_.counters.dropped;
      return desk_.let_go(slot, {Release::Kind::drop, DropReason::divert_verdict});
    }
    if ((verdict.flags & format::kModified) != 0 && !modify(slot, verdict, data)) {
      ++listener_.counters.dropped;
      return desk_.let_go(slot, {Release::Kind::drop, DropReason::divert_bad_packet});
    }
    set_mark(held, verdict);
    if ((verdict.flags & format::kNoMoreDivert) != 0) held.packet.not_diverted = true;
    pass_on(slot, (verdict.flags & format::kFlowOffload) != 0 && verdict.budget == 0);
  }

  // To the listener of the next lower priority, or back to the rules.
  void pass_on(Slot slot, bool remember) {
    Held& held = desk_.held_.at(slot);
    ++listener_.counters.accepted;
    held.below = listener_.priority;
    Onward onward;
    onward.to = remember ? Onward::To::rules : Onward::To::listener;
    onward.release.remember = remember;
    desk_.settle(slot, onward);
  }

  // Everything that it was given up to this one, oldest first.
  void all_to(Slot last, const format::VerdictHeader& verdict, bool accept) {
    for (std::size_t left = listener_.given.count; left-- > 0;) {
      const Slot slot = listener_.given.first;
      one(slot, verdict, {}, accept);
      if (slot == last) return;
    }
  }

  void repeat(Slot slot, const format::VerdictHeader& verdict) {
    // Behind all translation there are no rules left to ask again.
    const bool is_behind = desk_.held_.at(slot).facts.view == View::after;
    if (!listener_.may(format::kMaySteer) || is_behind) {
      complain(verdict.id, format::Code::not_allowed);
      return one(slot, {}, {}, false);
    }
    set_mark(desk_.held_.at(slot), verdict);
    ++listener_.counters.repeated;
    note_time(slot);
    Release release;
    release.kind = Release::Kind::repeat_at;
    release.rule = verdict.rule;
    desk_.let_go(slot, release);
  }

  void requeue(Slot slot, std::uint16_t number, std::uint64_t id) {
    Desk::Port* port = desk_.find_port(number);
    Held& held = desk_.held_.at(slot);
    if (!listener_.may(format::kMaySteer) || port == nullptr ||
        held.packet.hops >= desk_.most_hops()) {
      const bool loops = listener_.may(format::kMaySteer) && port != nullptr;
      complain(id, loops ? format::Code::loop : format::Code::not_allowed);
      return one(slot, {}, {}, false);
    }
    ++held.packet.hops;
    note_time(slot);
    desk_.settle(slot, {Onward::To::port, number, {}});
  }

  void wait(Slot slot, std::uint16_t milliseconds) {
    constexpr std::uint16_t kMost = 30000;
    const auto longer = std::chrono::milliseconds{std::min(milliseconds, kMost)};
    desk_.held_.set_deadline(slot, now_ + longer);
  }

  void inject(const format::InjectHeader& header, format::Bytes data) {
    if (!listener_.may(format::kMayInject)) {
      ++listener_.counters.inject_refused;
      return complain(header.cookie, format::Code::not_allowed);
    }
    Injection injection;
    injection.port = listener_.number;
    injection.outward = header.direction != 0;
    injection.fix_checksums = (header.flags & format::kFixChecksums) != 0;
    injection.may_spoof = listener_.may(format::kMayInjectSpoofed);
    injection.mark = listener_.may(format::kMaySetMark) ? header.mark.value() : 0;
    const auto port_of = [](std::uint32_t number) {
      return number == 0 || number > kMostPorts ? kNoPort : static_cast<PortIndex>(number - 1);
    };
    injection.in = port_of(header.in_interface);
    injection.out = port_of(header.out_interface);
    const auto address = std::as_bytes(std::span{header.in_address});
    if (std::ranges::any_of(address, [](std::byte b) { return b != std::byte{}; }))
      injection.in_address = wire::load_v4(address, 0);
    if ((header.flags & ~format::kFixChecksums) != 0)
      complain(header.cookie, format::Code::not_known);
    injection.hops = 1;
    if (header.relates_to != 0) {
      const Slot slot = desk_.held_.find(header.relates_to);
      if (slot == kNoSlot) {
        ++listener_.counters.inject_refused;
        return complain(header.cookie, format::Code::unknown_id);
      }
      const Packet& about = desk_.held_.at(slot).packet;
      injection.hops = static_cast<std::uint8_t>(about.hops + 1);
      if (header.mark == 0) injection.mark = about.mark;
      if (injection.in == kNoPort) injection.in = about.ingress;
    }
    const auto problem = desk_.corridor_.inject(injection, data);
    ++(problem ? listener_.counters.inject_refused : listener_.counters.injected);
    if (problem) complain(header.cookie, *problem);
  }

  Desk& desk_;
  Member member_;
  Listener& listener_;
  Time now_;
};

bool Desk::receive(Member member, format::Bytes frame, Time now) {
  now_ = now;
  return Verdicts{*this, member, now}.read(frame);
}

}  // namespace masqgate::divert
