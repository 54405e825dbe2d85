// Unit tests of daemon/route: every feature of a rule, both families, and a property test against a
// reference that asks every rule and every route.

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>

#include "daemon/route/table.hpp"
#include "tests/support/packet_builder.hpp"

using namespace masqgate;
using namespace masqgate::route;
using masqgate::test::address;
using net::Family;
using net::Prefix;

namespace {

Prefix prefix(const char* text) {
  return *Prefix::parse(text);
}

Route to(const char* destination, PortIndex egress, const char* gateway = nullptr) {
  Route route{.destination = prefix(destination)};
  route.next_hops = {{.egress = egress}};
  if (gateway != nullptr) route.next_hops[0].gateway = address(gateway);
  return route;
}

Route refusing(const char* destination, Kind kind) {
  return {.destination = prefix(destination), .kind = kind};
}

Route in_table(std::uint32_t table, Route route) {
  route.table = table;
  return route;
}

Query query(const char* destination, const char* source = nullptr) {
  Query out{.destination = address(destination)};
  out.source = address(source != nullptr         ? source
                       : out.destination.is_v4() ? "10.9.9.9"
                                                 : "fd99::9");
  return out;
}

Rule lookup_rule(std::uint32_t priority, std::uint32_t table, Family family = Family::v4) {
  return {.family = family, .priority = priority, .table = table};
}

}  // namespace

TEST_CASE("route: the longest prefix wins, then the lowest metric") {
  std::vector<Route> routes{to("0.0.0.0/0", 1, "203.0.113.1"),
                            to("10.0.0.0/8", 2),
                            to("10.1.0.0/16", 3, "10.0.0.1"),
                            to("10.1.2.3/32", 4),
                            to("10.1.0.0/16", 5),
                            to("::/0", 6, "fe80::1"),
                            to("2001:db8::/32", 7),
                            to("2001:db8:0:1::/64", 8)};
  routes[4].metric = 100;
  const Table table{routes, default_rules()};
  struct Case {
    const char* destination;
    PortIndex egress;
    const char* next_hop;
  };
  for (const Case& c :
       {Case{"192.0.2.1", 1, "203.0.113.1"}, Case{"10.2.0.0", 2, "10.2.0.0"},
        Case{"10.255.255.255", 2, "10.255.255.255"}, Case{"11.0.0.0", 1, "203.0.113.1"},
        Case{"10.0.255.255", 2, "10.0.255.255"}, Case{"10.1.0.0", 3, "10.0.0.1"},
        Case{"10.1.2.2", 3, "10.0.0.1"}, Case{"10.1.2.3", 4, "10.1.2.3"},
        Case{"10.1.2.4", 3, "10.0.0.1"}, Case{"255.255.255.255", 1, "203.0.113.1"},
        Case{"0.0.0.0", 1, "203.0.113.1"}, Case{"::", 6, "fe80::1"},
        Case{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 6, "fe80::1"},
        Case{"2001:db8::1", 7, "2001:db8::1"},
        Case{"2001:db8:0:1:ffff:ffff:ffff:ffff", 8, "2001:db8:0:1:ffff:ffff:ffff:ffff"},
        Case{"2001:db8:0:2::", 7, "2001:db8:0:2::"}}) {
    CAPTURE(c.destination);
    const Decision found = table.lookup(query(c.destination));
    CHECK(found.kind == Kind::unicast);
    CHECK(found.egress == c.egress);
    CHECK(found.next_hop.text() == c.next_hop);
  }
}

TEST_CASE("route: no table, no rule, no route, no answer") {
  CHECK(Table{}.lookup(query("192.0.2.1")).kind == Kind::none);
  CHECK(Table({to("0.0.0.0/0", 1)}, {}).lookup(query("192.0.2.1")).kind == Kind::none);
  CHECK(Table({}, default_rules()).lookup(query("2001:db8::1")).kind == Kind::none);
  // The default route of one family says nothing of the other.
  CHECK(Table({to("::/0", 1)}, default_rules()).lookup(query("192.0.2.1")).kind == Kind::none);
  CHECK(Table({to("0.0.0.0/0", 1)}, default_rules()).lookup(query("::1")).kind == Kind::none);
  CHECK(Table({to("10.0.0.0/8", 1)}, default_rules()).lookup(query("9.255.255.255")).kind ==
        Kind::none);
}

