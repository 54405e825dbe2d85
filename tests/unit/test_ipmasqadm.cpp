// Unit tests of daemon/control/{ipmasqadm,forward_files}.hpp: the historic command lines with their
// answers, and the files byte for byte (history 1.2, 4; seed 002).

#include <doctest/doctest.h>

#include <utility>
#include <vector>

#include "daemon/control/forward_files.hpp"
#include "daemon/control/ipmasqadm.hpp"

using namespace masqgate;
using namespace masqgate::control;
using nat::AutoForward;
using nat::ForwardModule;
using nat::ForwardOrder;
using nat::MarkForward;
using nat::PortForward;
using net::Protocol;
using Act = ForwardOrder::Act;

namespace {

net::IpAddress address(const char* text) {
  return *net::IpAddress::parse(text);
}
net::Endpoint at(const char* text, net::Port port) {
  return {address(text), port};
}

// "/etc/hosts" and "/etc/services".
class SomeNames final : public Names {
 public:
  std::optional<net::IpAddress> address(std::string_view name) const override {
    return name == "extip" ? std::optional{::address("203.0.113.2")} : std::nullopt;
  }
  std::optional<net::Port> service(std::string_view name) const override {
    return name == "www" ? std::optional<net::Port>{80} : std::nullopt;
  }
};

IpmasqadmResult parsed(ForwardModule module, std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : std::string{line} + " ") {
    if (c != ' ')
      word += c;
    else if (!word.empty())
      words.push_back(std::exchange(word, {}));
  }
  return parse_ipmasqadm(module, words, SomeNames{});
}

std::optional<ForwardOrder> order(ForwardModule module, std::string_view line) {
  const auto result = parsed(module, line);
  const auto* command = std::get_if<IpmasqadmCommand>(&result);
  return command == nullptr ? std::nullopt : command->order;
}

IpmasqadmEnd ended(ForwardModule module, std::string_view line) {
  const auto result = parsed(module, line);
  const auto* end = std::get_if<IpmasqadmEnd>(&result);
  return end == nullptr ? IpmasqadmEnd{-1, "it did not end", ""} : *end;
}

bool lists(ForwardModule module, std::string_view line, bool numeric) {
  const auto result = parsed(module, line);
  const auto* command = std::get_if<IpmasqadmCommand>(&result);
  return command != nullptr && !command->order && command->numeric == numeric;
}

ForwardOrder portfw(Act act, net::Endpoint local, net::Endpoint remote, int preference = 10,
                    Protocol protocol = Protocol::tcp) {
  return {act, PortForward{protocol, local, remote, preference, preference}};
}

ForwardOrder mfw(Act act, std::uint32_t mark, net::Endpoint remote, int preference = 10) {
  return {act, MarkForward{mark, remote, preference, preference}};
}

AutoForward range(Protocol protocol, net::Port first, net::Port last) {
  AutoForward entry;
  entry.kind = AutoForward::Kind::range;
  entry.protocol = protocol;
  entry.ports = {first, last};
  entry.secure = false;
  return entry;
}

std::string record(std::string text) {
  text.resize(63, ' ');
  return text + '\n';
}

const net::Endpoint kWeb = at("203.0.113.2", 80);

}  // namespace

TEST_CASE("portfw: command lines") {
  constexpr auto kModule = ForwardModule::portfw;
  const net::Endpoint server = at("192.168.0.10", 8080);
  CHECK(order(kModule, "-a -P tcp -L 203.0.113.2 80 -R 192.168.0.10 8080 -p 15") ==
        portfw(Act::add, kWeb, server, 15));
  CHECK(order(kModule, "-a -P tcp -L extip www -R 192.168.0.10 8080") ==
        portfw(Act::add, kWeb, server));
  CHECK(order(kModule, "-aPudp -L 203.0.113.2 80 -R 192.168.0.10 8080") ==
        portfw(Act::add, kWeb, server, 10, Protocol::udp));
  CHECK(order(kModule, "-nd -P t -L 203.0.113.2 80") ==
        portfw(Act::remove, kWeb, nat::kAnyEndpoint));
  CHECK(order(kModule, "-d -P t -L 203.0.113.2 80 -R 192.168.0.10 0") ==
        portfw(Act::remove, kWeb, at("192.168.0.10", 0)));
  CHECK(order(kModule, "-f") == ForwardOrder{Act::flush, PortForward{}});
  CHECK(lists(kModule, "-l", false));
  CHECK(lists(kModule, "-l -n", true));
  CHECK(lists(kModule, "-nl", true));
}

