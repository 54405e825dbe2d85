// Named sets: addresses and networks, ports, or link-layer addresses, of which rules ask by name.
//
// Immutable. A new one takes the old one's place together with the ruleset that refers to it, and
// the rules that do stay the same rules, with what they have counted: they name it, no more.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/json/reader.hpp"
#include "daemon/net/endpoint.hpp"
#include "daemon/net/ip_address.hpp"
#include "daemon/net/mac_address.hpp"

namespace masqgate::firewall {

enum class SetKind : std::uint8_t { addresses, ports, macs };

class NamedSet {
 public:
  static constexpr std::size_t kMost = 1u << 20;  // elements

  // {"addresses": ["10.0.0.0/8", "192.0.2.1-192.0.2.9"]}, {"ports": [80, "8000-8080"]} or
  // {"macs": ["02:00:00:00:00:05"]}; throws json::Error.
  static NamedSet from_json(const json::Value& value);
  json::Json to_json() const;

  SetKind kind() const { return kind_; }
  std::size_t size() const { return elements_.size(); }  // as they were written

  bool contains(net::IpAddress address) const noexcept;
  bool contains(net::Port port) const noexcept { return (ports_[port / 64] >> port % 64 & 1) != 0; }
  bool contains(net::MacAddress mac) const noexcept;

 private:
  struct Span {
    net::IpAddress first, last;
  };
  void read_addresses(const json::Value& value);
  void read_ports(const json::Value& value);
  void read_macs(const json::Value& value);

  SetKind kind_ = SetKind::addresses;
  std::vector<std::string> elements_;
  std::vector<Span> spans_;            // in order, none touching another
  std::vector<std::uint64_t> ports_;   // a bit for each
  std::vector<net::MacAddress> macs_;  // in order
};

using Sets = std::map<std::string, std::shared_ptr<const NamedSet>, std::less<>>;

}  // namespace masqgate::firewall
