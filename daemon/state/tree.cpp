#include "daemon/state/tree.hpp"

#include <algorithm>
#include <utility>

namespace masqgate::state {
namespace {

// "net/" for "net", "" for the root: every path below starts with it.
std::string below(std::string_view folder) {
  return folder.empty() ? "" : std::string{folder} + "/";
}

bool well_formed(std::string_view path) {
  return !path.empty() && path.front() != '/' && path.back() != '/' &&
         path.find("//") == std::string_view::npos;
}

std::vector<std::string_view> parts_of(std::string_view path) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    parts.push_back(path.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

// The names that the path has where the pattern has braces; empty if it does not fit.
std::optional<std::vector<std::string>> names_in(std::string_view pattern, std::string_view path) {
  const auto wanted = parts_of(pattern), given = parts_of(path);
  if (wanted.size() != given.size()) return std::nullopt;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (given[i].empty()) return std::nullopt;
    if (wanted[i].starts_with('{'))
      names.emplace_back(given[i]);
    else if (wanted[i] != given[i])
      return std::nullopt;
  }
  return names;
}

}  // namespace

void Tree::add(std::string path, Node node) {
  if (!well_formed(path)) throw std::logic_error("state tree: malformed path " + path);
  for (std::size_t slash = path.find('/'); slash != std::string::npos;
       slash = path.find('/', slash + 1))
    if (nodes_.contains(path.substr(0, slash)))
      throw std::logic_error("state tree: " + path + " stands below a node");
  if (nodes_.contains(path) || is_folder(path))
    throw std::logic_error("state tree: " + path + " exists");
  nodes_.emplace(std::move(path), std::move(node));
}

const Node* Tree::find(std::string_view path) const {
  const auto found = nodes_.find(path);
  return found == nodes_.end() ? nullptr : &found->second;
}

std::optional<Node> Tree::grow(std::string_view path) const {
  for (std::size_t slash = path.find('/'); slash != std::string_view::npos;
       slash = path.find('/', slash + 1)) {
    const Node* node = find(path.substr(0, slash));
    if (node == nullptr) continue;
    for (const Branch& branch : node->branches)
      if (auto names = names_in(branch.pattern, path.substr(slash + 1)))
        return branch.node(std::move(*names));
  }
  return std::nullopt;
}

bool Tree::is_folder(std::string_view path) const {
  if (path.empty()) return true;
  const std::string prefix = below(path);
  const auto first = nodes_.lower_bound(prefix);
  return first != nodes_.end() && first->first.starts_with(prefix);
}

std::vector<std::string> Tree::list(std::string_view folder) const {
  const std::string prefix = below(folder);
  std::vector<std::string> names;
  for (auto at = nodes_.lower_bound(prefix); at != nodes_.end() && at->first.starts_with(prefix);
       ++at) {
    const std::string_view rest = std::string_view{at->first}.substr(prefix.size());
    const std::string_view name = rest.substr(0, rest.find('/'));
    if (names.empty() || names.back() != name) names.emplace_back(name);
  }
  return names;
}

}  // namespace masqgate::state
