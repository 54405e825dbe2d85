// Unit tests of named sets: what is in them, of whom rules ask, and until when.

#include <doctest/doctest.h>

#include "daemon/base/random.hpp"
#include "tests/support/packet_builder.hpp"
#include "tests/support/rule_lab.hpp"
#include "tests/unit/forward_lab.hpp"

using namespace masqgate;
using namespace masqgate::firewall;
using namespace masqgate::test;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_CASE("F2 sets: rules ask by name for addresses, ranges, ports and senders, of both families") {
  const json::Json document = json::Json::parse(R"({
    "hosts": {"addresses": ["192.0.2.0/25", "198.51.100.7", "198.51.100.1-198.51.100.3", "2001:db8::/32",
                            "192.0.2.64-192.0.2.200"]},
    "web": {"ports": ["80", "8000-8080"]}})");
  const Sets sets = read_sets(json::Value{document, "/sets"});
  CHECK(write_sets(sets) == document);
  const auto& hosts = *sets.at("hosts");
  for (const char* inside : {"192.0.2.0", "192.0.2.127", "192.0.2.128", "192.0.2.200",
                             "198.51.100.2", "198.51.100.7", "2001:db8:ffff::1"})
    CHECK(hosts.contains(*net::IpAddress::parse(inside), Time{}));
  for (const char* outside :
       {"192.0.1.255", "192.0.2.201", "198.51.100.0", "198.51.100.4", "2001:db9::1", "::"})
    CHECK_FALSE(hosts.contains(*net::IpAddress::parse(outside), Time{}));
  const auto judge = [&](const std::string& matches, const PacketBuilder& builder) {
    const json::Json rule = json::Json::parse(forward(matches));
    RuleLab lab{from_json(json::Value{rule, "/firewall"}, kRulePorts, sets)};
    return drops(lab, builder);
  };
  const auto from = [](const char* source, net::Port port) {
    return tcp().from(source, 1024).to("203.0.113.9", port).flags("S");
  };
  CHECK(judge(R"("source_set": "hosts")", from("192.0.2.5", 80)));
  CHECK_FALSE(judge(R"("source_set": "hosts")", from("192.0.3.5", 80)));
  CHECK(judge(R"("source_set": "!hosts")", from("192.0.3.5", 80)));
  CHECK_FALSE(judge(R"("destination_set": "hosts")", from("192.0.2.5", 80)));
  CHECK(judge(R"("source_set": "hosts", "destination_port_set": "web")", from("192.0.2.5", 8080)));
  CHECK_FALSE(judge(R"("destination_port_set": "web")", from("192.0.2.5", 8081)));
  CHECK(judge(R"("source_port_set": "!web")", from("192.0.2.5", 80)));
  CHECK_FALSE(
      judge(R"("destination_port_set": "!web")", icmp_echo(1).from("192.0.2.5").to("192.0.2.6")));
}

TEST_CASE("F2 sets: an unknown one, and one of another kind, are refused at the rule") {
  const json::Json document = json::Json::parse(R"({"web": {"ports": [80]}})");
  const Sets sets = read_sets(json::Value{document, "/sets"});
  const auto refused = [&](const std::string& matches) -> std::string {
    const json::Json rule = json::Json::parse(forward(matches));
    try {
      from_json(json::Value{rule, "/firewall"}, kRulePorts, sets);
    } catch (const json::Error& error) {
      return error.pointer() + ": " + error.what();
    }
    return "taken";
  };
  CHECK(refused(R"("source_set": "nobody")") ==
        R"(/firewall/forward/rules/0/source_set: there is no set "nobody" in "sets")");
  CHECK(
      refused(R"("source_set": "web")") ==
      R"(/firewall/forward/rules/0/source_set: the set "web" is one of ports, and the rule asks for addresses)");
  for (const char* bad : {R"({"a": {}})", R"({"a": {"addresses": ["10.0.0.1/8"]}})",
                          R"({"a": {"addresses": ["10.0.0.9-10.0.0.1"]}})",
                          R"({"a": {"ports": [65536]}})", R"({"a": {"macs": ["x"]}})",
                          R"({"a": {"ports": [], "macs": []}})", R"({"a/b": {"ports": []}})"}) {
    CAPTURE(std::string{bad});
    const json::Json wrong = json::Json::parse(bad);
    CHECK_THROWS_AS(read_sets(json::Value{wrong, "/sets"}), json::Error);
  }
}

