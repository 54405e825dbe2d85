// Changes links, addresses and routes: short synchronous transactions, for start, reload and stop.
//
// Waits for the kernel, so never on the packet path. Links are named by name, as people do.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "netlink/messages.hpp"
#include "netlink/saved.hpp"

namespace masqgate::netlink {

// "cannot put eth9 into bridge br-wan: No such device (the kernel says: …)".
class CommandError : public std::runtime_error {
 public:
  CommandError(const std::string& what, int code) : std::runtime_error{what}, code_{code} {}
  int code() const { return code_; }  // errno

 private:
  int code_;
};

// Each member throws CommandError where the kernel refuses.
class Commands {
 public:
  Commands();
  ~Commands();
  Commands(const Commands&) = delete;
  Commands& operator=(const Commands&) = delete;

  // No STP, no forward delay, no multicast snooping, no VLAN filter, no netfilter; down. The MAC is
  // the bridge's from its first moment, so that it says whose bridge it is.
  void create_bridge(const std::string& name, net::MacAddress mac);
  void delete_link(const std::string& name);
  void set_up(const std::string& name, bool up);
  void set_master(const std::string& name, const std::string& master);
  void clear_master(const std::string& name);
  void set_mac(const std::string& name, net::MacAddress mac);
  void set_mtu(const std::string& name, std::uint32_t mtu);
  void set_queue_length(const std::string& name, std::uint32_t frames);  // txqueuelen

  // What is there already is success, and so is the absence of what shall go.
  // `at_once`: usable without waiting for duplicate address detection.
  enum class Detection { wait, at_once };
  void add_address(const std::string& link, const net::InterfaceAddress& address,
                   Detection detection = Detection::wait);
  void remove_address(const std::string& link, const net::InterfaceAddress& address);
  void add_route(const Route& route);
  void replace_route(const Route& route);
  void delete_route(const Route& route);

  void give(const Saved& saved);
  void take(const Saved& saved);

 private:
  class Transaction;
  std::unique_ptr<Transaction> transaction_;
};

// Fetched from the kernel at each call.
std::optional<Link> find_link(std::string_view name);
std::string link_names();  // "lo, eth0, eth1", for messages

// Sysctls below /proc/sys, as text without the line break. Reading is empty where there is none.
// Writing throws CommandError.
std::optional<std::string> read_sysctl(const std::string& path);
void write_sysctl(const std::string& path, std::string_view value);
std::string disable_ipv6_path(const std::string& link);  // "net/ipv6/conf/eth0/disable_ipv6"

}  // namespace masqgate::netlink
