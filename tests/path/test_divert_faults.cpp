// Complaints of users of other systems that concern routes, fragments and sizes: what a program gives
// back takes the way that the packet would have taken.

#include "tests/path/divert_router.hpp"

namespace path_divert_faults {

using namespace masqgate;
using namespace masqgate::test;

TEST_CASE(
    "complaint 3, F2: a mark chooses the route, also of a packet that a program changes before or "
    "behind it") {
  for (const char* chain : {"prerouting", "forward"}) {
    CAPTURE(chain);
    DivertRouter lab{
        R"({"prerouting": {"rules": [{"destination_port": 53, "action": {"mark": "0x1/0xff"}}, )" +
        std::string{chain[0] == 'p' ? R"({"action": {"divert": 2222}}]}})"
                                    : R"({"action": "continue"}]},
                          "forward": {"rules": [{"action": {"divert": 2222}}]}})"}};
    lab.router.route_marked(1, kWan, "203.0.113.60");
    lab.connect();
    lab.router.arrive(kLan, question());
    lab.say(DivertLab::verdict(lab.listen().packets.at(0).id, Action::accept),
            question("another one").ip_bytes());
    CHECK(lab.router.left(kWan).empty());
    REQUIRE(lab.router.asker.asked.size() == 1);
    CHECK(lab.router.asker.asked[0].second == address("203.0.113.60"));
    CHECK(lab.router.imbalance() == "");
  }
}

TEST_CASE(
    "complaint 7: over IPv6: an atomic fragment, a second one behind its first, and one alone") {
  DivertRouter lab{R"({"forward": {"rules": [{"action": {"divert": 2222}}]}})"};
  lab.connect();
  const auto datagram = [](std::size_t size, std::uint16_t id) {
    return udp()
        .from("fd00:1::10", 4000)
        .to("2001:db8:9::1", 53)
        .payload_size(size)
        .identification(id);
  };
  lab.router.arrive(kLan, datagram(24, 7).fragment(0, false));
  const Heard atomic = lab.listen();
  CHECK(atomic.packets.at(0).protocol == 17);
  CHECK(atomic.packets[0].payload_offset == 40 + 8 + 8);
  lab.say(atomic.packets[0].id, Action::accept);
  CHECK(lab.router.one(kWan).size() == 40 + 8 + 8 + 24);

  lab.router.arrive(kLan, datagram(24, 8).fragment(0, true));
  lab.router.arrive(kLan, datagram(24, 8).fragment(32, false));
  const Heard pieces = lab.listen();
  REQUIRE(pieces.packets.size() == 2);
  for (const auto& piece : pieces.packets) CHECK((piece.flags & format::kFragment) != 0);
  lab.say(pieces.packets[1].id, Action::accept);  // the second one first
  lab.say(pieces.packets[0].id, Action::accept);
  CHECK(lab.router.left(kWan).size() == 2);

  lab.router.arrive(kLan, datagram(24, 9).fragment(32, false));  // its first one never comes
  lab.router.pass(std::chrono::seconds{120});
  lab.desk().tick(lab.router.now());
  CHECK(lab.desk().held() == 0);
  CHECK(lab.router.left(kWan).empty());
  CHECK(lab.router.imbalance() == "");
}

TEST_CASE("complaint 10: the largest packet that there is, from a program, leaves in pieces") {
  DivertRouter lab{R"({"forward": {"rules": [{"action": {"divert": 2222}}]}})"};
  lab.connect();
  lab.router.arrive(kLan, question());
  const Octets largest = question().payload_size(65535 - 28).ip_bytes();
  REQUIRE(largest.size() == 65535);
  lab.say(DivertLab::verdict(lab.listen().packets.at(0).id, Action::accept), largest);
  std::size_t bytes = 0;
  for (const auto& piece : lab.router.left(kWan)) bytes += piece.bytes.size() - 20;
  CHECK(bytes == 65535 - 20);
  CHECK(lab.router.imbalance() == "");
}

}  // namespace path_divert_faults
