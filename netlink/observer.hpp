// Who wants to hear what the Monitor hears from the kernel.

#pragma once

#include <string>

#include "netlink/messages.hpp"

namespace masqgate::netlink {

// Hears the kernel. Values have `deleted` set where they are gone.
class Observer {
 public:
  enum class Scope { everything, routes };
  virtual ~Observer() = default;
  // Forget what is in scope: the values up to the next on_complete() are all there is.
  virtual void on_reset(Scope scope) = 0;
  virtual void on_link(const Link& link) = 0;
  virtual void on_address(const Address& address) = 0;
  // False where it cannot be told what the change leaves: the routes are then listed again.
  virtual bool on_route(const Route& route, Placement placement) = 0;
  virtual void on_rule(const Rule& rule) = 0;
  virtual void on_neighbour(const Neighbour& neighbour) = 0;
  // The values heard so far belong together: time to publish. Comes after each burst of events too.
  virtual void on_complete() = 0;
  // The kernel cannot be asked at present (the text says why); it is tried again.
  virtual void on_trouble(const std::string& problem) = 0;
};

}  // namespace masqgate::netlink