TEST_CASE("route: kinds, preferred source, MTU, a gateway of the other family") {
  std::vector<Route> routes{refusing("10.0.0.0/8", Kind::blackhole),
                            refusing("10.1.0.0/16", Kind::unreachable),
                            refusing("10.2.0.0/16", Kind::prohibit),
                            in_table(kLocalTable, to("192.0.2.1/32", 1)),
                            in_table(kLocalTable, to("192.0.2.255/32", 1)),
                            in_table(kLocalTable, to("ff00::/8", 1)),
                            to("0.0.0.0/0", 2, "fe80::1"),
                            to("172.16.0.0/12", kNoPort)};
  routes[3].kind = Kind::local;
  routes[4].kind = Kind::broadcast;
  routes[5].kind = Kind::multicast;
  routes[6].preferred_source = address("203.0.113.2");
  routes[6].mtu = 1280;
  const Table table{routes, default_rules()};
  CHECK(table.lookup(query("10.9.9.9")).kind == Kind::blackhole);
  CHECK(table.lookup(query("10.1.0.1")).kind == Kind::unreachable);
  CHECK(table.lookup(query("10.2.0.1")).kind == Kind::prohibit);
  CHECK(table.lookup(query("192.0.2.1")).kind == Kind::local);
  CHECK(table.lookup(query("192.0.2.255")).kind == Kind::broadcast);
  CHECK(table.lookup(query("ff02::1")).kind == Kind::multicast);
  const Decision elsewhere = table.lookup(query("172.16.0.1"));
  CHECK(elsewhere.kind == Kind::unicast);
  CHECK(elsewhere.egress == kNoPort);
  const Decision far = table.lookup(query("198.51.100.1"));
  CHECK(far == Decision{Kind::unicast, 2, address("fe80::1"), address("203.0.113.2"), 1280});
}

TEST_CASE("route: a type of service goes before any, and falls back to shorter prefixes") {
  std::vector<Route> routes{to("10.0.0.0/8", 1), to("10.1.0.0/16", 2), to("10.0.0.0/8", 3)};
  routes[1].tos = 0x10;
  routes[2].tos = 0x10;
  routes[2].metric = 50;
  const Table table{routes, default_rules()};
  Query q = query("10.1.1.1");
  CHECK(table.lookup(q).egress == 1);  // the /16 is for another service
  q.tos = 0x10;
  CHECK(table.lookup(q).egress == 2);
  q.tos = 0x13;  // the two low bits are ECN
  CHECK(table.lookup(q).egress == 2);
  q.destination = address("10.2.0.1");
  CHECK(table.lookup(q).egress == 3);  // though its metric is higher
}

