// Which file of the mounted tree is which path of the state tree, and what stat(2) says about it.
//
// A number is given when a path is first looked up and stays; there are never more numbers than
// paths in the state tree, so nothing is forgotten.

#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/state/tree.hpp"

namespace masqgate::proc {

using Inode = std::uint64_t;
constexpr Inode kRootInode = 1;  // FUSE_ROOT_ID

// A node with a version is written only by whoever names that version; a file has no place for it.
inline bool writable(const state::Node& node) {
  return node.write_text || (node.write && !node.version);
}
inline bool readable(const state::Node& node) {
  return node.read_text || node.read;
}

class Inodes {
 public:
  // The tree must outlive this; files belong to the user who runs the daemon.
  explicit Inodes(const state::Tree& tree);

  // The number of this name in that folder, or 0: no such file.
  Inode find(Inode folder, std::string_view name);
  // The path of a number that find() gave; null for all others.
  const std::string* path(Inode inode) const;
  // The node behind a number; null for folders and unknown numbers.
  const state::Node* node(Inode inode) const;
  // What stat(2) shows: size 0 as in /proc, for reading says how much there is; times are now.
  struct stat status(Inode inode) const;

 private:
  const state::Tree& tree_;
  std::vector<std::string> paths_{""};  // inode - 1 -> path
  std::map<std::string, Inode, std::less<>> inodes_{{"", kRootInode}};
};

}  // namespace masqgate::proc
