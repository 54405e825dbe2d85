#include "netlink/socket_owner.hpp"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "netlink/address_bytes.hpp"

namespace masqgate::netlink {

std::optional<std::uint32_t> SocketOwners::uid_of(net::Protocol protocol,
                                                  const net::Endpoint& local,
                                                  const net::Endpoint& remote) noexcept {
  if (protocol != net::Protocol::tcp && protocol != net::Protocol::udp) return std::nullopt;
  inet_diag_req_v2 request{};
  request.sdiag_family = local.address.is_v4() ? AF_INET : AF_INET6;
  request.sdiag_protocol = static_cast<std::uint8_t>(protocol);
  request.idiag_states = ~0u;
  request.id.idiag_cookie[0] = request.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  // For UDP the kernel takes source and destination as a packet that comes in has them.
  const bool as_received = protocol == net::Protocol::udp;
  const net::Endpoint& source = as_received ? remote : local;
  const net::Endpoint& destination = as_received ? local : remote;
  const AddressBytes from{source.address}, to{destination.address};
  std::memcpy(request.id.idiag_src, from.data(), from.size());
  std::memcpy(request.id.idiag_dst, to.data(), to.size());
  request.id.idiag_sport = htons(source.port);
  request.id.idiag_dport = htons(destination.port);

  alignas(nlmsghdr) std::array<std::uint8_t, 128> bytes{};
  nlmsghdr* message = mnl_nlmsg_put_header(bytes.data());
  message->nlmsg_type = SOCK_DIAG_BY_FAMILY;
  message->nlmsg_flags = NLM_F_REQUEST;
  std::memcpy(mnl_nlmsg_put_extra_header(message, sizeof request), &request, sizeof request);
  while (socket_.receive().error == 0) {}  // an answer that nobody waits for any more
  if (socket_.try_send(Bytes{bytes}.first(message->nlmsg_len)) != 0) return std::nullopt;
  return parse_socket_owner(socket_.receive().messages);
}

}  // namespace masqgate::netlink
