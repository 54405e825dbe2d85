#include "daemon/syn_proxy/cookies.hpp"

#include <algorithm>

namespace masqgate::syn_proxy {
namespace {

constexpr unsigned kHashBits = 24, kSizeBits = 3;
constexpr std::uint32_t kMinutes = 32;

std::uint32_t minute(Time now) {
  constexpr auto kMinute = std::chrono::seconds{64};
  return static_cast<std::uint32_t>(now.time_since_epoch() / kMinute) % kMinutes;
}

}  // namespace

std::uint32_t Cookies::hash(const Tuple& tuple, std::uint32_t number, std::uint32_t head) const {
  SipHash hash{key_};
  hash.add(tuple.source_address.high()).add(tuple.source_address.low());
  hash.add(tuple.destination_address.high()).add(tuple.destination_address.low());
  hash.add(std::uint64_t{tuple.source_port} << 16 | tuple.destination_port);
  hash.add(std::uint64_t{number} << 32 | head);
  return static_cast<std::uint32_t>(hash.finish()) & ((1u << kHashBits) - 1);
}

std::uint32_t Cookies::make(const Tuple& tuple, std::uint32_t number, std::uint16_t mss,
                            Time now) const {
  const auto behind = std::ranges::upper_bound(kSizes, mss);
  const auto size =
      static_cast<std::uint32_t>(behind == kSizes.begin() ? 0 : behind - kSizes.begin() - 1);
  const std::uint32_t head = minute(now) << kSizeBits | size;
  return head << kHashBits | hash(tuple, number, head);
}

std::optional<std::uint16_t> Cookies::check(const Tuple& tuple, std::uint32_t number,
                                            std::uint32_t cookie, Time now) const {
  const std::uint32_t head = cookie >> kHashBits;
  const std::uint32_t age = (minute(now) - (head >> kSizeBits)) % kMinutes;
  if (age > kMostAge) return std::nullopt;
  if (hash(tuple, number, head) != (cookie & ((1u << kHashBits) - 1))) return std::nullopt;
  return kSizes[head & (kSizes.size() - 1)];
}

}  // namespace masqgate::syn_proxy
