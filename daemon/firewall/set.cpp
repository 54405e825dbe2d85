#include "daemon/firewall/set.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <queue>
#include <string_view>
#include <unordered_map>

#include "daemon/net/prefix.hpp"

namespace masqgate::firewall {
namespace {

using json::Json;
using json::Value;
using std::chrono::seconds;

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

net::IpAddress behind(net::IpAddress address) {
  return net::IpAddress::v6(address.high() + (address.low() == ~std::uint64_t{0} ? 1 : 0),
                            address.low() + 1);
}

net::IpAddress before(net::IpAddress address) {
  return net::IpAddress::v6(address.high() - (address.low() == 0 ? 1 : 0), address.low() - 1);
}

// Spans that may lie upon each other become spans that do not; each address keeps its latest end.
template <typename Span>
std::vector<Span> apart(std::vector<Span> spans) {
  std::ranges::sort(spans, {}, &Span::first);
  const auto ends_sooner = [](const Span& a, const Span& b) { return a.end < b.end; };
  std::priority_queue<Span, std::vector<Span>, decltype(ends_sooner)> here{ends_sooner};
  std::vector<Span> out;
  net::IpAddress at;
  for (std::size_t next = 0; next < spans.size() || !here.empty();) {
    if (here.empty()) at = spans[next].first;
    while (next < spans.size() && spans[next].first <= at) here.push(spans[next++]);
    while (!here.empty() && here.top().last < at) here.pop();
    if (here.empty()) continue;
    Span span{at, here.top().last, here.top().end};
    if (next < spans.size() && spans[next].first <= span.last)
      span.last = before(spans[next].first);
    if (!out.empty() && out.back().end == span.end && behind(out.back().last) == span.first)
      out.back().last = span.last;
    else
      out.push_back(span);
    at = behind(span.last);
    if (at == net::IpAddress{}) break;  // behind the last address of all
  }
  return out;
}

seconds seconds_of(const Value& value, seconds most) {
  return seconds{value.number(0, static_cast<std::uint32_t>(most.count()))};
}

}  // namespace

// Reads the elements of one set.
class NamedSet::Reader {
 public:
  Reader(NamedSet& set, Time now, const NamedSet* before) : set_{set}, now_{now} {
    if (before == nullptr || before->kind_ != set.kind_) return;
    for (const Element& one : before->elements_)
      if (one.end != kNever && one.end > now) known_.emplace(one.text, &one);
  }

  void read(const Value& value) {
    if (!value.json().is_object()) return add(value, set_.timeout_, std::nullopt);
    value.allow({"element", "timeout", "expires"});
    seconds timeout = set_.timeout_;
    std::optional<seconds> rest;
    if (const auto own = value.find("timeout")) timeout = seconds_of(*own, kLongest);
    if (const auto expires = value.find("expires")) rest = seconds_of(*expires, timeout);
    add(value.at("element"), timeout, rest);
  }

  void finish() {
    set_.spans_ = apart(std::move(spans_));
    std::ranges::sort(set_.macs_, [](const Mac& a, const Mac& b) {
      return a.address != b.address ? a.address < b.address : a.end > b.end;
    });
    const auto same_address = [](const Mac& a, const Mac& b) { return a.address == b.address; };
    set_.macs_.erase(std::unique(set_.macs_.begin(), set_.macs_.end(), same_address),
                     set_.macs_.end());
    std::ranges::sort(set_.ends_);
  }

 private:
  void add(const Value& what, seconds timeout, std::optional<seconds> rest) {
    switch (set_.kind_) {
      case SetKind::addresses: {
        const Span span = read_span(what);
        spans_.push_back({span.first, span.last, note(what.text(), timeout, rest)});
        return;
      }
      case SetKind::ports: {
        const net::PortRange range = read_ports(what);
        put(range, note(range.text(), timeout, rest));
        return;
      }
      case SetKind::macs: {
        const auto mac = net::MacAddress::parse(what.text());
        if (!mac)
          what.refuse(Value::quoted(what.text()) + " is no address such as 02:00:00:00:00:01");
        set_.macs_.push_back({*mac, note(mac->text(), timeout, rest)});
      }
    }
  }