TEST_CASE("portfw: mistakes end with their sentence and status 2") {
  struct Case {
    const char* line;
    const char* error;
  };
  for (const Case& c : {
           Case{"-a -d", "multiple commands specified"},
           Case{"-a -P tcp -P udp", "multiple protocols specified"},
           Case{"-a -P icmp", "invalid protocol specified"},
           Case{"-a -L 203.0.113.2", "illegal local address/port specified"},
           Case{"-a -L203.0.113.2 80", "illegal local address/port specified"},
           Case{"-a -L nowhere 80", "illegal local address/port specified"},
           Case{"-n -a -L extip 80", "illegal local address/port specified"},
           Case{"-n -a -L 203.0.113.2 www", "illegal local address/port specified"},
           Case{"-a -L 2001:db8::1 80", "illegal local address/port specified"},
           Case{"-a -L ::ffff:1.2.3.4 80", "illegal local address/port specified"},
           Case{"-a -L 203.0.113.2 65536", "illegal local address/port specified"},
           Case{"-a -L 1.2.3.4 80 -L 1.2.3.4 81", "multiple local address/port specified"},
           Case{"-a -R 192.168.0.10", "illegal destination specified"},
           Case{"-a -R 1.2.3.4 80 -R 1.2.3.4 81", "multiple destinations specified"},
           Case{"-a -p 0", "illegal preference value specified"},
           Case{"-a -p -3", "illegal preference value specified"},
           Case{"-a -p many", "illegal preference value specified"},
           Case{"-a -P tcp", "insufficient options specified"},
           Case{"-a -L 203.0.113.2 80", "insufficient options specified"},
           Case{"-d -P tcp", "insufficient options specified"},
           Case{"-f -P tcp", "incompatible options specified"},
           Case{"-l -L 203.0.113.2 80", "incompatible options specified"},
           Case{"-l everything", "unknown arguments found on commandline"},
           Case{"-l -- -n", "unknown arguments found on commandline"},
       }) {
    CAPTURE(c.line);
    const IpmasqadmEnd end = ended(ForwardModule::portfw, c.line);
    CHECK(end.status == 2);
    CHECK(end.error == std::string{"portfw: "} + c.error + "\n");
    CHECK(end.output.empty());
  }
}

TEST_CASE("portfw and mfw: without a command, or with -h, they tell their usage and are content") {
  for (const auto module : {ForwardModule::portfw, ForwardModule::mfw})
    for (const char* line : {"", "-h", "-n", "-x", "-p"}) {
      CAPTURE(line);
      const IpmasqadmEnd end = ended(module, line);
      CHECK(end.status == 0);
      CHECK(end.output.starts_with("Usage: " + std::string{name(module)}));
    }
  CHECK(ended(ForwardModule::portfw, "-x").error == "portfw: invalid option -- 'x'\n");
  CHECK(ended(ForwardModule::mfw, "-m").error == "mfw: option requires an argument -- 'm'\n");
  CHECK(ended(ForwardModule::mfw, "-h").error.empty());
}

