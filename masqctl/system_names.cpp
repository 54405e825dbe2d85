#include "masqctl/system_names.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/socket.h>

#include <array>
#include <memory>

#include "masqctl/tables.hpp"

namespace masqgate::ctl {
namespace {

const char* name_of(net::Protocol protocol) {
  return protocol == net::Protocol::udp ? "udp" : "tcp";
}

}  // namespace

std::optional<net::IpAddress> SystemNames::address(std::string_view name) const {
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(std::string{name}.c_str(), nullptr, &hints, &found) != 0) return std::nullopt;
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> list{found, &freeaddrinfo};
  std::array<char, INET_ADDRSTRLEN> text{};
  if (getnameinfo(list->ai_addr, list->ai_addrlen, text.data(), text.size(), nullptr, 0,
                  NI_NUMERICHOST) != 0)
    return std::nullopt;
  return net::IpAddress::parse(text.data());
}

std::optional<net::Port> SystemNames::service(std::string_view name, net::Protocol protocol) const {
  if (const servent* found = getservbyname(std::string{name}.c_str(), name_of(protocol)))
    return ntohs(static_cast<std::uint16_t>(found->s_port));
  return std::nullopt;
}

std::optional<std::uint32_t> SystemNames::user(std::string_view name) const {
  const passwd* found = getpwnam(std::string{name}.c_str());
  return found == nullptr ? std::nullopt : std::optional<std::uint32_t>{found->pw_uid};
}

std::string SystemNames::host(net::IpAddress address) const {
  if (!address.is_v4()) return {};
  sockaddr_in socket_address{};
  socket_address.sin_family = AF_INET;
  if (inet_pton(AF_INET, address.text().c_str(), &socket_address.sin_addr) != 1) return {};
  const auto* generic = static_cast<const sockaddr*>(static_cast<const void*>(&socket_address));
  std::array<char, NI_MAXHOST> name{};
  const bool found = getnameinfo(generic, sizeof socket_address, name.data(), name.size(), nullptr,
                                 0, NI_NAMEREQD) == 0;
  return found ? printable(name.data()) : std::string{};
}

std::string SystemNames::service(net::Port port, net::Protocol protocol) const {
  const servent* found = getservbyport(htons(port), name_of(protocol));
  return found == nullptr ? std::string{} : printable(found->s_name);
}

}  // namespace masqgate::ctl
