// A state tree with the paths of the real one and made-up contents, for the REST door and masqctl.

#pragma once

#include "daemon/state/events.hpp"
#include "daemon/state/tree.hpp"

namespace masqgate::tests {

// What the made-up router remembers between requests.
struct FakeRouter {
  static constexpr int kConnections = 25;

  state::Json config{{"ports", {{"lan", {{"nics", {"eth1"}}}}}}, {"ip_forward", true}};
  int version = 1;
  std::string ip_forward = "1\n";
  std::vector<int> connections = all_connections();
  std::shared_ptr<state::Events> events = make_events();

  static std::vector<int> all_connections();
  static std::shared_ptr<state::Events> make_events();
};

// The router has to outlive the tree.
state::Tree fake_tree(FakeRouter& router);

}  // namespace masqgate::tests
