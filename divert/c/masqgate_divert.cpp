// The C face of the client library: exceptions become -1, errno and a sentence.

#include "divert/c/masqgate_divert.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>

#include "divert/listener.hpp"

using masqgate::divert::client::Listener;
using masqgate::divert::client::Options;
using masqgate::divert::client::Packet;
using masqgate::divert::client::Refused;
namespace format = masqgate::divert::format;

struct dv_listener {
  dv_listener(std::uint16_t port, const Options& options) : listener{port, options} {}
  Listener listener;
  std::span<Packet> batch{};
  std::size_t given = 0;  // of the batch
};

namespace {

thread_local std::string why;

int fail(int error, const char* reason) {
  why = reason;
  errno = error;
  return -1;
}

template <typename Do>
int guard(Do&& act) {
  try {
    return act();
  } catch (const std::system_error& error) {
    return fail(error.code().value(), error.what());
  } catch (const Refused& error) {
    return fail(EACCES, error.what());
  } catch (const std::bad_alloc& error) {
    return fail(ENOMEM, error.what());
  } catch (const std::exception& error) {
    return fail(EINVAL, error.what());
  }
}

Options options_of(const dv_options* from) {
  Options options;
  options.settles = false;
  options.flags = 0;
  if (from == nullptr) return options;
  if (from->socket != nullptr) options.socket = from->socket;
  if (from->name != nullptr) options.name = from->name;
  options.priority = from->priority;
  if (from->weight != 0) options.weight = from->weight;
  options.credit = from->credit;
  options.snapshot = from->snapshot;
  options.permissions |= from->permissions;
  options.flags = from->flags;
  return options;
}

dv_packet packet_of(const Packet& from) {
  const format::PacketHeader& h = from.header();
  dv_packet to{};
  to.id = h.id;
  to.flow = h.flow;
  const void* bytes = from.bytes().data();
  to.data = static_cast<const std::uint8_t*>(bytes);
  to.length = h.captured_length;
  to.whole = h.original_length;
  to.flags = h.flags;
  to.mark = h.mark;
  to.rule = h.rule;
  to.in_interface = h.in_interface;
  to.out_interface = h.out_interface;
  to.rule_position = h.rule_position;
  to.payload_offset = h.payload_offset;
  to.transport_offset = h.transport_offset;
  to.protocol = h.protocol;
  to.hook = h.hook;
  return to;
}

std::span<const std::byte> bytes_of(const void* data, std::size_t length) {
  return {static_cast<const std::byte*>(data), length};
}

dv_tuple tuple_of(const format::TupleValue& from) {
  dv_tuple to{};
  std::ranges::copy(from.source, to.source);
  std::ranges::copy(from.destination, to.destination);
  to.source_port = from.source_port;
  to.destination_port = from.destination_port;
  to.protocol = from.protocol;
  to.version = from.version;
  return to;
}

dv_notice told(const format::NoticeHeader& from) {
  return {from.id, from.code, from.value};
}

dv_flow told(const format::FlowHeader& from) {
  dv_flow to{};
  to.flow = from.flow;
  to.event = from.event;
  to.end = from.end;
  to.original = tuple_of(from.original);
  to.reply = tuple_of(from.reply);
  for (std::size_t i = 0; i < 2; ++i) {
    to.packets[i] = from.packets[i];
    to.bytes[i] = from.bytes[i];
  }
  return to;
}

dv_program told(const format::ListenerHeader& from) {
  dv_program to{};
  to.event = from.event;
  to.end = from.end;
  to.process = from.process;
  to.user = from.user;
  to.group = from.group;
  to.port = from.port;
  to.weight = from.weight;
  to.flags = from.flags;
  to.priority = from.priority;
  static_assert(sizeof to.name > sizeof from.name);  // ends with a zero
  std::ranges::copy(from.name, to.name);
  return to;
}

// The oldest of what has come.
template <typename Record, typename Told>
int next(std::vector<Record>& all, Told* out) {
  if (all.empty()) return 0;
  *out = told(all.front());
  all.erase(all.begin());
  return 1;
}

int say(dv_listener* l, std::uint64_t id, format::VerdictHeader verdict, format::Action action,
        std::span<const std::byte> data = {}) {
  return guard([&] {
    verdict.id = id;
    verdict.action = static_cast<std::uint8_t>(action);
    l->listener.say(verdict, data);
    return 0;
  });
}

}  // namespace

