#include "daemon/control/incident_log.hpp"

#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include "daemon/base/log.hpp"

namespace masqgate::control {
namespace {

using Drops = std::array<std::uint64_t, kDropReasons>;

struct Seen {
  Drops drops{};
  std::vector<path::Move> moves;
};

void log_drops(const Drops& before, const Drops& now) {
  for (std::size_t i = 0; i < kDropReasons; ++i)
    if (now[i] > before[i])
      log::notice("IP_MASQ:dropped: " + std::string{kDropReasonNames[i]},
                  {{"PACKETS", std::to_string(now[i] - before[i])}});
}

}  // namespace

std::string move_text(const path::Move& move) {
  const bool is_icmp =
      move.protocol == net::Protocol::icmp || move.protocol == net::Protocol::icmpv6;
  const char* words = is_icmp ? "IP_MASQ:ip_fw_masq_icmp(): change masq.addr "
                              : "IP_MASQ:ip_fw_masquerade(): change masq.addr from ";
  return words + move.from.text() + " to " + move.to.text();
}

asio::awaitable<void> log_incidents(Router& router) {
  const auto question = [](path::Shard& shard) {
    return Seen{shard.counters().drops, shard.lost_addresses().take_moves()};
  };
  asio::steady_timer timer{co_await asio::this_coro::executor};
  std::optional<Drops> before;
  for (;;) {
    timer.expires_after(std::chrono::seconds{1});
    co_await timer.async_wait(asio::use_awaitable);
    const bool tells_drops = router.config().ip_masq_debug > 0;
    const bool tells_moves = nat::Dynaddr{router.config().ip_dynaddr}.is_verbose();
    if (!tells_drops) before.reset();
    if (!tells_drops && !tells_moves) continue;
    const Seen seen = co_await router.shard().ask(question);
    if (before) log_drops(*before, seen.drops);
    if (tells_drops) before = seen.drops;
    for (const path::Move& move : seen.moves) log::notice(move_text(move));
  }
}

}  // namespace masqgate::control
