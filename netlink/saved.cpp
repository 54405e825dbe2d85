#include "netlink/saved.hpp"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include <algorithm>

#include "netlink/attributes.hpp"

namespace masqgate::netlink {
namespace {

bool is_new(Bytes message) {
  const auto header = read<nlmsghdr>(message);
  return header && (header->nlmsg_type == RTM_NEWADDR || header->nlmsg_type == RTM_NEWROUTE);
}

template <typename Struct>
void write_at(Message& message, std::size_t offset, const Struct& value) {
  std::memcpy(message.data() + offset, &value, sizeof value);
}

void append(Message& message, const Attribute& a, Bytes value) {
  const nlattr header{static_cast<std::uint16_t>(sizeof header + value.size()), a.type};
  const std::size_t start = message.size();
  message.resize(start + NLA_ALIGN(header.nla_len));
  write_at(message, start, header);
  std::copy(value.begin(), value.end(),
            message.begin() + static_cast<std::ptrdiff_t>(start + sizeof header));
}

// The message again, with its attributes as `edit` wants them: it answers an attribute's new value,
// or nothing to leave it out. Its struct `Header` goes through `edit_header`.
template <typename Header, typename EditHeader, typename Edit>
Message rebuilt(const Message& message, EditHeader edit_header, Edit edit) {
  auto netlink_header = *read<nlmsghdr>(message);
  auto header = *read<Header>(after(message, sizeof(nlmsghdr)));
  edit_header(header);
  Message out(sizeof(nlmsghdr) + NLMSG_ALIGN(sizeof header));
  write_at(out, sizeof(nlmsghdr), header);
  walk(after(message, out.size()), [&](const Attribute& a) {
    if (const std::optional<Message> value = edit(a)) append(out, a, *value);
  });
  netlink_header.nlmsg_len = static_cast<std::uint32_t>(out.size());
  write_at(out, 0, netlink_header);
  return out;
}

std::optional<Message> unchanged(const Attribute& a) {
  return Message{a.value.begin(), a.value.end()};
}

Message address_on(const Message& message, std::uint32_t to) {
  return rebuilt<ifaddrmsg>(
      message, [&](ifaddrmsg& header) { header.ifa_index = to; },
      [](const Attribute& a) { return a.type == IFA_LABEL ? std::nullopt : unchanged(a); });
}

// Calls edit(rtnexthop&) for each of several next hops.
template <typename Edit>
Message edit_next_hops(Bytes bytes, Edit edit) {
  Message out{bytes.begin(), bytes.end()};
  for (std::size_t at = 0; at + sizeof(rtnexthop) <= out.size();) {
    auto header = *read<rtnexthop>(after(out, at));
    edit(header);
    write_at(out, at, header);
    at += std::max<std::size_t>(NLMSG_ALIGN(header.rtnh_len), sizeof header);
  }
  return out;
}

Message route_on(const Message& message, std::uint32_t from, std::uint32_t to) {
  return rebuilt<rtmsg>(
      message, [](rtmsg&) {},
      [&](const Attribute& a) -> std::optional<Message> {
        if (a.type == RTA_NH_ID) return std::nullopt;
        if (a.type == RTA_MULTIPATH)
          return edit_next_hops(a.value, [&](rtnexthop& hop) {
            if (hop.rtnh_ifindex == static_cast<int>(from)) hop.rtnh_ifindex = static_cast<int>(to);
          });
        auto value = unchanged(a);
        if (a.type == RTA_OIF && a.number<std::uint32_t>() == from) write_at(*value, 0, to);
        return value;
      });
}

// What the kernel says of a route but does not take back: states, ages, and the next hops of an
// object beside the object.
Message route_request(const Message& message, bool has_object) {
  return rebuilt<rtmsg>(
      message, [](rtmsg& header) { header.rtm_flags &= RTNH_F_ONLINK | RTNH_F_PERVASIVE; },
      [&](const Attribute& a) -> std::optional<Message> {
        const bool hop = a.type == RTA_OIF || a.type == RTA_GATEWAY || a.type == RTA_VIA ||
                         a.type == RTA_MULTIPATH || a.type == RTA_ENCAP || a.type == RTA_ENCAP_TYPE;
        if (a.type == RTA_CACHEINFO || (has_object && hop)) return std::nullopt;
        if (a.type != RTA_MULTIPATH) return unchanged(a);
        return edit_next_hops(a.value, [](rtnexthop& header) {
          header.rtnh_flags &= RTNH_F_ONLINK | RTNH_F_PERVASIVE;
        });
      });
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::optional<Saved> Saved::from_message(Bytes message) {
  auto event = parse(message);
  if (!event || !is_new(message)) return std::nullopt;
  Message copy{message.begin(), message.end()};
  auto header = *read<nlmsghdr>(copy);
  header.nlmsg_flags = 0;
  header.nlmsg_seq = 0;
  header.nlmsg_pid = 0;
  write_at(copy, 0, header);
  return Saved{std::move(copy), std::move(*event)};
}

std::optional<Saved> Saved::from_hex(std::string_view hex) {
  Message message;
  if (hex.size() % 2 != 0) return std::nullopt;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = hex_digit(hex[i]);
    const int low = hex_digit(hex[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    message.push_back(static_cast<std::uint8_t>(high << 4 | low));
  }
  return from_message(message);
}

std::string Saved::hex() const {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const std::uint8_t byte : message_) {
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  return out;
}

std::string Saved::text() const {
  if (const auto* route = std::get_if<Route>(&event_)) return netlink::text(*route);
  return netlink::text(std::get<Address>(event_));
}

bool Saved::is_v4() const {
  if (const auto* route = std::get_if<Route>(&event_))
    return route->destination.family() == net::Family::v4;
  return std::get<Address>(event_).address.address.is_v4();
}

Saved Saved::moved(std::uint32_t from, std::uint32_t to) const {
  if (from == to) return *this;
  Message message = is_route() ? route_on(message_, from, to) : address_on(message_, to);
  auto event = parse(message);
  return event ? Saved{std::move(message), std::move(*event)} : *this;
}

Message Saved::request(bool give) const {
  const auto* route = std::get_if<Route>(&event_);
  Message message =
      route != nullptr ? route_request(message_, route->next_hop_object != 0) : message_;
  auto header = *read<nlmsghdr>(message);
  if (!give) ++header.nlmsg_type;  // DEL stands behind NEW
  header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  // IPv4 keeps an order among equal routes; IPv6 would take APPEND for one more next hop.
  const bool append = route != nullptr && is_v4();
  if (give)
    header.nlmsg_flags = static_cast<std::uint16_t>(header.nlmsg_flags | NLM_F_CREATE |
                                                    (append ? NLM_F_APPEND : NLM_F_EXCL));
  write_at(message, 0, header);
  return message;
}

}  // namespace masqgate::netlink