TEST_CASE("mfw: command lines") {
  constexpr auto kModule = ForwardModule::mfw;
  const net::Endpoint server = at("192.168.0.2", 80);
  CHECK(order(kModule, "-A -m 1 -r 192.168.0.2 80 -p 5") == mfw(Act::add, 1, server, 5));
  CHECK(order(kModule, "-A -m 1 -r 192.168.0.2") == mfw(Act::add, 1, at("192.168.0.2", 0)));
  CHECK(order(kModule, "-A -m 1 -r 192.168.0.2 -p 0") == mfw(Act::add, 1, at("192.168.0.2", 0), 0));
  CHECK(order(kModule, "-I -m 4294967295 -r extip www") == mfw(Act::insert, 4294967295, kWeb));
  CHECK(order(kModule, "-E -m 1 -p 3") == mfw(Act::edit, 1, nat::kAnyEndpoint, 3));
  CHECK(order(kModule, "-D -m 1") == mfw(Act::remove, 1, nat::kAnyEndpoint));
  CHECK(order(kModule, "-S -m 1") == mfw(Act::schedule, 1, nat::kAnyEndpoint));
  CHECK(order(kModule, "-F") == ForwardOrder{Act::flush, MarkForward{}});
  CHECK(lists(kModule, "-L", false));
  CHECK(lists(kModule, "-L -n", true));
}

TEST_CASE("mfw: mistakes end with their sentence and status 2") {
  struct Case {
    const char* line;
    const char* error;
  };
  for (const Case& c : {
           Case{"-A -S", "multiple commands specified"},
           Case{"-A -r 192.168.0.2 80", "insufficient options specified"},
           Case{"-I -m one -r 192.168.0.2", "insufficient options specified"},
           Case{"-D -m 0", "insufficient options specified"},
           Case{"-A -m 1 -r nowhere", "illegal destination specified"},
           Case{"-A -m 1 -r 1.2.3.4 -r 1.2.3.5", "multiple destinations specified"},
           Case{"-A -m 1 -r 1.2.3.4 -p -1", "illegal preference value specified"},
           Case{"-A -m 1 -r 1.2.3.4 http-but-unknown", "unknown arguments found on commandline"},
           Case{"-F -m 1", "incompatible options specified"},
           Case{"-L -r 1.2.3.4", "incompatible options specified"},
       }) {
    CAPTURE(c.line);
    const IpmasqadmEnd end = ended(ForwardModule::mfw, c.line);
    CHECK(end.status == 2);
    CHECK(end.error == std::string{"mfw: "} + c.error + "\n");
  }
}

TEST_CASE("autofw: command lines") {
  constexpr auto kModule = ForwardModule::autofw;
  AutoForward entry = range(Protocol::udp, 7000, 7010);
  entry.named = address("192.168.0.10");
  entry.timed = false;
  CHECK(order(kModule, "-A -r udp 7000 7010 -h 192.168.0.10 -u") == ForwardOrder{Act::add, entry});
  entry = range(Protocol::udp, 7000, 7010);
  entry.control_protocol = Protocol::tcp;
  entry.control_port = 554;
  entry.secure = true;
  CHECK(order(kModule, "-A -r udp 7000 7010 -c tcp 554") == ForwardOrder{Act::add, entry});
  CHECK(order(kModule, "-D -r udp 7000 7010 -c tcp 554") == ForwardOrder{Act::remove, entry});
  entry.secure = false;
  CHECK(order(kModule, "-A -r udp 7000 7010 -c tcp 554 -i") == ForwardOrder{Act::add, entry});
  entry = range(Protocol::tcp, 5000, 5000);
  entry.kind = AutoForward::Kind::direct;
  CHECK(order(kModule, "-A -d tcp 5000 5000") == ForwardOrder{Act::add, entry});
  AutoForward bounce;
  bounce.kind = AutoForward::Kind::port;
  bounce.protocol = Protocol::tcp;
  bounce.visible = 80;
  bounce.hidden = 8080;
  bounce.named = address("192.168.0.10");
  bounce.secure = false;
  CHECK(order(kModule, "-A -p tcp 80 192.168.0.10:8080") == ForwardOrder{Act::add, bounce});
  CHECK(order(kModule, "-F") == ForwardOrder{Act::flush, AutoForward{}});
}

