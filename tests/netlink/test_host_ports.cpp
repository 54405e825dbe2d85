// Ports come up on a host with veth "NICs", and the host is given back exactly as it was: after
// stop, after a failure at any step, after a crash at any step.

#include "daemon/control/host_ports.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "daemon/port/tap_device.hpp"
#include "daemon/state/tree.hpp"
#include "netlink/mirror.hpp"
#include "netlink/monitor.hpp"
#include "tests/netlink/namespace.hpp"

using namespace masqgate;
using namespace masqgate::control;
using test::output;
using test::run;

namespace {

net::InterfaceAddress entry(const char* text) {
  return *net::InterfaceAddress::parse(text);
}

// Refuses, or dies at, one of the changes.
class Faulty : public netlink::Commands {
 public:
  enum class Fault { none, refuse, die };
  Fault fault = Fault::none;
  int at = 0;
  int changes = 0;

 protected:
  void permit(const std::string& doing) override {
    if (changes++ != at || fault == Fault::none) return;
    if (fault == Fault::die) _exit(0);
    throw netlink::CommandError("cannot " + doing + ": this test refuses it", EPERM);
  }
};

// wan: a NIC with all kinds of addresses and routes, which are inherited. lan: a plain NIC that is
// down. dmz: a bridge of the administrator's. vm: a bare TAP. vpn: a bare TUN.
std::vector<PortPlan> all_plans() {
  PortPlan wan;
  wan.name = "wan";
  wan.nics = {"eth0"};
  wan.inherit = true;
  PortPlan lan;
  lan.name = "lan";
  lan.nics = {"eth1", "eth2"};
  lan.addresses = {entry("192.168.0.1/24"), entry("fd00:1::1/64")};
  PortPlan dmz;
  dmz.name = "dmz";
  dmz.kind = PortPlan::Kind::bridge;
  dmz.bridge = "br0";
  dmz.mac = net::MacAddress::parse("02:00:00:00:00:99");
  PortPlan vm;
  vm.name = "vm";
  vm.kind = PortPlan::Kind::tap;
  vm.device = "vm1";
  vm.mtu = 1400;
  vm.addresses = {entry("10.9.0.1/24")};
  PortPlan vpn;
  vpn.name = "vpn";
  vpn.kind = PortPlan::Kind::tun;
  vpn.device = "tun5";
  vpn.addresses = {entry("10.8.0.1/24")};
  return {wan, lan, dmz, vm, vpn};
}

std::vector<port::DeviceQueue> open_devices(const std::vector<PortPlan>& plans) {
  std::vector<port::DeviceQueue> queues;
  for (const PortPlan& plan : plans)
    for (const std::string& name : {plan.name, network_side_of(plan)})
      for (auto& queue :
           port::open_device({name, plan.kind == PortPlan::Kind::tun ? port::DeviceKind::tun
                                                                     : port::DeviceKind::tap}))
        queues.push_back(std::move(queue));
  return queues;
}

struct Host {
  test::Namespace own;
  std::filesystem::path folder{std::filesystem::temp_directory_path() /
                               ("masqgate-host-ports-" + std::to_string(getpid()))};
  std::string journal = folder / "undo.json";
  std::string before;

  // Duplicate address detection takes a second each time.
  explicit Host(bool detection = false) {
    if (!detection) run("echo 0 > /proc/sys/net/ipv6/conf/default/dad_transmits");
    std::filesystem::create_directories(folder);
    for (const char* number : {"0", "1", "2"})
      test::make_veth(std::string{"eth"} + number, std::string{"peer"} + number);
    run("ip addr add 192.0.2.2/24 brd + dev eth0; ip addr add 192.0.2.3/24 dev eth0");
    run("ip addr add 198.51.100.2/32 dev eth0 label eth0:x");
    run("ip addr add 2001:db8::2/64 dev eth0 nodad; ip addr add 2001:db8::3/64 dev eth0 nodad");
    run("ip route add default via 192.0.2.1 metric 100; ip route add 10.1.0.0/16 dev eth0");
    run("ip route add 10.2.0.0/16 via 10.1.0.1 table 77 mtu 1300 src 192.0.2.3");
    run("ip -6 route add default via 2001:db8::1 src 2001:db8::3 pref high");
    run("ip addr add 192.168.0.7/24 dev eth1; ip link set eth2 down mtu 1450");
    run("ip link add br0 type bridge; ip link set br0 up");
    REQUIRE(
        test::eventually([] { return output("ip addr").find("tentative") == std::string::npos; }));
    before = picture();
  }
  ~Host() { std::filesystem::remove_all(folder); }