extern "C" {

dv_listener* dv_open(std::uint16_t port, const dv_options* options) {
  dv_listener* opened = nullptr;
  guard([&] {
    opened = new dv_listener{port, options_of(options)};
    return 0;
  });
  return opened;
}

void dv_close(dv_listener* l) {
  delete l;
}

int dv_fd(const dv_listener* l) {
  return l->listener.fd();
}

int dv_receive(dv_listener* l, dv_packet* packets, std::size_t most, int wait) {
  return guard([&] {
    if (l->given == l->batch.size()) {
      l->batch = wait != 0 ? l->listener.receive() : l->listener.poll();
      l->given = 0;
    }
    if (l->batch.empty() && l->listener.is_gone()) return fail(ECONNRESET, "masqgate has gone");
    std::size_t count = 0;
    while (count < most && l->given < l->batch.size())
      packets[count++] = packet_of(l->batch[l->given++]);
    return static_cast<int>(count);
  });
}

int dv_accept(dv_listener* l, std::uint64_t id) {
  return say(l, id, {}, format::Action::accept);
}

int dv_accept_upto(dv_listener* l, std::uint64_t id) {
  return say(l, id, {}, format::Action::accept_upto);
}

int dv_replace(dv_listener* l, std::uint64_t id, const void* packet, std::size_t length) {
  return say(l, id, {}, format::Action::accept, bytes_of(packet, length));
}

int dv_accept_marked(dv_listener* l, std::uint64_t id, std::uint32_t mark, std::uint32_t mask) {
  format::VerdictHeader verdict;
  verdict.flags = format::kSetMark;
  verdict.mark = mark;
  verdict.mark_mask = mask;
  return say(l, id, verdict, format::Action::accept);
}

int dv_accept_and_offload(dv_listener* l, std::uint64_t id, std::uint32_t packets) {
  format::VerdictHeader verdict;
  verdict.flags = format::kFlowOffload;
  verdict.budget = packets;
  return say(l, id, verdict, format::Action::accept);
}

int dv_drop(dv_listener* l, std::uint64_t id) {
  return say(l, id, {}, format::Action::drop);
}

int dv_drop_and_block(dv_listener* l, std::uint64_t id, std::uint32_t packets) {
  format::VerdictHeader verdict;
  verdict.flags = format::kFlowBlock;
  verdict.budget = packets;
  return say(l, id, verdict, format::Action::drop);
}

int dv_reject(dv_listener* l, std::uint64_t id, std::uint16_t how) {
  format::VerdictHeader verdict;
  verdict.argument = how;
  return say(l, id, verdict, format::Action::reject);
}

int dv_repeat(dv_listener* l, std::uint64_t id, std::uint32_t rule) {
  format::VerdictHeader verdict;
  verdict.rule = rule;
  return say(l, id, verdict, format::Action::repeat_at);
}

int dv_requeue(dv_listener* l, std::uint64_t id, std::uint16_t port) {
  format::VerdictHeader verdict;
  verdict.argument = port;
  return say(l, id, verdict, format::Action::requeue);
}

int dv_hold(dv_listener* l, std::uint64_t id, std::uint16_t milliseconds) {
  format::VerdictHeader verdict;
  verdict.argument = milliseconds;
  return say(l, id, verdict, format::Action::hold);
}

int dv_flush(dv_listener* l) {
  return guard([&] {
    l->listener.flush();
    return 0;
  });
}

int dv_inject(dv_listener* l, const void* packet, std::size_t length, int out,
              std::uint32_t interface, std::uint64_t cookie) {
  return guard([&] {
    format::InjectHeader how;
    how.cookie = cookie;
    how.direction = out != 0 ? 1 : 0;
    (out != 0 ? how.out_interface : how.in_interface) = interface;
    l->listener.inject(how, bytes_of(packet, length));
    return 0;
  });
}

int dv_drain(dv_listener* l) {
  return guard([&] {
    l->listener.drain();
    return 0;
  });
}

int dv_next_notice(dv_listener* l, dv_notice* notice) {
  return next(l->listener.notices, notice);
}

int dv_next_flow(dv_listener* l, dv_flow* flow) {
  return next(l->listener.flows, flow);
}

int dv_next_program(dv_listener* l, dv_program* program) {
  return next(l->listener.listeners, program);
}

const char* dv_why(void) {
  return why.c_str();
}

}  // extern "C"