TEST_CASE("autofw: what it complains about, and what it says when asked to be verbose") {
  const auto result = parsed(ForwardModule::autofw, "-A -r udp 7000 7010 -c tcp 554 -i -v");
  const auto& command = std::get<IpmasqadmCommand>(result);
  CHECK(command.complaints == "-i cannot be specified with a control port\n");
  CHECK(command.verbose);
  CHECK(ipmasqadm_description(*command.order) ==
        "Adding autofwd udp ports 7000 - 7010 via tcp ctl port 554 U\n");
  const auto said = [](const char* line) {
    return ipmasqadm_description(*order(ForwardModule::autofw, line));
  };
  CHECK(said("-A -r tcp 20 21 -h 10.0.0.1 -u") ==
        "Adding autofwd tcp ports 20 - 21 to fixed host 10.0.0.1 \n");
  CHECK(said("-D -p udp 1 10.0.0.1:2") == "Deleting autofwd udp port 1 -> 10.0.0.1:2 U\n");
  CHECK(said("-A -d tcp 20 21") == "Adding autofwd (direct) ports 20 - 21\nU\n");
}

TEST_CASE("autofw: mistakes are told on the standard output, with status 1") {
  struct Case {
    const char* line;
    const char* output;
  };
  for (const Case& c : {
           Case{"-X", "Command must be either -A, -D, or -F"},
           Case{"A", "Command must be either -A, -D, or -F"},
           Case{"-F -v", "The flush command does not take options"},
           Case{"-A", "You must select a type of forwarding (direct, port, or range)"},
           Case{"-A -r", "protocol must be either tcp or udp"},
           Case{"-A -r icmp 1 2", "protocol must be either tcp or udp"},
           Case{"-A -r tcp 1", "Illegal port numbers"},
           Case{"-A -r tcp 2 1", "Illegal port numbers"},
           Case{"-A -d tcp 0 1", "Illegal port numbers"},
           Case{"-A -p tcp 80 192.168.0.10", "Illegal port numbers"},
           Case{"-A -p tcp 80 host:80", "Invalid IP address: host"},
           Case{"-A -r tcp 1 2 -h", "Invalid IP address: "},
           Case{"-A -r tcp 1 2 -c", "Control protocol must be either tcp or udp"},
           Case{"-A -r tcp 1 2 -d tcp 1 2", "-d cannot be used in conjunction with -p or -r"},
           Case{"-A -d tcp 1 2 -r tcp 1 2", "-r cannot be used in conjunction with -p or -d"},
           Case{"-A -d tcp 1 2 -p tcp 1 1.2.3.4:2",
                "-p cannot be used in conjunction with -r or -d"},
           Case{"-A -r tcp 1 2 -x", "Invalid option: -x"},
           Case{"-A -r tcp 1 2 more", "Invalid option: more"},
       }) {
    CAPTURE(c.line);
    const IpmasqadmEnd end = ended(ForwardModule::autofw, c.line);
    CHECK(end.status == 1);
    CHECK(end.output == std::string{c.output} + "\n");
    CHECK(end.error.empty());
  }
  CHECK(ended(ForwardModule::autofw, "").status == 1);
  CHECK(ended(ForwardModule::autofw, "").output.starts_with("Usage:\n    ipautofw <command>"));
}

