// PORTFW: ports of ours that lead to hosts inside, as Linux 2.2 kept them (history 4.1).
//
// Entries with the same local endpoint share its new connections: the first in the list serves until
// its counter has run down from its preference, then it goes to the list's tail.

#pragma once

#include <array>
#include <optional>
#include <vector>

#include "daemon/nat/forward_problem.hpp"
#include "daemon/net/endpoint.hpp"

namespace masqgate::nat {

constexpr int kDefaultPreference = 10;

struct PortForward {
  net::Protocol protocol = net::Protocol::tcp;
  net::Endpoint local = kAnyEndpoint;
  net::Endpoint remote = kAnyEndpoint;
  int preference = kDefaultPreference;
  int count = kDefaultPreference;  // connections until the next one has its turn
  bool operator==(const PortForward&) const = default;
};

class PortForwards {
 public:
  static constexpr std::size_t kMost = 1024;      // a first packet may look at each
  static constexpr net::Port kLastPort = 60'999;  // above it are the ports of masquerading

  // Changes the preference of the entries that fit (an address of zero and a remote port of zero fit
  // all), or else becomes the first entry of its protocol.
  ForwardProblem add(const PortForward& entry);
  // Removes all that fit, as for add().
  ForwardProblem remove(const PortForward& entry);
  void flush();

  // Where a new connection to this endpoint goes; counts it.
  std::optional<net::Endpoint> use(net::Protocol protocol, net::Endpoint destination) noexcept;

  // Whether an entry takes what comes to this endpoint.
  bool has(net::Protocol protocol, net::Endpoint destination) const noexcept;

  std::size_t size() const { return lists_[0].size() + lists_[1].size(); }
  std::vector<PortForward> list() const;  // UDP first, then TCP

 private:
  std::vector<PortForward>* list_of(net::Protocol protocol);

  std::array<std::vector<PortForward>, 2> lists_;  // UDP, TCP
};

}  // namespace masqgate::nat
