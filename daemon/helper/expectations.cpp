#include "daemon/helper/expectations.hpp"

#include <algorithm>

namespace masqgate::helper {

std::string_view name(Outcome outcome) {
  static constexpr std::array<std::string_view, 7> kNames{
      "waiting", "fulfilled", "expired", "replaced", "master_gone", "switched_off", "refused"};
  return kNames[static_cast<std::size_t>(outcome)];
}

Evidence::Evidence(wire::Bytes message) {
  size = static_cast<std::uint8_t>(std::min(message.size(), kMost));
  std::ranges::copy(message.first(size), bytes.begin());
}

Expectations::Expectations(HashKey key, Time now)
    : key_{key}, index_{kMost}, inside_{kMost}, wheel_{kMost, now}, entries_(kMost) {
  for (std::size_t i = kMost; i-- > 0;) free_.push_back(static_cast<std::uint16_t>(i));
}

std::uint32_t Expectations::hash(net::Protocol protocol, net::Endpoint outside) const {
  SipHash hash{key_};
  hash.add(outside.address.high()).add(outside.address.low());
  hash.add(std::uint64_t{outside.port} << 8 | net::number(protocol));
  return static_cast<std::uint32_t>(hash.finish());
}

std::optional<std::uint16_t> Expectations::add(const Expectation& expectation) {
  if (free_.empty()) return std::nullopt;
  const std::uint16_t number = free_.back();
  free_.pop_back();
  entries_[number] = expectation;
  index_.insert(hash(expectation.protocol, expectation.outside), number);
  if (expectation.inside != expectation.outside)
    inside_.insert(hash(expectation.protocol, expectation.inside), number);
  wheel_.schedule(number, expectation.until);
  return number;
}

void Expectations::refresh(std::uint16_t number, Time until) {
  entries_[number].until = until;
  wheel_.schedule(number, until);
}

net::Endpoint Expectations::destination_of(const Tuple& tuple) {
  const bool has_index = tuple.protocol == net::Protocol::esp;
  return {tuple.destination_address, has_index ? net::Port{0} : tuple.destination_port};
}

std::optional<std::uint16_t> Expectations::find(const Tuple& tuple) const {
  if (index_.size() == 0) return std::nullopt;
  const net::Endpoint destination = destination_of(tuple);
  const auto found = index_.find(hash(tuple.protocol, destination), [&](std::uint32_t n) {
    const Expectation& e = entries_[n];
    return e.protocol == tuple.protocol && e.outside == destination &&
           (e.from_anybody || e.from == tuple.source_address) &&
           (e.from_port == 0 || e.from_port == tuple.source_port);
  });
  return found ? std::optional{static_cast<std::uint16_t>(*found)} : std::nullopt;
}

bool Expectations::is_reserved(net::Protocol protocol, net::Endpoint outside) const noexcept {
  if (index_.size() == 0) return false;
  return index_
      .find(hash(protocol, outside),
            [&](std::uint32_t n) {
              return entries_[n].protocol == protocol && entries_[n].outside == outside;
            })
      .has_value();
}

std::optional<net::Endpoint> Expectations::promised_to(net::Protocol protocol,
                                                       net::Endpoint inside) const noexcept {
  if (inside_.size() == 0) return std::nullopt;
  const auto found = inside_.find(hash(protocol, inside), [&](std::uint32_t n) {
    return entries_[n].protocol == protocol && entries_[n].inside == inside;
  });
  return found ? std::optional{entries_[*found].outside} : std::nullopt;
}

void Expectations::remove(std::uint16_t number, Outcome outcome, Time now,
                          const Tuple& connection) {
  const Expectation& gone = entries_[number];
  index_.erase(hash(gone.protocol, gone.outside), number);
  if (gone.inside != gone.outside) inside_.erase(hash(gone.protocol, gone.inside), number);
  wheel_.cancel(number);
  remember({gone, outcome, {}, connection, now});
  entries_[number].helper = nullptr;
  free_.push_back(number);
}

void Expectations::note_refusal(const Expectation& about, Refusal why, Time now) {
  if (!past_.empty()) {
    PastExpectation& last = past_.back();
    const bool is_same = last.outcome == Outcome::refused && last.refusal == why &&
                         last.expectation.master == about.master &&
                         last.expectation.inside == about.inside;
    if (is_same) {
      last.when = now;
      return;
    }
  }
  remember({about, Outcome::refused, why, {}, now});
}

void Expectations::remember(PastExpectation past) {
  if (past_.size() == kMostPast) past_.pop_front();
  past_.push_back(std::move(past));
}

std::vector<Expectation> Expectations::list() const {
  std::vector<Expectation> all;
  std::ranges::copy_if(entries_, std::back_inserter(all),
                       [](const Expectation& e) { return e.helper != nullptr; });
  return all;
}

}  // namespace masqgate::helper