TEST_CASE("seed 002: the article's lines, its shell variables filled in") {
  const auto knows = [](ForwardModule module, const char* line) {
    CAPTURE(line);
    CHECK(order(module, line).has_value());
  };
  knows(ForwardModule::autofw, "-A -r udp 6970 7170 -h 192.168.0.10 -u");
  knows(ForwardModule::autofw, "-A -r udp 6970 7170 -c tcp 7070 -u");
  knows(ForwardModule::portfw, "-a -P tcp -L extip 80 -R 192.168.0.27 80 -p 15");
  knows(ForwardModule::portfw, "-a -P tcp -L extip 80 -R 192.168.0.28 80 -p 5");
  knows(ForwardModule::mfw, "-I -m 1 -r 192.168.0.30");
  knows(ForwardModule::mfw, "-S -m 1");
  // As it was printed, the address has been lost: the tool always refused this line.
  const IpmasqadmEnd lost = ended(ForwardModule::portfw, "-a -P tcp -L extip 80 -R 80 -p 15");
  CHECK(lost.error == "portfw: illegal destination specified\n");
  // Placeholders of its syntax lines are no protocols.
  CHECK(ended(ForwardModule::autofw, "-A -r proto lport hport -h ipaddr -u").status == 1);
  // The lines that it shows of the usage texts.
  const std::string portfw_usage = ended(ForwardModule::portfw, "-h").output;
  for (const char* text :
       {"Usage: portfw -a -P PROTO -L LADDR LPORT -R RADDR RPORT [-p PREF] add entry\n",
        "portfw -d -P PROTO -L LADDR LPORT [-R RADDR RPORT]  ", "portfw <args> -n  ",
        "PROTO is the protocol, can be \"tcp\" or \"udp\"\n",
        "PREF  is the preference level (load balancing, default=10)\n"})
    CHECK(portfw_usage.find(text) != portfw_usage.npos);
  const std::string mfw_usage = ended(ForwardModule::mfw, "").output;
  for (const char* text : {"Usage: mfw -A -m FWMARK -r RADDR RPORT [-p PREF] add entry\n",
                           "mfw -E -m FWMARK [-r RADDR RPORT]         edit entry\n",
                           "mfw -S -m FWMARK                          force scheduling\n",
                           "mfw -L                                    list table\n"})
    CHECK(mfw_usage.find(text) != mfw_usage.npos);
}

TEST_CASE("a written line is one command, and every part of one is read without harm") {
  const std::string line = "-a\t-P tcp -L 203.0.113.2 80  -R 192.168.0.10 80 -p 10\n";
  const auto whole = parse_ipmasqadm(ForwardModule::portfw, line);
  CHECK(std::get<IpmasqadmCommand>(whole).order == portfw(Act::add, kWeb, at("192.168.0.10", 80)));
  const std::string one = "portfw: write one command, on one line\n";
  for (const std::string& bad : {line + line, std::string{"-f\0-f", 5}, std::string(5000, ' ')}) {
    const auto result = parse_ipmasqadm(ForwardModule::portfw, bad);
    CHECK(std::get<IpmasqadmEnd>(result).error == one);
  }
  for (const auto module : {ForwardModule::portfw, ForwardModule::autofw, ForwardModule::mfw})
    for (const std::string& text :
         {line, std::string{"-A -p tcp 80 192.168.0.10:8080 -c tcp 21 -u -v"},
          std::string{"-A -m 1 -r 192.168.0.2 80 -p 5"}})
      for (std::size_t size = 0; size <= text.size(); ++size) {
        const auto result = parse_ipmasqadm(module, std::string_view{text}.substr(0, size));
        const auto* end = std::get_if<IpmasqadmEnd>(&result);
        if (end != nullptr) CHECK_FALSE((end->output + end->error).empty());
      }
}

TEST_CASE("an order in words is the same order") {
  struct Case {
    ForwardModule module;
    const char* line;
  };
  using M = ForwardModule;
  for (const Case& c :
       {Case{M::portfw, "-a -P tcp -L 203.0.113.2 80 -R 192.168.0.10 8080 -p 15"},
        Case{M::portfw, "-d -P udp -L 203.0.113.2 80 -R 0.0.0.0 0 -p 10"}, Case{M::portfw, "-f"},
        Case{M::mfw, "-A -m 1 -r 192.168.0.2 0 -p 0"},
        Case{M::mfw, "-I -m 1 -r 192.168.0.2 80 -p 10"}, Case{M::mfw, "-D -m 1 -r 0.0.0.0 0 -p 10"},
        Case{M::mfw, "-E -m 1 -r 0.0.0.0 80 -p 3"}, Case{M::mfw, "-S -m 7"}, Case{M::mfw, "-F"},
        Case{M::autofw, "-F"}, Case{M::autofw, "-A -r udp 7000 7010 -c tcp 554"},
        Case{M::autofw, "-D -r udp 7000 7010 -h 192.168.0.10 -u -i"},
        Case{M::autofw, "-A -d tcp 1 2 -i"},
        Case{M::autofw, "-A -p udp 80 192.168.0.10:8080 -i"}}) {
    CAPTURE(c.line);
    const auto once = order(c.module, c.line);
    REQUIRE(once.has_value());
    CHECK(ipmasqadm_words(*once) == c.line);
  }
}

