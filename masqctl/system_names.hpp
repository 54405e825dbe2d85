// The machine's own files and servers of names: hosts and services, as the historic commands asked
// for them.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "daemon/language/words.hpp"

namespace masqgate::ctl {

class SystemNames final : public language::Names {
 public:
  std::optional<net::IpAddress> address(std::string_view name) const override;  // IPv4
  std::optional<net::Port> service(std::string_view name, net::Protocol) const override;
  std::optional<std::uint32_t> user(std::string_view name) const override;
  std::string host(net::IpAddress address) const override;  // IPv4
  std::string service(net::Port port, net::Protocol) const override;
};

}  // namespace masqgate::ctl
