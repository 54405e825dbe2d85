// Unit tests of daemon/state: paths, folders, and what add() refuses.

#include <doctest/doctest.h>

#include "daemon/state/tree.hpp"

using namespace masqgate::state;

TEST_CASE("tree: folders list what stands below them") {
  Tree tree;
  for (const char* path :
       {"net/ip_masquerade", "net/ip_masq/tcp", "net/ip_masq/udp", "drops", "net2"})
    tree.add(path, Node{.summary = path});
  CHECK(tree.list("") == std::vector<std::string>{"drops", "net", "net2"});
  CHECK(tree.list("net") == std::vector<std::string>{"ip_masq", "ip_masquerade"});
  CHECK(tree.list("net/ip_masq") == std::vector<std::string>{"tcp", "udp"});
  CHECK(tree.list("ne").empty());
  CHECK(tree.is_folder("net"));
  CHECK_FALSE(tree.is_folder("drops"));
  CHECK(tree.find("drops")->summary == "drops");
  CHECK(tree.find("net") == nullptr);
}

TEST_CASE("tree: a path is declared once and is either node or folder") {
  Tree tree;
  tree.add("net/ip_masq/tcp", Node{.summary = ""});
  for (const char* path : {"net/ip_masq/tcp", "net", "net/ip_masq/tcp/x", "", "/a", "a/", "a//b"}) {
    CAPTURE(path);
    CHECK_THROWS_AS(tree.add(path, Node{.summary = ""}), std::logic_error);
  }
}