namespace {

constexpr Time kNow{seconds{5000}};

json::Json shown(const char* text, Time read = kNow, Time now = kNow) {
  const json::Json document = json::Json::parse(text);
  return NamedSet::from_json(json::Value{document}, read).shown(now);
}

net::IpAddress ip(const char* text) {
  return *net::IpAddress::parse(text);
}

}  // namespace

TEST_CASE("F2 sets: an element is there until its end, and not a moment longer") {
  const json::Json document = json::Json::parse(R"({"addresses": ["192.0.2.1",
    {"element": "192.0.2.2", "timeout": 60}, {"element": "2001:db8::/32", "timeout": 0},
    {"element": "10.0.0.0/8", "timeout": 100, "expires": 7}], "timeout": 30})");
  const NamedSet set = NamedSet::from_json(json::Value{document}, kNow);
  struct Row {
    const char* address;
    seconds life;
  };
  for (const Row& row : {Row{"192.0.2.1", seconds{30}}, Row{"192.0.2.2", seconds{60}},
                         Row{"10.255.0.1", seconds{7}}}) {
    CAPTURE(row.address);
    CHECK(set.contains(ip(row.address), kNow));
    CHECK(set.contains(ip(row.address), kNow + row.life - Duration{1}));
    CHECK_FALSE(set.contains(ip(row.address), kNow + row.life));
  }
  CHECK(set.contains(ip("2001:db8::1"), kNow + std::chrono::hours{10000}));
  CHECK(set.next_end(kNow) == kNow + seconds{7});
  CHECK(set.next_end(kNow + seconds{7}) == kNow + seconds{30});
  CHECK(set.next_end(kNow + seconds{60}) == NamedSet::kNever);
  CHECK(set.to_json(kNow + seconds{45}) ==
        json::Json::parse(R"({"addresses": [{"element": "192.0.2.2", "timeout": 60},
          {"element": "2001:db8::/32", "timeout": 0}], "timeout": 30})"));
  CHECK(set.shown(kNow + milliseconds{28500}) ==
        json::Json::parse(R"({"addresses": [{"element": "192.0.2.1", "timeout": 30, "expires": 2},
          {"element": "192.0.2.2", "timeout": 60, "expires": 32},
          {"element": "2001:db8::/32", "timeout": 0}], "timeout": 30})"));
}

TEST_CASE("F2 sets: ports and senders have time-outs too") {
  const json::Json ports = json::Json::parse(
      R"({"ports": [80, {"element": "8000-8080", "timeout": 5}, {"element": 80, "timeout": 1},
          {"element": 8000, "timeout": 9}]})");
  const NamedSet web = NamedSet::from_json(json::Value{ports}, kNow);
  CHECK(web.contains(net::Port{80}, kNow + seconds{100}));
  CHECK(web.contains(net::Port{8001}, kNow));
  CHECK_FALSE(web.contains(net::Port{8001}, kNow + seconds{5}));
  CHECK(web.contains(net::Port{8000}, kNow + seconds{5}));
  CHECK_FALSE(web.contains(net::Port{8000}, kNow + seconds{9}));
  CHECK_FALSE(web.contains(net::Port{81}, kNow));
  const json::Json macs = json::Json::parse(
      R"({"macs": [{"element": "02:00:00:00:00:05", "timeout": 5}, "02:00:00:00:00:06",
          {"element": "02:00:00:00:00:05", "timeout": 3}]})");
  const NamedSet senders = NamedSet::from_json(json::Value{macs}, kNow);
  const auto five = *net::MacAddress::parse("02:00:00:00:00:05");
  CHECK(senders.contains(five, kNow + seconds{4}));
  CHECK_FALSE(senders.contains(five, kNow + seconds{5}));
  CHECK(senders.contains(*net::MacAddress::parse("02:00:00:00:00:06"), kNow + seconds{5}));
}

TEST_CASE("F2 sets: networks upon networks are there as long as one of them is") {
  Random random{{3, 9}};
  for (int round = 0; round < 300; ++round) {
    CAPTURE(round);
    json::Json document{{"addresses", json::Json::array()}};
    struct Element {
      std::uint32_t first, last, seconds;
    };
    std::vector<Element> elements;
    const bool at_the_end = random.below(4) == 0;
    for (std::uint32_t i = random.below(8); i > 0; --i) {
      const std::uint32_t base = at_the_end ? 0xffffffe0 : 0x0a000000;
      const std::uint32_t first = random.below(32), last = first + random.below(32 - first);
      const std::uint32_t life = random.below(3) == 0 ? 0 : 1 + random.below(5);
      elements.push_back({base + first, base + last, life});
      document["addresses"].push_back({{"element", net::IpAddress::v4(base + first).text() + "-" +
                                                       net::IpAddress::v4(base + last).text()},
                                       {"timeout", life}});
    }
    const NamedSet set = NamedSet::from_json(json::Value{document}, kNow);
    for (std::uint32_t passed = 0; passed < 7; ++passed)
      for (std::uint32_t i = 0; i < 34; ++i) {
        const std::uint32_t address = (at_the_end ? 0xffffffdf : 0x09ffffff) + i;
        const bool expected = std::ranges::any_of(elements, [&](const Element& e) {
          return e.first <= address && address <= e.last && (e.seconds == 0 || passed < e.seconds);
        });
        REQUIRE(set.contains(net::IpAddress::v4(address), kNow + seconds{passed}) == expected);
      }
  }
}

