#include "daemon/control/divert_tables.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace masqgate::control {
namespace {

using divert::Desk;
using divert::Listener;

std::string_view group_of(const Listener& listener) {
  if (listener.is_tee()) return "tee";
  return listener.wants(divert::format::kBindAnyMember) ? "any" : "flow";
}

ListenerCopy copy_listener(divert::Member member, const Listener& one) {
  ListenerCopy copy;
  copy.member = member;
  copy.peer = one.peer;
  copy.name = one.name;
  copy.port = one.number;
  copy.group = group_of(one);
  copy.transport = one.transport();
  copy.ordered = one.is_ordered();
  copy.blocked = one.blocked;
  copy.draining = one.draining;
  copy.priority = one.priority;
  copy.weight = one.weight;
  copy.credit = one.credit;
  copy.snapshot = one.snapshot;
  copy.outstanding = one.given.count;
  copy.queued = one.queue.count;
  copy.queued_bytes = one.queue.bytes;
  copy.counters = one.counters;
  copy.latency = one.latency;
  return copy;
}

constexpr std::size_t kWide = 12, kName = 15;

struct Column {
  const char* name;
  std::size_t width;  // at least; the name may be longer
};
constexpr std::array kColumns{Column{"port", 5},
                              Column{"pid", 7},
                              Column{"uid", 5},
                              Column{"name", kName},
                              Column{"prio", 6},
                              Column{"group", 5},
                              Column{"transport", 9},
                              Column{"outstanding", 11},
                              Column{"queued_bytes", kWide},
                              Column{"delivered", kWide},
                              Column{"accepted", kWide},
                              Column{"modified", kWide},
                              Column{"dropped", kWide},
                              Column{"rejected", kWide},
                              Column{"repeated", kWide},
                              Column{"expired", kWide},
                              Column{"full_drop", kWide},
                              Column{"full_pass", kWide},
                              Column{"nolistener_drop", 15},
                              Column{"nolistener_pass", 15},
                              Column{"redelivered", kWide},
                              Column{"injected", kWide},
                              Column{"inject_err", kWide},
                              Column{"loops", kWide},
                              Column{"lost", kWide},
                              Column{"avg_batch", 9},
                              Column{"p50_us", 8},
                              Column{"p99_us", 8}};

// Words stand left in their columns, numbers right.
class Row {
 public:
  void word(std::string_view text) {
    std::string shown{text.empty() ? "-" : text};
    std::ranges::replace(shown, ' ', '_');  // who splits lines at blanks finds as many columns
    const std::size_t width = kColumns[next_].width;
    add(shown + std::string(width > shown.size() ? width - shown.size() : 0, ' '));
  }
  void number(std::int64_t value) { right(std::to_string(value)); }
  void number(std::uint64_t value) { right(std::to_string(value)); }
  void right(const std::string& text) {
    const std::size_t width = kColumns[next_].width;
    add(std::string(width > text.size() ? width - text.size() : 0, ' ') + text);
  }
  std::string line() { return text_ + "\n"; }

 private:
  void add(const std::string& cell) {
    if (next_++ != 0) text_ += ' ';
    text_ += cell;
  }
  std::string text_;
  std::size_t next_ = 0;
};

bool is_left(const Column& column) {
  const std::string_view name = column.name;
  return name == "name" || name == "group" || name == "transport";
}

std::string header() {
  Row row;
  for (const Column& column : kColumns)
    if (is_left(column))
      row.word(column.name);
    else
      row.right(column.name);
  return row.line();
}

std::string one_digit(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f", value);
  return text.data();
}

std::string row_of(const ListenerCopy& one, const DeskCopy::PortCopy& port) {
  const divert::ListenerCounters& c = one.counters;
  const divert::PortCounters& p = port.counters;
  Row row;
  for (const std::uint64_t id :
       {std::uint64_t{one.port}, std::uint64_t{one.peer.process}, std::uint64_t{one.peer.user}})
    row.number(id);
  row.word(one.name);
  row.number(std::int64_t{one.priority});
  row.word(one.group);
  row.word(one.transport);
  for (const std::uint64_t count :
       {std::uint64_t{one.outstanding}, std::uint64_t{one.queued_bytes}, c.delivered, c.accepted,
        c.modified, c.dropped, c.rejected, c.repeated, c.expired, p.full_dropped, p.full_passed,
        p.nobody_dropped, p.nobody_passed, c.redelivered, c.injected, c.inject_refused, p.loops,
        c.lost})
    row.number(count);
  row.right(one_digit(one.batch()));
  row.number(one.latency.quantile(0.5));
  row.number(one.latency.quantile(0.99));
  return row.line();
}

}  // namespace

const DeskCopy::PortCopy& DeskCopy::port_of(const ListenerCopy& one) const {
  return *std::ranges::find(ports, one.port, &PortCopy::number);
}

DeskCopy copy_desk(const Desk& desk, std::uint64_t rules_gone) {
  DeskCopy copy;
  copy.held = desk.held();
  copy.bytes = desk.held_bytes();
  copy.rules_gone = rules_gone;
  for (const Desk::Port& port : desk.ports()) {
    copy.ports.push_back({port.number, port.held, port.bytes, port.orphans.count, port.counters});
    for (const divert::Member member : port.members)
      copy.listeners.push_back(copy_listener(member, desk.listener(member)));
  }
  return copy;
}

std::string divert_text(const DeskCopy& copy) {
  std::string text = header();
  for (const DeskCopy::PortCopy& port : copy.ports) {
    ListenerCopy nobody;
    nobody.port = port.number;
    bool is_alone = true;
    for (const ListenerCopy& one : copy.listeners) {
      if (one.port != port.number) continue;
      text += row_of(one, port);
      is_alone = false;
    }
    if (is_alone) text += row_of(nobody, port);
  }
  return text;
}

std::string queue_text(const DeskCopy& copy) {
  constexpr unsigned kWholePackets = 2, kLongest = 65535;
  std::string text;
  for (const ListenerCopy& one : copy.listeners) {
    if (one.is_tee()) continue;
    const divert::PortCounters& port = copy.port_of(one).counters;
    const unsigned range = one.snapshot == 0 ? kLongest : std::min(one.snapshot, kLongest);
    std::array<char, 128> line{};
    std::snprintf(line.data(), line.size(), "%5u %6u %5zu %1u %5u %5llu %5llu %8llu %2d\n",
                  one.port, one.peer.process, one.outstanding + one.queued, kWholePackets, range,
                  static_cast<unsigned long long>(port.full_dropped),
                  static_cast<unsigned long long>(port.died_dropped),
                  static_cast<unsigned long long>(one.counters.delivered), 1);
    text += line.data();
  }
  return text;
}

}  // namespace masqgate::control