  // All that `ip` tells of links, addresses, routes and rules. Left out is what lives on its own:
  // operational states, and a bridge's MAC, which follows its ports.
  static std::string picture() {
    return output(
        "(ip -o link; ip -o addr; ip route show table all; ip -6 route show table all; ip rule; "
        "grep -H . /proc/sys/net/ipv6/conf/*/disable_ipv6) | "
        "sed -E 's/state [A-Z]+//; s/qdisc [a-z_]+//; s/NO-CARRIER,//; s/,LOWER_UP//; s/ "
        "linkdown//;"
        "/br0:/s/link.ether.*//; /br0/s/fe80.*//; /fe80|ff00|anycast/d'");
  }
  bool is_as_before() const {
    return test::eventually([&] { return picture() == before; });
  }
};

struct DetectingHost : Host {
  DetectingHost() : Host(true) {}
};

std::string addresses_of(const char* link) {
  return output(std::string{"ip -o addr show dev "} + link);
}

bool has(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE_FIXTURE(DetectingHost, "ports come up as planned and leave nothing behind") {
  Faulty commands;
  HostPorts ports{journal, commands};
  const auto plans = all_plans();
  CHECK(ports.prepare(plans).empty());
  const auto queues = open_devices(plans);
  ports.bring_up();

  CHECK(has(output("ip link show dev eth0"), "master br-wan"));
  CHECK(has(output("ip link show dev mg-wan"), "master br-wan"));
  CHECK(has(output("ip link show dev eth2"), "UP"));
  CHECK(has(output("ip link show dev mg-dmz"), "master br0"));
  CHECK(addresses_of("eth0").empty());
  CHECK(addresses_of("eth1").empty());
  CHECK(addresses_of("br-wan").empty());
  CHECK(addresses_of("mg-wan").empty());
  for (const char* text : {"192.0.2.2/24", "192.0.2.3/24 scope global secondary", "198.51.100.2/32",
                           "2001:db8::2/64", "2001:db8::3/64"}) {
    CAPTURE(text);
    CHECK(has(addresses_of("wan"), text));
  }
  CHECK(has(output("ip route show default"), "dev wan metric 100"));
  CHECK(has(output("ip route show table 77"), "10.2.0.0/16 via 10.1.0.1 dev wan"));
  CHECK(has(output("ip -6 route show default"), "via 2001:db8::1 dev wan src 2001:db8::3"));
  CHECK(has(addresses_of("lan"), "192.168.0.1/24"));
  CHECK(has(addresses_of("lan"), "fd00:1::1/64"));
  CHECK_FALSE(has(addresses_of("lan"), "192.168.0.7"));
  CHECK(has(addresses_of("vpn"), "10.8.0.1/24"));
  CHECK(has(output("ip link show dev dmz"), "02:00:00:00:00:99"));
  CHECK(ports.mtu_of("wan") == 1500);
  CHECK(ports.mtu_of("lan") == 1450);
  CHECK(ports.mtu_of("vm") == 1400);
  CHECK(ports.mtu_of("none") == 0);
  for (const char* link : {"lan", "mg-lan", "br-lan"})
    CHECK(has(output(std::string{"ip link show dev "} + link), "mtu 1450"));

  netlink::Route route;
  route.destination = *net::Prefix::parse("10.50.0.0/16");
  route.next_hops = {{net::IpAddress::parse("192.168.0.9"), test::index_of("lan"), 1, false}};
  ports.add_route(route);
  CHECK(has(output("ip route show 10.50.0.0/16"), "via 192.168.0.9 dev lan"));

  CHECK(ports.take_down().empty());
  CHECK(is_as_before());
  CHECK_FALSE(std::filesystem::exists(journal));
}

TEST_CASE_FIXTURE(Host, "a refusal at any step leaves the host as it was") {
  const auto plans = all_plans();
  int refused = 0;
  for (int at = 0;; ++at) {
    CAPTURE(at);
    Faulty commands;
    HostPorts ports{journal, commands};
    ports.prepare(plans);
    const auto queues = open_devices(plans);
    commands.fault = Faulty::Fault::refuse;
    commands.at = at;
    try {
      ports.bring_up();
      ports.take_down();
      break;
    } catch (const state::Error& error) {
      ++refused;
      CHECK(error.pointer().find("/ports/") == 0);
      CHECK(has(error.what(), "this test refuses it: changing interfaces needs CAP_NET_ADMIN"));
      CHECK_FALSE(has(error.what(), ";"));
    }
    REQUIRE(is_as_before());
    REQUIRE_FALSE(std::filesystem::exists(journal));
  }
  CHECK(refused > 50);
  CHECK(is_as_before());
}

TEST_CASE_FIXTURE(Host,
                  "a crash at any step: the next run takes over, and its stop gives all back") {
  const auto plans = all_plans();
  bool finished = false;
  for (int at = 0; !finished; at += 3) {
    CAPTURE(at);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      Faulty commands;
      HostPorts ports{journal, commands};
      ports.prepare(plans);
      const auto queues = open_devices(plans);
      commands.fault = Faulty::Fault::die;
      commands.at = at;
      ports.bring_up();
      _exit(3);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    finished = WEXITSTATUS(status) == 3;
    const auto bridge = output("cat /sys/class/net/br-wan/ifindex 2>/dev/null || true");

    Faulty commands;
    HostPorts ports{journal, commands};
    CHECK(ports.prepare(plans).empty());
    const auto queues = open_devices(plans);
    ports.bring_up();
    CHECK(has(addresses_of("wan"), "2001:db8::3/64"));
    CHECK(has(output("ip route show default"), "dev wan metric 100"));
    CHECK(has(output("ip link show dev eth0"), "master br-wan"));
    CHECK(ports.take_down().empty());
    REQUIRE(is_as_before());
  }
}

TEST_CASE_FIXTURE(Host, "a crash and another plan: what the old one did is undone first") {
  auto plans = all_plans();
  {
    Faulty commands;
    HostPorts ports{journal, commands};
    ports.prepare(plans);
    const auto queues = open_devices(plans);
    ports.bring_up();
  }
  plans.erase(plans.begin() + 1);  // lan
  plans.front().inherit = false;
  Faulty commands;
  HostPorts ports{journal, commands};
  CHECK(ports.prepare(plans).empty());
  CHECK(output("ip -o link | grep -cE ' (br-lan|lan|mg-lan):' || true") == "0\n");
  CHECK(has(addresses_of("eth1"), "192.168.0.7/24"));
  const auto queues = open_devices(plans);
  ports.bring_up();
  CHECK_FALSE(has(addresses_of("wan"), "192.0.2.2"));
  CHECK(ports.take_down().empty());
  CHECK(is_as_before());
}

TEST_CASE_FIXTURE(Host, "plans that cannot be are refused with their place, and nothing changes") {
  Faulty commands;
  HostPorts ports{journal, commands};
  run("ip link add foreign type veth peer name foreign2; ip link add br-lan type bridge");
  const std::string now = picture();
  const auto refusal = [&](const auto& change) {
    auto plans = all_plans();
    plans.erase(plans.begin() + 1, plans.begin() + 2);
    change(plans);
    try {
      ports.prepare(plans);
    } catch (const state::Error& error) {
      return error.pointer() + ": " + error.what();
    }
    return std::string{"accepted"};
  };
  using Plans = std::vector<PortPlan>&;
  CHECK(refusal([](Plans) {}) == "accepted");
  CHECK(has(refusal([](Plans p) { p[0].nics[0] = "eth9"; }),
            "/ports/wan/nics/0: no network interface \"eth9\"; existing: lo, "));
  CHECK(has(refusal([](Plans p) {
              p[0].nics = {"eth0", "eth0"};
            }),
            "/ports/wan/nics/1: eth0 is in use already: /ports/wan/nics/0"));
  CHECK(has(refusal([](Plans p) { p[0].nics[0] = "lo"; }), "/ports/wan/nics/0: lo is no"));
  CHECK(has(refusal([](Plans p) { p[0].name = "foreign"; }),
            "/ports/foreign: an interface named foreign exists already and is no TUN or TAP"));
  CHECK(has(refusal([](Plans p) { p[0].name = "lan"; }),
            "/ports/lan: an interface named br-lan exists already and is not masqgate's"));
  CHECK(has(refusal([](Plans p) { p[0].name = "a-name-too-long"; }), "must have 1 to 15 bytes"));
  CHECK(has(refusal([](Plans p) { p[1].bridge = "br9"; }), "/ports/dmz/bridge: no network"));
  CHECK(
      has(refusal([](Plans p) { p[1].bridge = "eth1"; }), "/ports/dmz/bridge: eth1 is no bridge"));
  CHECK(has(refusal([](Plans p) { p[1].mtu = 9000; }),
            "/ports/dmz/mtu: br0 has an MTU of only 1500"));
  CHECK(
      has(refusal([](Plans p) { p[2].device = "foreign"; }), "/ports/vm/tap: an interface named"));
  CHECK(has(refusal([](Plans p) { p[0].mac = netlink::find_link("eth0")->mac; }),
            "/ports/wan/mac: "));
  CHECK(has(refusal([](Plans p) { p[0].mac = net::MacAddress::parse("01:00:5e:00:00:01"); }),
            "/ports/wan/mac: 01:00:5e:00:00:01 is no interface's address"));
  ports.take_down();
  CHECK(picture() == now);
}

TEST_CASE_FIXTURE(Host, "an MTU above the NIC's is given to the NIC, or refused with its place") {
  Faulty commands;
  HostPorts ports{journal, commands};
  auto plans = all_plans();
  plans.resize(1);
  plans[0].mtu = 4000;
  ports.prepare(plans);
  {
    const auto queues = open_devices(plans);
    ports.bring_up();
    for (const char* link : {"eth0", "br-wan", "mg-wan", "wan"})
      CHECK(has(output(std::string{"ip link show dev "} + link), "mtu 4000"));
    CHECK(ports.take_down().empty());
  }
  CHECK(is_as_before());
  plans[0].mtu = 70'000;
  ports.prepare(plans);
  const auto queues = open_devices(plans);
  try {
    ports.bring_up();
    FAIL("an MTU of 70000 was accepted");
  } catch (const state::Error& error) {
    CHECK(error.pointer() == "/ports/wan/mtu");
  }
  CHECK(is_as_before());
}

TEST_CASE_FIXTURE(Host, "a NIC that comes back joins its port, MTUs follow") {
  Faulty commands;
  HostPorts ports{journal, commands};
  auto plans = all_plans();
  plans.resize(2);
  ports.prepare(plans);
  const auto queues = open_devices(plans);
  ports.bring_up();

  std::vector<std::string> told;
  struct Listener final : netlink::Mirror {
    Listener(HostPorts& ports, std::vector<std::string>& told)
        : Mirror{{}}, ports_{ports}, told_{told} {}
    void on_link(const netlink::Link& link) override {
      Mirror::on_link(link);
      if (const auto sentence = ports_.on_link(link)) told_.push_back(*sentence);
    }
    HostPorts& ports_;
    std::vector<std::string>& told_;
  } listener{ports, told};
  asio::io_context context;
  netlink::Monitor monitor{context, listener};
  const auto until = [&](const std::function<bool()>& condition) {
    return test::eventually([&] {
      context.poll();
      return condition();
    });
  };
  REQUIRE(until([&] { return monitor.counters().listings > 0; }));
  CHECK(told.empty());

  run("ip link set eth2 mtu 1300");
  CHECK(until([&] { return ports.mtu_of("lan") == 1300; }));
  CHECK(has(output("ip link show dev lan"), "mtu 1300"));
  CHECK(has(output("ip link show dev mg-lan"), "mtu 1300"));
  run("ip link set eth2 mtu 1500");
  CHECK(until([&] { return ports.mtu_of("lan") == 1500; }));

  run("ip link del eth0");
  CHECK(until([&] { return !told.empty() && told.back() == "eth0, a NIC of port wan, is gone"; }));
  CHECK(has(output("ip link show dev wan"), "NO-CARRIER"));
  test::make_veth("eth0", "peer0");
  CHECK(until([&] { return has(told.back(), "has come and is in its bridge"); }));
  CHECK(has(output("ip link show dev eth0"), "master br-wan"));
  CHECK(until([&] { return has(output("ip link show dev wan"), "LOWER_UP"); }));
  CHECK(addresses_of("eth0").empty());
  CHECK(has(addresses_of("wan"), "192.0.2.2/24"));

  // The NIC gets back what its predecessor had.
  for (const std::string& complaint : ports.take_down()) FAIL_CHECK(complaint);
  CHECK(has(addresses_of("eth0"), "192.0.2.2/24"));
  CHECK(has(output("ip route show default"), "via 192.0.2.1 dev eth0"));
}

TEST_CASE_FIXTURE(Host, "what cannot be given back is told, the rest is given back") {
  Faulty commands;
  HostPorts ports{journal, commands};
  auto plans = all_plans();
  plans.resize(2);
  ports.prepare(plans);
  const auto queues = open_devices(plans);
  ports.bring_up();
  run("ip link del eth0");
  const auto complaints = ports.take_down();
  REQUIRE(!complaints.empty());
  for (const std::string& complaint : complaints)
    CHECK(complaint.find("eth0 is gone: it did not get ") == 0);
  CHECK(has(addresses_of("eth1"), "192.168.0.7/24"));
  CHECK(output("ip -o link | grep -cE ' (br-wan|br-lan|wan|mg-wan):' || true") == "0\n");
}

TEST_CASE_FIXTURE(Host, "a NIC is taken from another bridge and given back to it") {
  run("ip link set eth1 master br0");
  before = picture();
  Faulty commands;
  HostPorts ports{journal, commands};
  auto plans = all_plans();
  plans = {plans[1]};
  ports.prepare(plans);
  {
    const auto queues = open_devices(plans);
    ports.bring_up();
    CHECK(has(output("ip link show dev eth1"), "master br-lan"));
    CHECK(ports.take_down().empty());
  }
  CHECK(is_as_before());
}

TEST_CASE_FIXTURE(Host, "a damaged journal is set aside and told of") {
  for (const char* text : {"", "{", "{\"version\": 2, \"for\": \"\", \"steps\": []}",
                           "{\"version\": 1, \"for\": \"\", \"steps\": [{\"took\": \"eth0\", "
                           "\"index\": 1, \"message\": \"00\"}]}"}) {
    CAPTURE(text);
    std::ofstream{journal} << text;
    Faulty commands;
    HostPorts ports{journal, commands};
    const auto complaints = ports.prepare(all_plans());
    REQUIRE(complaints.size() == 1);
    CHECK(has(complaints[0], "is no undo journal"));
    CHECK(std::filesystem::exists(journal + ".damaged"));
    ports.take_down();
  }
}

TEST_CASE_FIXTURE(Host, "a journal that cannot be written stops everything before it begins") {
  Faulty commands;
  HostPorts ports{folder / "missing" / "undo.json", commands};
  CHECK_THROWS_AS(ports.prepare(all_plans()), std::system_error);
  CHECK(commands.changes == 0);
}

TEST_CASE("MACs made of names are stable, local and different") {
  CHECK(stable_mac("a") == stable_mac("a"));
  CHECK(stable_mac("a") != stable_mac("b"));
  for (const char* name : {"a", "b", "wan", "lan"}) {
    CHECK_FALSE(stable_mac(name).is_group());
    CHECK((stable_mac(name).bytes[0] & 2) == 2);
  }
}