TEST_CASE("rule: every selector decides, and invert turns the whole rule round") {
  struct Case {
    const char* name;
    Rule rule;
    bool matches;
    const char* destination = "198.51.100.1";
  };
  const auto with = [](auto change) {
    Rule rule = lookup_rule(100, 7);
    change(rule);
    return rule;
  };
  Query q = query("198.51.100.1", "192.168.1.10");
  q.ingress = 3;
  q.mark = 0x15;
  q.tos = 0x08;
  q.protocol = net::Protocol::tcp;
  q.source_port = 4000;
  q.destination_port = 80;
  for (const Case& c : {
           Case{"no selector", with([](Rule&) {}), true},
           Case{"from", with([](Rule& r) { r.from = prefix("192.168.1.0/24"); }), true},
           Case{"not from", with([](Rule& r) { r.from = prefix("192.168.2.0/24"); }), false},
           Case{"to", with([](Rule& r) { r.to = prefix("198.51.100.1/32"); }), true},
           Case{"not to", with([](Rule& r) { r.to = prefix("198.51.100.2/32"); }), false},
           Case{"iif", with([](Rule& r) { r.ingress = PortIndex{3}; }), true},
           Case{"not iif", with([](Rule& r) { r.ingress = PortIndex{4}; }), false},
           Case{"an iif that is no port", with([](Rule& r) { r.ingress = kNoPort; }), false},
           Case{"mark", with([](Rule& r) { r.mark = 0x15, r.mark_mask = ~0u; }), true},
           Case{"mark under mask", with([](Rule& r) { r.mark = 0x5, r.mark_mask = 0xf; }), true},
           Case{"not mark", with([](Rule& r) { r.mark = 0x5, r.mark_mask = 0xff; }), false},
           Case{"tos", with([](Rule& r) { r.tos = 0x08; }), true},
           Case{"not tos", with([](Rule& r) { r.tos = 0x10; }), false},
           Case{"protocol", with([](Rule& r) { r.protocol = net::Protocol::tcp; }), true},
           Case{"not protocol", with([](Rule& r) { r.protocol = net::Protocol::udp; }), false},
           Case{"sport", with([](Rule& r) {
                  r.source_ports = net::PortRange{4000, 4001};
                }),
                true},
           Case{"not sport", with([](Rule& r) {
                  r.source_ports = net::PortRange{80, 80};
                }),
                false},
           Case{"dport", with([](Rule& r) {
                  r.destination_ports = net::PortRange{80, 80};
                }),
                true},
           Case{"not dport", with([](Rule& r) {
                  r.destination_ports = net::PortRange{1, 79};
                }),
                false},
           Case{"what no packet meets", with([](Rule& r) { r.unmeetable = true; }), false},
           Case{"all at once", with([](Rule& r) {
                  r.from = prefix("192.168.0.0/16");
                  r.ingress = PortIndex{3};
                  r.tos = 0x08;
                }),
                true},
           Case{"one of two", with([](Rule& r) {
                  r.from = prefix("192.168.0.0/16");
                  r.ingress = PortIndex{4};
                }),
                false},
           Case{"another family", with([](Rule& r) { r.family = Family::v6; }), false},
       }) {
    CAPTURE(c.name);
    const std::vector<Route> routes{in_table(7, to("0.0.0.0/0", 7)), to("0.0.0.0/0", 1)};
    const auto egress = [&](const Rule& rule) {
      std::vector<Rule> rules = default_rules();
      rules.push_back(rule);
      return Table{routes, rules}.lookup(q).egress;
    };
    CHECK(egress(c.rule) == (c.matches ? 7 : 1));
    if (c.rule.family == Family::v6) continue;
    Rule inverted = c.rule;
    inverted.invert = true;
    CHECK(egress(inverted) == (c.matches ? 1 : 7));
  }
}

TEST_CASE("rule: IPv6 compares the whole DSCP and its own prefixes") {
  Rule rule = lookup_rule(10, 7, Family::v6);
  rule.tos = 0xb8;
  rule.from = prefix("2001:db8:1::/48");
  std::vector<Rule> rules = default_rules();
  rules.push_back(rule);
  const Table table{{in_table(7, to("::/0", 7)), to("::/0", 1)}, rules};
  Query q = query("2001:db8:2::1", "2001:db8:1::10");
  CHECK(table.lookup(q).egress == 1);
  q.tos = 0xb8 | 1;
  CHECK(table.lookup(q).egress == 7);
  q.source = address("2001:db8:3::10");
  CHECK(table.lookup(q).egress == 1);
}

TEST_CASE("rule: the order is the priority, and what a table does not know the next one may") {
  const std::vector<Route> routes{
      in_table(1, to("10.1.0.0/16", 1)), in_table(2, to("10.0.0.0/8", 2)),
      in_table(1, refusing("10.1.5.0/24", Kind::throw_)),
      in_table(1, refusing("10.1.6.0/24", Kind::blackhole)), in_table(3, to("0.0.0.0/0", 3))};
  const Table table{
      routes, {lookup_rule(30, 3), lookup_rule(20, 2), lookup_rule(10, 1), lookup_rule(5, 99)}};
  CHECK(table.lookup(query("10.1.0.1")).egress == 1);
  CHECK(table.lookup(query("10.2.0.1")).egress == 2);
  CHECK(table.lookup(query("10.1.5.1")).egress == 2);  // throw
  CHECK(table.lookup(query("10.1.6.1")).kind == Kind::blackhole);
  CHECK(table.lookup(query("192.0.2.1")).egress == 3);
  CHECK(Table({in_table(1, refusing("0.0.0.0/0", Kind::throw_))}, {lookup_rule(1, 1)})
            .lookup(query("192.0.2.1"))
            .kind == Kind::none);
}

