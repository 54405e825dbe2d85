// The state tree: everything masqgate shows or lets be changed, declared once, shown through every
// door.
//
// A Node is what a path offers: a JSON document, an exact text, a way to write either, a way to
// add or remove children. What stands below a node under names that come and go (the rules of a
// chain) are its branches. REST (web/) maps URL to node and method to operation; the virtual tree
// (proc/) maps file to node, and shows no branches. Neither door knows what stands behind a node,
// so the two cannot drift apart.
//
// All operations run on the control thread and may wait (coroutines); they throw Error.

#pragma once

#include <asio/awaitable.hpp>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace masqgate::state {

using Json = nlohmann::ordered_json;  // members keep the order in which they are written

// What went wrong, in words that every door can translate (REST: status, virtual tree: errno).
enum class Problem {
  not_found,    // 404  ENOENT
  not_offered,  // 405  EACCES   this node does not have that operation
  invalid,      // 422  EINVAL   the value is not acceptable; pointer() says where
  malformed,    // 400  EINVAL   not even the right language (JSON syntax, bad query)
  conflict,     // 409  EBUSY
  stale,        // 412  EAGAIN   If-Match does not name the current version
  unavailable,  // 503  EAGAIN   a limit is reached, or the router is stopping
};

class Error : public std::runtime_error {
 public:
  Error(Problem problem, const std::string& message, std::string pointer = {})
      : std::runtime_error{message}, problem_{problem}, pointer_{std::move(pointer)} {}
  Problem problem() const { return problem_; }
  const std::string& pointer() const {
    return pointer_;
  }  // RFC 6901, or "line 3, column 7"; may be empty

 private:
  Problem problem_;
  std::string pointer_;
};

// Parameters of one read, as ?name=value; names are checked against Node::parameters by the doors.
using Query = std::map<std::string, std::string, std::less<>>;

struct Parameter {
  std::string name;
  std::string summary;
};

// What was added; without a name nothing was, as in a dry run.
struct Created {
  std::string name;
  Json shown;
};

class Events;
struct Node;
// Nodes below a node whose names are not known beforehand.
struct Branch {
  std::string pattern;  // "{chain}/rules/{rule}": a part in braces is any name
  // The node of these names, in the order of the pattern. Whether there is such a thing its
  // operations and its version() say (not_found).
  std::function<Node(std::vector<std::string>)> node;
};

struct Node {
  std::string summary;                  // one sentence; openapi.json quotes it
  std::vector<Parameter> parameters{};  // what read() understands

  std::function<asio::awaitable<Json>(Query)> read{};
  std::function<asio::awaitable<std::string>()> read_text{};  // exact text, final newline included
  std::function<asio::awaitable<Json>(Json, Query)>
      write{};  // replaces the whole; returns what to show
  std::function<asio::awaitable<void>(std::string)>
      write_text{};  // what the shell wrote, newline included
  std::function<asio::awaitable<void>(std::string)> remove{};  // removes the child with this name
  // The current version of the document (an ETag without quotes). A node that has one can only be
  // changed by whoever names it (REST: If-Match). Empty: it is not there yet, and write() makes it.
  std::function<std::string()> version{};
  std::function<asio::awaitable<Created>(Json, Query)> create{};  // adds a child
  // Removes the node itself, or what the query names of it; null, or what to show.
  std::function<asio::awaitable<Json>(Query)> erase{};
  std::vector<Branch> branches{};
  // Who reads the node follows these (REST: server-sent events).
  std::shared_ptr<Events> events{};
};

class Tree {
 public:
  // Path: "net/ip_masquerade": no leading slash, no empty part. Adding a path twice, or below a
  // node, is a mistake in the program (std::logic_error).
  void add(std::string path, Node node);

  // The node at exactly this path, or null. Folders are not nodes.
  const Node* find(std::string_view path) const;
  // The node that a branch has at this path; empty if none has. Throws what Branch::node throws.
  std::optional<Node> grow(std::string_view path) const;
  // Names directly below this folder ("" is the root), sorted; empty if there is no such folder.
  std::vector<std::string> list(std::string_view folder) const;
  bool is_folder(std::string_view path) const;

  const std::map<std::string, Node, std::less<>>& nodes() const { return nodes_; }

 private:
  std::map<std::string, Node, std::less<>> nodes_;
};

}  // namespace masqgate::state
