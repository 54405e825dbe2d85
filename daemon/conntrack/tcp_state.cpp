#include "daemon/conntrack/tcp_state.hpp"

namespace masqgate::conntrack {
namespace {

constexpr TcpState NO = TcpState::none, ES = TcpState::established, SS = TcpState::syn_sent,
                   SR = TcpState::syn_recv, FW = TcpState::fin_wait, TW = TcpState::time_wait,
                   CL = TcpState::close, CW = TcpState::close_wait, LA = TcpState::last_ack,
                   LI = TcpState::listen;

enum Event : std::size_t { kSyn, kFin, kAck, kRst, kEvents };
using Row = std::array<TcpState, kTcpStates>;
using Machine = std::array<std::array<Row, kEvents>, 2>;  // by direction, event, present state

// Columns: the present state.
//   NO  ES  SS  SR  FW  TW  CL  CW  LA  LI
constexpr Machine kLinux24{{
    {{{SS, ES, SS, SR, SS, SS, SS, SS, SS, LI},    // original, syn
      {TW, FW, SS, TW, FW, TW, CL, TW, LA, LI},    // fin
      {ES, ES, SS, ES, FW, TW, CL, CW, LA, ES},    // ack
      {CL, CL, SS, CL, CL, TW, CL, CL, CL, CL}}},  // rst
    {{{SR, ES, SR, SR, SR, SR, SR, SR, SR, SR},    // reply, syn
      {CL, CW, SS, TW, TW, TW, CL, CW, LA, LI},    // fin
      {CL, ES, SS, SR, FW, TW, CL, CW, CL, LI},    // ack
      {CL, CL, CL, CL, CL, CL, CL, CL, LA, LI}}},  // rst
}};

constexpr Machine kClassic22{{
    {{{SS, ES, SS, ES, SS, SS, SS, SS, SS, LI},    // from inside, syn
      {TW, FW, SS, TW, FW, TW, CL, TW, LA, LI},    // fin
      {ES, ES, SS, SR, FW, TW, CL, CW, LA, ES},    // ack
      {CL, CL, SS, CL, CL, TW, CL, CL, CL, CL}}},  // rst
    {{{SR, ES, ES, SR, SR, SR, SR, SR, SR, SR},    // from outside, syn
      {CL, CW, SS, TW, TW, TW, CL, CW, LA, LI},    // fin
      {CL, ES, SS, SR, FW, TW, CL, CW, CL, LI},    // ack
      {CL, CL, CL, SR, CL, CL, CL, CL, LA, LI}}},  // rst
}};

// RST before SYN before FIN before ACK (history 2.2).
Event event_of(wire::TcpFlags flags) {
  if (flags.rst()) return kRst;
  if (flags.syn()) return kSyn;
  if (flags.fin()) return kFin;
  return kAck;
}

}  // namespace

TcpState next_state(Profile profile, Direction direction, TcpState now, wire::TcpFlags flags) {
  const Machine& machine = profile == Profile::classic_22 ? kClassic22 : kLinux24;
  const Row& row = machine[static_cast<std::size_t>(direction)][event_of(flags)];
  return row[static_cast<std::size_t>(now)];
}

bool flags_are_valid(wire::TcpFlags flags, bool first_packet) {
  if (flags.syn() && (flags.fin() || flags.rst())) return false;
  if (first_packet && flags.rst()) return false;
  return flags.syn() || flags.fin() || flags.ack() || flags.rst();
}

std::string_view name(TcpState state) {
  static constexpr std::array<std::string_view, kTcpStates> kNames{
      "NONE",      "ESTABLISHED", "SYN_SENT",   "SYN_RECV", "FIN_WAIT",
      "TIME_WAIT", "CLOSE",       "CLOSE_WAIT", "LAST_ACK", "LISTEN"};
  return kNames[static_cast<std::size_t>(state)];
}

}  // namespace masqgate::conntrack
