// Unit tests of netlink/: bytes that the kernel would never send harm nothing.

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>

#include "netlink/attributes.hpp"
#include "netlink/mirror.hpp"
#include "netlink/saved.hpp"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

using namespace masqgate;
using namespace masqgate::netlink;

namespace {

// Builds a message as the kernel would, padded and in host order.
class Builder {
 public:
  template <typename Header>
  Builder(std::uint16_t type, const Header& header) {
    append(nlmsghdr{0, type, 0, 0, 0});
    append(header);
  }
  template <typename Value>
  Builder& add(std::uint16_t type, const Value& value) {
    append(nlattr{static_cast<std::uint16_t>(sizeof(nlattr) + sizeof value), type});
    append(value);
    return *this;
  }
  Builder& add_bytes(std::uint16_t type, Bytes value) {
    append(nlattr{static_cast<std::uint16_t>(sizeof(nlattr) + value.size()), type});
    bytes_.insert(bytes_.end(), value.begin(), value.end());
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
    return *this;
  }
  Message build() {
    auto header = *read<nlmsghdr>(bytes_);
    header.nlmsg_len = static_cast<std::uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &header, sizeof header);
    return bytes_;
  }

 private:
  template <typename Value>
  void append(const Value& value) {
    const auto start = bytes_.size();
    bytes_.resize(start + NLMSG_ALIGN(sizeof value));
    std::memcpy(bytes_.data() + start, &value, sizeof value);
  }
  Message bytes_;
};

using Four = std::array<std::uint8_t, 4>;
using Sixteen = std::array<std::uint8_t, 16>;

rtmsg route_header(std::uint8_t family, std::uint8_t length) {
  rtmsg header{};
  header.rtm_family = family;
  header.rtm_dst_len = length;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_type = RTN_UNICAST;
  return header;
}

Message multipath_route() {
  Message hops;
  for (std::uint8_t last = 1; last <= 2; ++last) {
    const rtnexthop hop{sizeof(rtnexthop) + sizeof(nlattr) + 4, 0, last, 7};
    const nlattr gateway{sizeof(nlattr) + 4, RTA_GATEWAY};
    const auto start = hops.size();
    hops.resize(start + hop.rtnh_len);
    std::memcpy(hops.data() + start, &hop, sizeof hop);
    std::memcpy(hops.data() + start + sizeof hop, &gateway, sizeof gateway);
    const Four address{192, 0, 2, last};
    std::copy(address.begin(), address.end(), hops.end() - 4);
  }
  return Builder(RTM_NEWROUTE, route_header(AF_INET, 8))
      .add(RTA_DST, Four{10, 0, 0, 0})
      .add(RTA_PRIORITY, std::uint32_t{5})
      .add_bytes(RTA_MULTIPATH, hops)
      .build();
}

Message link_message() {
  ifinfomsg header{};
  header.ifi_index = 3;
  const std::array<std::uint8_t, 5> name{'e', 't', 'h', '0', 0};
  const std::array<std::uint8_t, 6> mac{2, 0, 0, 0, 0, 1};
  const std::array<std::uint8_t, 12> kind{9, 0, IFLA_INFO_KIND, 0, 'v', 'e', 't', 'h', 0, 0, 0, 0};
  return Builder(RTM_DELLINK, header)
      .add_bytes(IFLA_IFNAME, name)
      .add_bytes(IFLA_ADDRESS, mac)
      .add(IFLA_LINKINFO, kind)
      .build();
}

}  // namespace

TEST_CASE("a link and a route of two next hops are read") {
  const Message link_bytes = link_message();
  const auto link = std::get<Link>(*parse(link_bytes));
  CHECK(link.name == "eth0");
  CHECK(link.kind == "veth");
  CHECK(link.deleted);
  const auto route = std::get<Route>(*parse(multipath_route()));
  REQUIRE(route.next_hops.size() == 2);
  CHECK(route.next_hops[1].gateway == net::IpAddress::v4(0xc0000202));
  CHECK(route.next_hops[1].weight == 3);
  CHECK(text(route) == "10.0.0.0/8 via 192.0.2.1 via 192.0.2.2 metric 5");
}

TEST_CASE("a message cut off anywhere is refused, with its length told or lied about") {
  for (const Message& whole : {link_message(), multipath_route()}) {
    REQUIRE(parse(whole));
    for (std::size_t length = 0; length < whole.size(); ++length) {
      CAPTURE(length);
      // Copied, so that a read past the end is past an allocation.
      Message cut{whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)};
      CHECK_FALSE(parse(cut));
      if (length < sizeof(nlmsghdr)) continue;
      auto header = *read<nlmsghdr>(cut);
      header.nlmsg_len = static_cast<std::uint32_t>(length);
      std::memcpy(cut.data(), &header, sizeof header);
      parse(cut);
      Saved::from_message(cut);
    }
  }
}

TEST_CASE("every byte may be anything") {
  for (const Message& whole : {link_message(), multipath_route()})
    for (std::size_t i = 0; i < whole.size(); ++i)
      for (const unsigned value : {0x00u, 0x01u, 0x7fu, 0x80u, 0xffu}) {
        Message changed = whole;
        changed[i] = static_cast<std::uint8_t>(value);
        if (const auto saved = Saved::from_message(changed)) {
          CHECK(parse(saved->request(true)));
          saved->moved(7, 8).request(false);
        }
      }
}

TEST_CASE("lengths and families that do not fit each other are refused") {
  CHECK_FALSE(parse(Builder(RTM_NEWROUTE, route_header(AF_INET, 33)).build()));
  CHECK_FALSE(
      parse(Builder(RTM_NEWROUTE, route_header(AF_INET, 8)).add(RTA_DST, Sixteen{}).build()));
  CHECK_FALSE(parse(Builder(RTM_NEWROUTE, route_header(AF_INET6, 8)).add(RTA_DST, Four{}).build()));
  CHECK_FALSE(parse(Builder(RTM_NEWROUTE, route_header(AF_BRIDGE, 0)).build()));
  CHECK(parse(Builder(RTM_NEWROUTE, route_header(AF_INET6, 0)).build()));
}

TEST_CASE("a default route is of its own family") {
  const auto destination = [](std::uint8_t family) {
    return std::get<Route>(*parse(Builder(RTM_NEWROUTE, route_header(family, 0)).build()))
        .destination;
  };
  CHECK(destination(AF_INET).text() == "0.0.0.0/0");
  CHECK(destination(AF_INET6).text() == "::/0");
}

TEST_CASE("messages in a datagram end where a length lies") {
  Message two = link_message();
  const Message one = multipath_route();
  two.insert(two.end(), one.begin(), one.end());
  two.push_back(0);
  Bytes rest{two};
  CHECK(next_message(rest).size() == link_message().size());
  CHECK(next_message(rest).size() == one.size());
  CHECK(next_message(rest).empty());
}

TEST_CASE("a saved route moved to another link keeps all but the link") {
  const auto saved = Saved::from_message(multipath_route());
  REQUIRE(saved);
  const Saved moved = saved->moved(7, 9);
  auto before = std::get<Route>(saved->event());
  for (NextHop& hop : before.next_hops) hop.ifindex = 9;
  CHECK(std::get<Route>(moved.event()) == before);
  CHECK(std::get<Route>(*parse(moved.request(true))) == before);
  CHECK(std::get<Route>(*parse(moved.request(false))).deleted);
  CHECK(Saved::from_hex(saved->hex())->hex() == saved->hex());
}