  // Notes the element and says when it ends. One that was there before goes on with its time,
  // unless its rest is told.
  Time note(const std::string& text, seconds timeout, std::optional<seconds> rest) {
    Time end = timeout == seconds{} ? kNever : now_ + rest.value_or(timeout);
    const auto known = known_.find(text);
    if (!rest && known != known_.end() && known->second->timeout == timeout)
      end = known->second->end;
    set_.elements_.push_back({text, timeout, end});
    if (end != kNever) set_.ends_.push_back(end);
    return end;
  }

  static Span read_span(const Value& value) {
    const std::string& text = value.text();
    const std::size_t dash = text.find('-');
    if (const auto prefix = net::Prefix::parse(text)) return {prefix->address(), last_of(*prefix)};
    if (dash != text.npos) {
      const auto first = net::IpAddress::parse(text.substr(0, dash));
      const auto last = net::IpAddress::parse(text.substr(dash + 1));
      if (first && last && first->is_v4() == last->is_v4() && *first <= *last)
        return {*first, *last};
    }
    value.refuse(Value::quoted(text) +
                 " is no address, network or range such as 192.0.2.1-192.0.2.9");
  }

  static net::PortRange read_ports(const Value& value) {
    const std::string text =
        value.json().is_number() ? std::to_string(value.number(0, 65535)) : value.text();
    const auto range = net::PortRange::parse(text);
    if (!range) value.refuse(Value::quoted(text) + " is no port or range such as 8000-8080");
    return *range;
  }

  void put(const net::PortRange& range, Time end) {
    if (end != kNever && set_.port_ends_.empty()) set_.port_ends_.assign(65536, Time{});
    for (unsigned port = range.first; port <= range.last; ++port)
      if (end == kNever)
        set_.ports_[port / 64] |= std::uint64_t{1} << port % 64;
      else
        set_.port_ends_[port] = std::max(set_.port_ends_[port], end);
  }

  NamedSet& set_;
  Time now_;
  std::unordered_map<std::string_view, const Element*> known_;
  std::vector<Span> spans_;
};

NamedSet NamedSet::from_json(const Value& value, Time now, const NamedSet* before) {
  value.allow({"addresses", "ports", "macs", "timeout"});
  NamedSet set;
  std::optional<Value> elements;
  for (const auto& [name, kind] : kKinds)
    if (const auto found = value.find(name)) {
      if (elements) value.refuse("has members of two kinds; make two sets of them");
      elements = found;
      set.kind_ = kind;
    }
  if (!elements) value.refuse("must have one of: addresses, ports, macs");
  if (const auto timeout = value.find("timeout")) set.timeout_ = seconds_of(*timeout, kLongest);
  const std::vector<Value> all = elements->elements();
  if (all.size() > kMost) elements->refuse("has more than " + std::to_string(kMost) + " elements");
  if (set.kind_ == SetKind::ports) set.ports_.assign(65536 / 64, 0);
  Reader reader{set, now, before};
  for (const Value& one : all) reader.read(one);
  reader.finish();
  return set;
}

Json NamedSet::written(Time now, bool with_rest) const {
  Json out = Json::object(), list = Json::array();
  for (const Element& one : elements_) {
    if (one.end <= now) continue;
    const bool is_plain = one.timeout == timeout_ && !(with_rest && one.end != kNever);
    if (is_plain) {
      list.push_back(one.text);
      continue;
    }
    Json element{{"element", one.text}, {"timeout", one.timeout.count()}};
    if (with_rest && one.end != kNever)
      element["expires"] = std::chrono::ceil<seconds>(one.end - now).count();
    list.push_back(std::move(element));
  }
  out[std::string{json::word_of(json::Words<SetKind>{kKinds}, kind_)}] = std::move(list);
  if (timeout_ != seconds{}) out["timeout"] = timeout_.count();
  return out;
}

bool NamedSet::contains(net::IpAddress address, Time now) const noexcept {
  const auto after = std::ranges::upper_bound(spans_, address, {}, &Span::first);
  if (after == spans_.begin()) return false;
  const Span& span = *std::prev(after);
  return address <= span.last && now < span.end;
}

bool NamedSet::contains(net::MacAddress mac, Time now) const noexcept {
  const auto found = std::ranges::lower_bound(macs_, mac, {}, &Mac::address);
  return found != macs_.end() && found->address == mac && now < found->end;
}

Time NamedSet::next_end(Time now) const noexcept {
  const auto next = std::ranges::upper_bound(ends_, now);
  return next == ends_.end() ? kNever : *next;
}

}  // namespace masqgate::firewall
