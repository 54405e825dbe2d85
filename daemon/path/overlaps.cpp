#include "daemon/path/overlaps.hpp"

#include <optional>

namespace masqgate::path {
namespace {

bool is_network(const net::InterfaceAddress& own) {
  return own.network() != net::Prefix::host(own.address) && !own.address.is_link_local();
}

// The smaller of two networks that overlap.
std::optional<net::Prefix> common(const PortInfo& a, const PortInfo& b) {
  for (const net::InterfaceAddress& one : a.addresses)
    for (const net::InterfaceAddress& other : b.addresses) {
      if (!is_network(one) || !is_network(other)) continue;
      if (one.network().contains(other.network())) return other.network();
      if (other.network().contains(one.network())) return one.network();
    }
  return std::nullopt;
}

}  // namespace

std::vector<std::string> overlaps(const std::vector<PortInfo>& ports) {
  std::vector<std::string> sentences;
  for (std::size_t i = 0; i < ports.size(); ++i)
    for (std::size_t j = i + 1; j < ports.size(); ++j)
      if (const auto network = common(ports[i], ports[j]))
        sentences.push_back("ports " + ports[i].name + " and " + ports[j].name + " are both in " +
                            network->text() +
                            ": hosts there are found behind one of them only; renumber one");
  return sentences;
}

}  // namespace masqgate::path