TEST_CASE("F2 sets: a set in the place of another goes on with the time of what it has in common") {
  const auto read = [](const char* text, Time now, const Sets& before) {
    const json::Json document = json::Json::parse(text);
    return read_sets(json::Value{document, "/sets"}, now, before);
  };
  constexpr auto kFirst = R"({"a": {"addresses": [{"element": "10.0.0.1", "timeout": 60}]}})";
  const Sets first = read(kFirst, kNow, {});
  struct Row {
    const char* name;
    const char* text;
    std::int64_t passed;  // seconds, when it is read
    std::int64_t left;    // seconds, then
  };
  for (const Row& row :
       {Row{"the same", kFirst, 20, 40},
        Row{"as the set's own time-out", R"({"a": {"addresses": ["10.0.0.1"], "timeout": 60}})", 20,
            40},
        Row{"another time-out", R"({"a": {"addresses": [{"element": "10.0.0.1", "timeout": 50}]}})",
            20, 50},
        Row{"its rest is told",
            R"({"a": {"addresses": [{"element": "10.0.0.1", "timeout": 60, "expires": 55}]}})", 20,
            55},
        Row{"another set", R"({"b": {"addresses": [{"element": "10.0.0.1", "timeout": 60}]}})", 20,
            60},
        Row{"ended meanwhile", kFirst, 60, 60}}) {
    CAPTURE(row.name);
    const Time then = kNow + seconds{row.passed};
    const Sets next = read(row.text, then, first);
    CHECK(next.begin()->second->next_end(then) == then + seconds{row.left});
  }
}

TEST_CASE("F2 sets: time-outs that are none are refused with their place") {
  struct Row {
    const char* text;
    const char* pointer;
  };
  for (const Row& row :
       {Row{R"({"addresses": [], "timeout": -1})", "/timeout"},
        Row{R"({"addresses": [], "timeout": 31536001})", "/timeout"},
        Row{R"({"addresses": [{"timeout": 5}]})", "/addresses/0"},
        Row{R"({"addresses": [{"element": "x", "timeout": 5}]})", "/addresses/0/element"},
        Row{R"({"ports": [{"element": 80, "timeout": "5"}]})", "/ports/0/timeout"},
        Row{R"({"ports": [{"element": 80, "timeout": 5, "expires": 6}]})", "/ports/0/expires"},
        Row{R"({"ports": [{"element": 80, "expires": 6}]})", "/ports/0/expires"},
        Row{R"({"ports": [{"element": 80, "until": 6}]})", "/ports/0/until"},
        Row{R"({"timeout": 5})", ""}}) {
    CAPTURE(std::string{row.text});
    std::string pointer = "taken";
    try {
      shown(row.text);
    } catch (const json::Error& error) {
      pointer = error.pointer();
    }
    CHECK(pointer == row.pointer);
  }
}

TEST_CASE("F2 sets: a rule asks with the time of the packet") {
  const json::Json document =
      json::Json::parse(R"({"hosts": {"addresses": [{"element": "192.0.2.5", "timeout": 10}]}})");
  const Sets sets = read_sets(json::Value{document, "/sets"}, kNow);
  const json::Json rule = json::Json::parse(forward(R"("source_set": "hosts")"));
  RuleLab lab{from_json(json::Value{rule, "/firewall"}, kRulePorts, sets)};
  const auto packet = udp().from("192.0.2.5", 1).to("203.0.113.9", 80);
  lab.memory.now = kNow + seconds{9};
  CHECK(drops(lab, packet));
  CHECK(lab.ruleset().next_end(lab.memory.now) == kNow + seconds{10});
  lab.memory.now = kNow + seconds{10};
  CHECK_FALSE(drops(lab, packet));
  CHECK(lab.ruleset().next_end(lab.memory.now) == NamedSet::kNever);
}
