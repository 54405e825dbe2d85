// Unit tests of daemon/net: text in and out of every value.

#include <doctest/doctest.h>

#include "daemon/net/endpoint.hpp"
#include "daemon/net/mac_address.hpp"
#include "daemon/net/prefix.hpp"

using namespace masqgate::net;

TEST_CASE("ip address: text in, text out") {
  struct Case {
    const char* in;
    const char* out;
  };
  for (const Case& c :
       {Case{"192.168.0.1", "192.168.0.1"}, Case{"::ffff:192.168.0.1", "192.168.0.1"},
        Case{"2001:DB8:0:0:0:0:0:1", "2001:db8::1"}, Case{"::", "::"}, Case{"::1", "::1"},
        Case{"256.0.0.1", nullptr}, Case{"1.2.3", nullptr}, Case{"", nullptr},
        Case{"1.2.3.4 ", nullptr}, Case{"fe80::1%eth0", nullptr}}) {
    CAPTURE(c.in);
    const auto parsed = IpAddress::parse(c.in);
    REQUIRE(parsed.has_value() == (c.out != nullptr));
    if (c.out != nullptr) CHECK(parsed->text() == c.out);
  }
}

TEST_CASE("ip address: what kind it is") {
  CHECK(IpAddress::parse("127.9.9.9")->is_loopback());
  CHECK(IpAddress::parse("::1")->is_loopback());
  CHECK(IpAddress::parse("224.0.0.1")->is_multicast());
  CHECK(IpAddress::parse("ff02::1")->is_multicast());
  CHECK(IpAddress::parse("169.254.1.1")->is_link_local());
  CHECK(IpAddress::parse("fe80::1")->is_link_local());
  CHECK(IpAddress::v4(0).is_unspecified());
  CHECK_FALSE(IpAddress::v4(1).is_unspecified());
  CHECK(IpAddress{}.family() == Family::v6);
}

TEST_CASE("prefix: contains only its family and its network") {
  struct Case {
    const char* prefix;
    const char* address;
    bool inside;
  };
  for (const Case& c :
       {Case{"10.0.0.0/8", "10.255.0.1", true}, Case{"10.0.0.0/8", "11.0.0.1", false},
        Case{"0.0.0.0/0", "255.255.255.255", true}, Case{"0.0.0.0/0", "::", false},
        Case{"::/0", "1.2.3.4", false}, Case{"2001:db8::/33", "2001:db8:7fff::1", true},
        Case{"2001:db8::/33", "2001:db8:8000::1", false},
        Case{"2001:db8::1/128", "2001:db8::1", true},
        Case{"2001:db8::/65", "2001:db8::7fff:0:0:1", true},
        Case{"2001:db8::/65", "2001:db8::8000:0:0:1", false},
        Case{"192.0.2.1/32", "192.0.2.2", false}}) {
    CAPTURE(c.prefix);
    CAPTURE(c.address);
    CHECK(Prefix::parse(c.prefix)->contains(*IpAddress::parse(c.address)) == c.inside);
  }
}

TEST_CASE("prefix: host bits, lengths and words out of range are refused") {
  for (const char* text : {"10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8x", "10.0.0.0/-1",
                           "/8", "2001:db8::/129", "2001:db8::1/64"}) {
    CAPTURE(text);
    CHECK_FALSE(Prefix::parse(text).has_value());
  }
  CHECK(Prefix::parse("10.1.2.3")->text() == "10.1.2.3/32");
  CHECK(InterfaceAddress::parse("10.1.2.3/8")->network().text() == "10.0.0.0/8");
}

TEST_CASE("mac address: text in, text out") {
  CHECK(MacAddress::parse("02:00:0a:FF:00:01")->text() == "02:00:0a:ff:00:01");
  CHECK(MacAddress::parse("ff:ff:ff:ff:ff:ff")->is_group());
  for (const char* text :
       {"02:00:0a:ff:00", "02:00:0a:ff:00:0g", "02-00-0a-ff-00-01", "2:0:0:0:0:0:0:0:1"}) {
    CAPTURE(text);
    CHECK_FALSE(MacAddress::parse(text).has_value());
  }
}

TEST_CASE("endpoint, port range, protocol: text in and out") {
  CHECK(Endpoint{*IpAddress::parse("2001:db8::1"), 80}.text() == "[2001:db8::1]:80");
  CHECK(PortRange::parse("80")->text() == "80");
  CHECK(PortRange::parse("1024-65535")->contains(1024));
  for (const char* text : {"80-70", "65536", "", "-", "1-", "a"}) {
    CAPTURE(text);
    CHECK_FALSE(PortRange::parse(text).has_value());
  }
  CHECK(parse_protocol("tcp") == Protocol::tcp);
  CHECK(parse_protocol("132") == Protocol::sctp);
  CHECK_FALSE(parse_protocol("256").has_value());
  CHECK(text(static_cast<Protocol>(200)) == "200");
}
