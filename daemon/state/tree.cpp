#include "daemon/state/tree.hpp"

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