TEST_CASE("rule: goto jumps ahead, past the rules between; elsewhere it is passed over") {
  const std::vector<Route> routes{in_table(1, to("0.0.0.0/0", 1)), in_table(2, to("0.0.0.0/0", 2))};
  const auto jump = [](std::uint32_t priority, std::uint32_t target) {
    return Rule{.priority = priority, .action = Rule::Action::go_to, .target = target};
  };
  struct Case {
    const char* name;
    std::uint32_t target;
    PortIndex egress;
  };
  for (const Case& c : {Case{"over rule 20", 30, 2}, Case{"to rule 20", 20, 1},
                        Case{"to no rule", 25, 1}, Case{"to itself", 10, 1}, Case{"back", 5, 1}}) {
    CAPTURE(c.name);
    const Table table{routes,
                      {Rule{.priority = 5, .action = Rule::Action::nop}, jump(10, c.target),
                       lookup_rule(20, 1), lookup_rule(30, 2)}};
    CHECK(table.lookup(query("192.0.2.1")).egress == c.egress);
  }
  Rule other_family = lookup_rule(30, 2, Family::v6);
  CHECK(Table(routes, {jump(10, 30), lookup_rule(20, 1), other_family})
            .lookup(query("192.0.2.1"))
            .egress == 1);
}

TEST_CASE("rule: actions that answer by themselves") {
  for (const auto& [action, kind] : {std::pair{Rule::Action::blackhole, Kind::blackhole},
                                     std::pair{Rule::Action::unreachable, Kind::unreachable},
                                     std::pair{Rule::Action::prohibit, Kind::prohibit}}) {
    std::vector<Rule> rules = default_rules();
    rules.push_back({.priority = 10, .from = prefix("192.168.9.0/24"), .action = action});
    const Table table{{to("0.0.0.0/0", 1)}, rules};
    CHECK(table.lookup(query("192.0.2.1", "192.168.9.1")).kind == kind);
    CHECK(table.lookup(query("192.0.2.1", "192.168.8.1")).egress == 1);
  }
}

TEST_CASE("rule: suppress_prefixlength passes over routes that short, but not over refusals") {
  std::vector<Route> routes{to("0.0.0.0/0", 1), to("10.0.0.0/8", 2),
                            in_table(9, to("0.0.0.0/0", 9)),
                            in_table(8, refusing("0.0.0.0/0", Kind::unreachable))};
  for (const auto& [length, far, near] :
       {std::tuple{0u, 9, 2}, std::tuple{7u, 9, 2}, std::tuple{8u, 9, 9}}) {
    Rule suppress = lookup_rule(10, kMainTable);
    suppress.suppress_prefix_length = length;
    const Table table{routes, {suppress, lookup_rule(20, 9)}};
    CHECK(table.lookup(query("192.0.2.1")).egress == far);
    CHECK(table.lookup(query("10.0.0.1")).egress == near);
  }
  Rule suppress = lookup_rule(10, 8);
  suppress.suppress_prefix_length = 0;
  CHECK(Table(routes, {suppress, lookup_rule(20, 9)}).lookup(query("192.0.2.1")).kind ==
        Kind::unreachable);
}

