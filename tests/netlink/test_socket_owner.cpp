// Whose sockets the real kernel says they are.

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "daemon/base/unique_fd.hpp"
#include "netlink/socket_owner.hpp"
#include "tests/netlink/namespace.hpp"

using namespace masqgate;
using namespace masqgate::netlink;

namespace {

constexpr uid_t kNobody = 65534;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  static SocketAddress loopback(int family) {
    SocketAddress out;
    out.storage.ss_family = static_cast<sa_family_t>(family);
    if (family == AF_INET) {
      auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
      v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      out.size = sizeof *v4;
    } else {
      reinterpret_cast<sockaddr_in6*>(&out.storage)->sin6_addr = in6addr_loopback;
      out.size = sizeof(sockaddr_in6);
    }
    return out;
  }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  net::Endpoint endpoint() const {
    const bool v4 = storage.ss_family == AF_INET;
    const net::Port port = ntohs(v4 ? reinterpret_cast<const sockaddr_in*>(&storage)->sin_port
                                    : reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port);
    return {*net::IpAddress::parse(v4 ? "127.0.0.1" : "::1"), port};
  }
};

// A bound socket of this user.
UniqueFd make(int family, int type, uid_t user, SocketAddress& address) {
  REQUIRE(::seteuid(user) == 0);
  UniqueFd fd{::socket(family, type | SOCK_CLOEXEC, 0)};
  REQUIRE(::seteuid(0) == 0);
  REQUIRE(fd.get() >= 0);
  address = SocketAddress::loopback(family);
  REQUIRE(::bind(fd.get(), address.get(), address.size) == 0);
  REQUIRE(::getsockname(fd.get(), address.get(), &address.size) == 0);
  return fd;
}

}  // namespace

TEST_CASE("socket owners: TCP and UDP, both families, connected and not, and nobody's") {
  test::Namespace own;
  SocketOwners owners;
  for (const int family : {AF_INET, AF_INET6}) {
    CAPTURE(family);
    SocketAddress here, there;
    const UniqueFd udp = make(family, SOCK_DGRAM, kNobody, here);
    const UniqueFd peer = make(family, SOCK_DGRAM, 0, there);
    CHECK(owners.uid_of(net::Protocol::udp, here.endpoint(), there.endpoint()) == kNobody);
    CHECK(owners.uid_of(net::Protocol::udp, there.endpoint(), here.endpoint()) == 0u);
    REQUIRE(::connect(udp.get(), there.get(), there.size) == 0);
    CHECK(owners.uid_of(net::Protocol::udp, here.endpoint(), there.endpoint()) == kNobody);

    const UniqueFd listener = make(family, SOCK_STREAM, 0, there);
    REQUIRE(::listen(listener.get(), 1) == 0);
    const UniqueFd tcp = make(family, SOCK_STREAM, kNobody, here);
    REQUIRE(::connect(tcp.get(), there.get(), there.size) == 0);
    CHECK(owners.uid_of(net::Protocol::tcp, here.endpoint(), there.endpoint()) == kNobody);

    net::Endpoint stranger = here.endpoint();
    stranger.port = 9;
    CHECK_FALSE(owners.uid_of(net::Protocol::udp, stranger, there.endpoint()));
    CHECK_FALSE(owners.uid_of(net::Protocol::tcp, stranger, there.endpoint()));
    CHECK_FALSE(owners.uid_of(net::Protocol::icmp, here.endpoint(), there.endpoint()));
  }
}

TEST_CASE("socket owners: no prefix of an answer is one") {
  // What a kernel answers about a UDP socket of user 65534.
  std::array<std::uint8_t, 88> answer{};
  answer[0] = 88;
  answer[4] = 20;  // SOCK_DIAG_BY_FAMILY
  answer[16] = 2;  // AF_INET
  answer[17] = 7;  // closed: what UDP sockets are
  answer[80] = 0xfe;
  answer[81] = 0xff;
  CHECK(parse_socket_owner(answer) == kNobody);
  for (std::size_t size = 0; size < answer.size(); ++size) {
    std::vector<std::uint8_t> cut{answer.begin(),
                                  answer.begin() + static_cast<std::ptrdiff_t>(size)};
    CHECK_FALSE(parse_socket_owner(cut));
  }
  for (const std::uint8_t nobodys : {std::uint8_t{3}, std::uint8_t{6}}) {
    answer[17] = nobodys;
    CHECK_FALSE(parse_socket_owner(answer));
  }
  answer[17] = 7;
  answer[4] = 2;  // NLMSG_ERROR
  CHECK_FALSE(parse_socket_owner(answer));
}
