#include "daemon/firewall/set.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "daemon/net/prefix.hpp"

namespace masqgate::firewall {
namespace {

using json::Value;

constexpr std::array<std::pair<std::string_view, SetKind>, 3> kKinds{
    {{"addresses", SetKind::addresses}, {"ports", SetKind::ports}, {"macs", SetKind::macs}}};

// The last address of a network.
net::IpAddress last_of(const net::Prefix& prefix) {
  const unsigned host_bits = (prefix.address().is_v4() ? 32 : 128) - prefix.length();
  const auto ones = [](unsigned bits) {
    return bits >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
  };
  const net::IpAddress first = prefix.address();
  return net::IpAddress::v6(first.high() | ones(host_bits > 64 ? host_bits - 64 : 0),
                            first.low() | ones(std::min(host_bits, 64u)));
}

}  // namespace

void NamedSet::read_addresses(const Value& value) {
  for (const Value& one : value.elements()) {
    const std::string& text = one.text();
    const std::size_t dash = text.find('-');
    std::optional<Span> span;
    if (const auto prefix = net::Prefix::parse(text)) {
      span = Span{prefix->address(), last_of(*prefix)};
    } else if (dash != text.npos) {
      const auto first = net::IpAddress::parse(text.substr(0, dash));
      const auto last = net::IpAddress::parse(text.substr(dash + 1));
      if (first && last && first->is_v4() == last->is_v4() && *first <= *last)
        span = Span{*first, *last};
    }
    if (!span)
      one.refuse(Value::quoted(text) +
                 " is no address, network or range such as 192.0.2.1-192.0.2.9");
    spans_.push_back(*span);
    elements_.push_back(text);
  }
  std::ranges::sort(spans_, {}, &Span::first);
  std::vector<Span> merged;
  for (const Span& span : spans_)
    if (!merged.empty() && span.first <= merged.back().last)
      merged.back().last = std::max(merged.back().last, span.last);
    else
      merged.push_back(span);
  spans_ = std::move(merged);
}

void NamedSet::read_ports(const Value& value) {
  ports_.assign(65536 / 64, 0);
  for (const Value& one : value.elements()) {
    const std::string text =
        one.json().is_number() ? std::to_string(one.number(0, 65535)) : one.text();
    const auto range = net::PortRange::parse(text);
    if (!range) one.refuse(Value::quoted(text) + " is no port or range such as 8000-8080");
    for (unsigned port = range->first; port <= range->last; ++port)
      ports_[port / 64] |= std::uint64_t{1} << port % 64;
    elements_.push_back(range->text());
  }
}

void NamedSet::read_macs(const Value& value) {
  for (const Value& one : value.elements()) {
    const auto mac = net::MacAddress::parse(one.text());
    if (!mac) one.refuse(Value::quoted(one.text()) + " is no address such as 02:00:00:00:00:01");
    macs_.push_back(*mac);
    elements_.push_back(mac->text());
  }
  std::ranges::sort(macs_);
}

NamedSet NamedSet::from_json(const Value& value) {
  value.allow({"addresses", "ports", "macs"});
  const auto members = value.members();
  if (members.size() != 1)
    value.refuse("must have one member, which is one of: addresses, ports, macs");
  const auto& [word, elements] = members.front();
  if (elements.elements().size() > kMost)
    elements.refuse("has more than " + std::to_string(kMost) + " elements");
  NamedSet set;
  for (const auto& [name, kind] : kKinds)
    if (name == word) set.kind_ = kind;
  if (set.kind_ == SetKind::addresses) set.read_addresses(elements);
  if (set.kind_ == SetKind::ports) set.read_ports(elements);
  if (set.kind_ == SetKind::macs) set.read_macs(elements);
  return set;
}

json::Json NamedSet::to_json() const {
  json::Json out = json::Json::object();
  out[std::string{json::word_of(json::Words<SetKind>{kKinds}, kind_)}] = elements_;
  return out;
}

bool NamedSet::contains(net::IpAddress address) const noexcept {
  const auto behind = std::ranges::upper_bound(spans_, address, {}, &Span::first);
  return behind != spans_.begin() && address <= std::prev(behind)->last;
}

bool NamedSet::contains(net::MacAddress mac) const noexcept {
  return std::ranges::binary_search(macs_, mac);
}

}  // namespace masqgate::firewall