TEST_CASE("multipath: flows spread by weight and stay where they are") {
  for (const char* destination : {"198.51.100.1", "2001:db8::1"}) {
    CAPTURE(destination);
    const bool v4 = address(destination).is_v4();
    Route route{.destination = v4 ? prefix("0.0.0.0/0") : prefix("::/0")};
    route.next_hops = {{.egress = 1, .gateway = address("192.0.2.1"), .weight = 3},
                       {.egress = 2, .gateway = address("192.0.2.2"), .weight = 1},
                       {.egress = 3, .gateway = std::nullopt, .weight = 0}};
    const Table table{{route}, default_rules()};
    std::map<PortIndex, int> flows;
    for (std::uint32_t host = 0; host < 5000; ++host) {
      Query q = query(destination);
      q.source = v4 ? net::IpAddress::v4(0x0a000000 + host) : net::IpAddress::v6(1, host);
      const Decision first = table.lookup(q);
      q.source_port = 1234;
      CHECK(table.lookup(q) == first);
      ++flows[first.egress];
    }
    CHECK(flows[1] == doctest::Approx(3000).epsilon(0.1));
    CHECK(flows[2] == doctest::Approx(1000).epsilon(0.15));
    CHECK(flows[3] == doctest::Approx(1000).epsilon(0.15));  // weight 0 counts as 1
  }
}

TEST_CASE("table: shows routes in order of preference and rules in order of asking") {
  Route costly = to("10.0.0.0/8", 5);
  costly.metric = 20;
  const Table table{{costly, to("::/0", 4), to("10.0.0.0/8", 3), in_table(1, to("0.0.0.0/0", 2))},
                    {lookup_rule(9, 1), lookup_rule(3, 2)}};
  std::vector<PortIndex> shown;
  for (const Route& route : table.routes()) shown.push_back(route.next_hops[0].egress);
  CHECK(shown == std::vector<PortIndex>{2, 3, 5, 4});
  CHECK(table.rules()[0].priority == 3);
}

namespace {

// ---- The reference: asks every rule and looks at every route. ----

bool reference_matches(const Rule& rule, const Query& q) {
  bool all = rule.family == q.destination.family() && !rule.unmeetable;
  if (rule.from) all = all && rule.from->contains(q.source);
  if (rule.to) all = all && rule.to->contains(q.destination);
  if (rule.ingress) all = all && rule.ingress == q.ingress;
  all = all && (q.mark & rule.mark_mask) == (rule.mark & rule.mark_mask);
  return all != rule.invert;
}

const Route* reference_search(const std::vector<Route>& routes, std::uint32_t table,
                              const Query& q) {
  const Route* best = nullptr;
  for (const Route& r : routes) {
    if (r.table != table || !r.destination.contains(q.destination)) continue;
    if (r.tos != 0 && r.tos != (q.tos & 0x1c)) continue;
    const auto rank = [](const Route& x) {
      return std::tuple{-static_cast<int>(x.destination.length()), -x.tos, x.metric};
    };
    if (best == nullptr || rank(r) < rank(*best)) best = &r;
  }
  return best;
}

Decision reference_lookup(const std::vector<Route>& routes, std::vector<Rule> rules,
                          const Query& q) {
  std::stable_sort(rules.begin(), rules.end(),
                   [](const Rule& a, const Rule& b) { return a.priority < b.priority; });
  std::uint32_t from = 0;
  for (const Rule& rule : rules) {
    if (rule.priority < from || rule.family != q.destination.family()) continue;
    if (!reference_matches(rule, q)) continue;
    if (rule.action == Rule::Action::go_to) {
      const bool exists = std::any_of(rules.begin(), rules.end(), [&](const Rule& r) {
        return r.family == rule.family && r.priority == rule.target;
      });
      if (exists && rule.target > rule.priority) from = rule.target;
      continue;
    }
    if (rule.action == Rule::Action::prohibit)
      return {.kind = Kind::prohibit, .next_hop = q.destination};
    const Route* found = reference_search(routes, rule.table, q);
    if (found == nullptr || found->kind == Kind::throw_) continue;
    if (rule.suppress_prefix_length && found->kind != Kind::blackhole &&
        found->destination.length() <= *rule.suppress_prefix_length)
      continue;
    Decision decision{.kind = found->kind, .next_hop = q.destination};
    if (!found->next_hops.empty()) {
      decision.egress = found->next_hops[0].egress;
      decision.next_hop = found->next_hops[0].gateway.value_or(q.destination);
    }
    return decision;
  }
  return {};
}

// Few addresses, close together, so that prefixes nest and collide.
struct Dice {
  std::mt19937 engine;
  unsigned below(unsigned bound) { return static_cast<unsigned>(engine() % bound); }
  net::IpAddress address(Family family) {
    if (below(8) == 0)  // the ends of the address space
      return family == Family::v4
                 ? net::IpAddress::v4(below(2) == 0 ? 0 : 0xffffffff)
                 : net::IpAddress::v6(below(2) == 0 ? 0 : ~0ull, below(2) == 0 ? 0 : ~0ull);
    if (family == Family::v4) return net::IpAddress::v4(0x0a000000 | below(4) << 16 | below(8));
    return net::IpAddress::v6(0x20010db8'00000000 | below(4),
                              std::uint64_t{below(4)} << 60 | below(4));
  }
  Prefix prefix(Family family) { return {address(family), below(family == Family::v4 ? 33 : 129)}; }
  Route route() {
    static constexpr Kind kKinds[] = {Kind::unicast, Kind::unicast, Kind::unicast,
                                      Kind::local,   Kind::throw_,  Kind::blackhole};
    const Family family = below(2) == 0 ? Family::v4 : Family::v6;
    Route route{.destination = prefix(family), .table = 1 + below(3), .kind = kKinds[below(6)]};
    route.metric = below(3);
    if (family == Family::v4 && below(4) == 0) route.tos = 0x10;
    if (route.kind == Kind::unicast)
      route.next_hops = {{.egress = static_cast<PortIndex>(below(1000))}};
    if (!route.next_hops.empty() && below(2) == 0) route.next_hops[0].gateway = address(family);
    return route;
  }
  Rule rule() {
    Rule rule = lookup_rule(below(10), 1 + below(4), below(2) == 0 ? Family::v4 : Family::v6);
    if (below(3) == 0) rule.from = prefix(rule.family);
    if (below(4) == 0) rule.to = prefix(rule.family);
    if (below(4) == 0) rule.ingress = static_cast<PortIndex>(below(3));
    if (below(4) == 0) rule.mark_mask = 1 + below(3), rule.mark = below(4);
    rule.invert = below(5) == 0;
    if (below(6) == 0) rule.action = Rule::Action::go_to, rule.target = below(12);
    if (below(8) == 0) rule.action = Rule::Action::prohibit;
    if (below(4) == 0) rule.suppress_prefix_length = below(30);
    return rule;
  }
  Query query() {
    const Family family = below(2) == 0 ? Family::v4 : Family::v6;
    return {.source = address(family),
            .destination = address(family),
            .ingress = static_cast<PortIndex>(below(3)),
            .mark = below(4),
            .tos = static_cast<std::uint8_t>(below(2) * 0x10)};
  }
};

}  // namespace

