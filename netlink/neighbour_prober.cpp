#include "netlink/neighbour_prober.hpp"

#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "netlink/address_bytes.hpp"

namespace masqgate::netlink {
namespace {

constexpr unsigned kDrainEvery = 64;  // refusals are small; many fit until they are thrown away

}  // namespace

NeighbourProber::NeighbourProber() : socket_{Socket::Wait::no} {}

bool NeighbourProber::probe(std::uint32_t ifindex, const net::IpAddress& address) noexcept {
  if (++since_drained_ >= kDrainEvery) {
    since_drained_ = 0;
    for (unsigned i = 0; i < kDrainEvery && socket_.receive().error == 0;) ++i;
  }
  std::array<std::uint8_t, 128> bytes{};
  nlmsghdr* message = mnl_nlmsg_put_header(bytes.data());
  message->nlmsg_type = RTM_NEWNEIGH;
  message->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE;
  ndmsg header{};
  header.ndm_family = address.is_v4() ? AF_INET : AF_INET6;
  header.ndm_ifindex = static_cast<int>(ifindex);
  header.ndm_flags = NTF_USE;
  std::memcpy(mnl_nlmsg_put_extra_header(message, sizeof header), &header, sizeof header);
  const AddressBytes destination{address};
  mnl_attr_put(message, NDA_DST, destination.size(), destination.data());
  return socket_.try_send(Bytes{bytes}.first(message->nlmsg_len)) == 0;
}

}  // namespace masqgate::netlink
