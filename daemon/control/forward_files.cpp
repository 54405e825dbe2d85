#include "daemon/control/forward_files.hpp"

#include <algorithm>
#include <cinttypes>

#include "daemon/control/print.hpp"

namespace masqgate::control {
namespace {

std::string record(std::string text) {
  constexpr std::size_t kRecord = 64;
  text.resize(kRecord - 1, ' ');
  return text + '\n';
}

unsigned flags_of(const nat::AutoForward& entry) {
  return (entry.active ? 1u : 0u) | (entry.timed ? 2u : 0u) | (entry.secure ? 4u : 0u);
}

long long ticks_left(const nat::AutoForward& entry, Time now) {
  if (!entry.active || !entry.timed) return 0;
  return std::max(Duration{}, entry.closes - now) / std::chrono::milliseconds{10};
}

}  // namespace

std::string portfw_file(std::span<const nat::PortForward> entries) {
  std::string text = record("Prot LAddr    LPort > RAddr    RPort PrCnt  Pref");
  for (const nat::PortForward& e : entries)
    text +=
        record(print("%s  %08" PRIX32 " %5u > %08" PRIX32 " %5u %5d %5d",
                     e.protocol == net::Protocol::udp ? "UDP" : "TCP", e.local.address.v4_number(),
                     unsigned{e.local.port}, e.remote.address.v4_number(), unsigned{e.remote.port},
                     e.count, e.preference));
  return text;
}

std::string mfw_file(std::span<const nat::MarkForward> entries) {
  std::string text = record("FwMark > RAddr    RPort PrCnt  Pref");
  for (const nat::MarkForward& e : entries)
    text +=
        record(print("0x%" PRIx32 " > %08" PRIX32 " %5u %5d %5d", e.mark,
                     e.remote.address.v4_number(), unsigned{e.remote.port}, e.count, e.preference));
  return text;
}

std::string autofw_file(std::span<const nat::AutoForward> entries, Time now) {
  std::string text = "Type Prot Low  High Vis  Hid  Where    Last     CPto CPrt Timer Flags\n";
  for (const nat::AutoForward& e : entries)
    text += print("%4X %4X %04X-%04X/%04X %04X %08" PRIX32 " %08" PRIX32 " %04X %04X %6lld %4X\n",
                  static_cast<unsigned>(e.kind), unsigned{net::number(e.protocol)},
                  unsigned{e.ports.first}, unsigned{e.ports.last}, unsigned{e.visible},
                  unsigned{e.hidden}, e.where.v4_number(), e.last_peer.v4_number(),
                  unsigned{net::number(e.control_protocol)}, unsigned{e.control_port},
                  ticks_left(e, now), flags_of(e));
  return text;
}

}  // namespace masqgate::control
