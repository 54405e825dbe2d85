// Changes links, addresses and routes: short synchronous transactions, for start, reload and stop.
//
// Waits for the kernel, so never on the packet path. Links are named by name, as people do.

#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "netlink/messages.hpp"
#include "netlink/saved.hpp"

struct nl_msg;

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
  virtual ~Commands();
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
  void set_carrier(const std::string& name, bool on);
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

  // A route as give() and take() want it.
  static Saved saved(const Route& route);
  void give(const Saved& saved);
  void take(const Saved& saved);

  // Below /proc/sys, as text without the line break.
  void write_sysctl(const std::string& path, std::string_view value);

 protected:
  // Asked before each change, which is named: "bring eth0 up". Throws to refuse it.
  virtual void permit(const std::string& /*doing*/) {}

 private:
  // `fine`: errnos that are as good as success.
  void run(nl_msg* message, const std::string& doing, std::initializer_list<int> fine);
  class Transaction;
  std::unique_ptr<Transaction> transaction_;
};

// Fetched from the kernel at each call.
std::optional<Link> find_link(std::string_view name);

// Without the line break; empty where there is no such sysctl.
std::optional<std::string> read_sysctl(const std::string& path);
std::string disable_ipv6_path(const std::string& link);  // "net/ipv6/conf/eth0/disable_ipv6"

}  // namespace masqgate::netlink
