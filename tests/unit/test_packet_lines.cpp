// Unit tests of daemon/control/packet_lines.hpp: log lines byte for byte (history 3.4, 7.2).

#include <doctest/doctest.h>

#include <algorithm>

#include "daemon/control/packet_lines.hpp"
#include "tests/support/packet_builder.hpp"

using namespace masqgate;
using namespace masqgate::control;
using namespace masqgate::test;
using firewall::LogNote;

namespace {

LogNote note(const Octets& ip) {
  LogNote note;
  note.size = static_cast<std::uint16_t>(ip.size());
  note.kept = static_cast<std::uint8_t>(std::min(ip.size(), LogNote::kHead));
  std::copy_n(ip.begin(), note.kept, note.head.begin());
  note.has_link = true;
  for (std::size_t i = 0; i < note.link.size(); ++i) note.link[i] = static_cast<std::byte>(i);
  return note;
}

PacketBuilder query() {
  return udp().from("192.168.2.1", 53).to("192.168.1.1", 1025).ttl(254).payload("123456");
}

}  // namespace

TEST_CASE("F4 ipchains: the line of the kernel's own example") {
  const std::string line = ipchains_line("input DENY ", note(query().ip_bytes()), "eth0", "7");
  CHECK(line.starts_with(
      "Packet log: input DENY eth0 PROTO=17 192.168.2.1:53 192.168.1.1:1025 L=34 S=0x00 I="));
  CHECK(line.ends_with(" T=254 (#7)"));
}

TEST_CASE("F4 ipchains: SYN, ICMP, other protocols, IPv6") {
  const auto syn = tcp().from("10.0.0.1", 1024).to("10.0.0.2", 80).flags("S").ttl(64);
  CHECK(ipchains_line("input - ", note(syn.ip_bytes()), "eth1", "1").ends_with(" T=64 SYN (#1)"));
  const auto echo = icmp_echo(7, 1).from("10.0.0.1").to("10.0.0.2");
  CHECK(ipchains_line("output REJECT ", note(echo.ip_bytes()), "eth1", "2")
            .starts_with("Packet log: output REJECT eth1 PROTO=1 10.0.0.1:8 10.0.0.2:0 L="));
  const auto six = udp().from("fd00::1", 1).to("fd00::2", 2);
  CHECK(ipchains_line("input DENY ", note(six.ip_bytes()), "eth1", "2").find("fd00::1") !=
        std::string::npos);
}

TEST_CASE("F4 iptables: UDP, TCP and ICMP as LOG wrote them") {
  const std::string line = iptables_line("drop ", note(query().ip_bytes()), {"eth0", ""});
  CHECK(line.starts_with(
      "drop IN=eth0 OUT= MAC=00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d SRC=192.168.2.1 "
      "DST=192.168.1.1 LEN=34 TOS=0x00 PREC=0x00 TTL=254 ID="));
  CHECK(line.ends_with("PROTO=UDP SPT=53 DPT=1025 LEN=14 "));
  const auto syn = tcp().from("10.0.0.1", 1024).to("10.0.0.2", 80).flags("SA").ttl(64);
  const std::string tcp_line = iptables_line("", note(syn.ip_bytes()), {"eth0", "eth1"});
  CHECK(tcp_line.starts_with("IN=eth0 OUT=eth1 SRC=10.0.0.1 "));
  CHECK(tcp_line.find("PROTO=TCP SPT=1024 DPT=80 WINDOW=") != std::string::npos);
  CHECK(tcp_line.ends_with("RES=0x00 ACK SYN URGP=0 "));
  const auto error =
      icmp_error(3, 4, 1400).from("10.0.0.3").to("192.168.2.1").quoting(query().ip_bytes());
  const std::string error_line = iptables_line("", note(error.ip_bytes()), {"eth0", "eth1"});
  CHECK(error_line.find("PROTO=ICMP TYPE=3 CODE=4 [SRC=192.168.2.1 DST=192.168.1.1 LEN=34 ") !=
        std::string::npos);
  CHECK(error_line.find("SPT=53 DPT=1025 LEN=14 ] MTU=1400 ") != std::string::npos);
}

TEST_CASE("F4: what is cut off anywhere is told as incomplete, never read behind its end") {
  const auto error =
      icmp_error(3, 3).from("10.0.0.3").to("192.168.2.1").quoting(query().ip_bytes());
  for (const Octets& whole : {query().ip_bytes(), error.ip_bytes(),
                              tcp().from("10.0.0.1", 1).to("10.0.0.2", 2).flags("S").ip_bytes(),
                              udp().from("fd00::1", 1).to("fd00::2", 2).ip_bytes()})
    for (std::size_t size = 0; size <= whole.size(); ++size) {
      const LogNote one = note({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
      CHECK_FALSE(iptables_line("", one, {"a", ""}).empty());
      CHECK_FALSE(ipchains_line("", one, "a", "1").empty());
      CHECK_FALSE(plain_line("", one, {}).empty());
    }
}