TEST_CASE("failures are named as perror did") {
  using nat::ForwardProblem;
  CHECK(ipmasqadm_failure(ForwardModule::portfw, ForwardProblem::not_found) ==
        "portfw: setsockopt failed: No such process");
  CHECK(ipmasqadm_failure(ForwardModule::autofw, ForwardProblem::invalid) ==
        "autofw: setsockopt failed: Invalid argument");
  CHECK(ipmasqadm_failure(ForwardModule::mfw, ForwardProblem::full) ==
        "mfw: setsockopt failed: Cannot allocate memory");
  CHECK(forward_module("mfw") == ForwardModule::mfw);
  CHECK_FALSE(forward_module("user"));
}

TEST_CASE("file portfw: records of 64 bytes") {
  CHECK(portfw_file({}) == record("Prot LAddr    LPort > RAddr    RPort PrCnt  Pref"));
  const std::vector<PortForward> entries{
      {Protocol::udp, at("203.0.113.2", 53), at("192.168.0.3", 5353), 3, 1},
      {Protocol::tcp, at("204.71.6.194", 80), at("192.168.0.2", 80), 10, 10}};
  CHECK(portfw_file(entries) == record("Prot LAddr    LPort > RAddr    RPort PrCnt  Pref") +
                                    record("UDP  CB007102    53 > C0A80003  5353     1     3") +
                                    record("TCP  CC4706C2    80 > C0A80002    80    10    10"));
}

TEST_CASE("file mfw: records of 64 bytes, the mark as 0x…") {
  const std::vector<MarkForward> entries{{1, at("192.168.0.2", 80), 10, 7},
                                         {0xdeadbeef, at("10.0.0.1", 0), 0, 0}};
  CHECK(mfw_file(entries) == record("FwMark > RAddr    RPort PrCnt  Pref") +
                                 record("0x1 > C0A80002    80     7    10") +
                                 record("0xdeadbeef > 0A000001     0     0     0"));
}

TEST_CASE("file autofw: hexadecimal but for the time left") {
  constexpr Time kNow{std::chrono::seconds{100}};
  const std::string head =
      "Type Prot Low  High Vis  Hid  Where    Last     CPto CPrt Timer Flags\n";
  AutoForward named = range(Protocol::tcp, 2000, 2020);
  named.named = named.where = address("192.168.0.2");
  CHECK(autofw_file({&named, 1}, kNow) ==
        head + "   1    6 07D0-07E4/0000 0000 C0A80002 00000000 0000 0000      0    2\n");
  AutoForward open = range(Protocol::udp, 7000, 7010);
  open.control_protocol = Protocol::tcp;
  open.control_port = 554;
  open.secure = open.active = true;
  open.where = address("192.168.0.2");
  open.last_peer = address("198.51.100.1");
  open.closes = kNow + std::chrono::milliseconds{12345};
  CHECK(autofw_file({&open, 1}, kNow) ==
        head + "   1   11 1B58-1B62/0000 0000 C0A80002 C6336401 0006 022A   1234    7\n");
  AutoForward bounce;
  bounce.kind = AutoForward::Kind::port;
  bounce.protocol = Protocol::tcp;
  bounce.visible = 80;
  bounce.hidden = 8080;
  bounce.where = address("192.168.0.2");
  bounce.timed = bounce.secure = false;
  CHECK(autofw_file({&bounce, 1}, kNow) ==
        head + "   2    6 0000-0000/0050 1F90 C0A80002 00000000 0000 0000      0    0\n");
}