TEST_CASE("property: a table answers as asking every rule and every route does") {
  Dice dice{std::mt19937{20240917}};
  for (int round = 0; round < 400; ++round) {
    std::vector<Route> routes(dice.below(60));
    std::vector<Rule> rules(dice.below(8));
    for (Route& route : routes) route = dice.route();
    for (Rule& rule : rules) rule = dice.rule();
    const Table table{routes, rules};
    for (int i = 0; i < 60; ++i) {
      const Query q = dice.query();
      CAPTURE(round);
      CAPTURE(q.destination.text());
      REQUIRE(table.lookup(q) == reference_lookup(routes, rules, q));
    }
  }
}

TEST_CASE("table: a full Internet table is built and asked") {
  // A build that were quadratic would not end before the test's time is over.
  Dice dice{std::mt19937{7}};
  std::vector<Route> routes;
  for (std::uint32_t i = 0; i < 200'000; ++i) {
    Route route{.destination = Prefix{net::IpAddress::v4(static_cast<std::uint32_t>(dice.engine())),
                                      16 + dice.below(9)}};
    route.next_hops = {{.egress = static_cast<PortIndex>(i % 7)}};
    routes.push_back(route);
  }
  const Table table{routes, default_rules()};
  CHECK(table.routes().size() == routes.size());
  for (int i = 0; i < 1000; ++i) {
    const Route& some = routes[dice.below(200'000)];
    const Decision found = table.lookup({.destination = some.destination.address()});
    CHECK(found.kind == Kind::unicast);
  }
}
