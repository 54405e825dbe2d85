#include "daemon/proc/inodes.hpp"

#include <unistd.h>

#include <ctime>

namespace masqgate::proc {

Inodes::Inodes(const state::Tree& tree) : tree_{tree} {}

Inode Inodes::find(Inode folder, std::string_view name) {
  const std::string* parent = path(folder);
  if (parent == nullptr || name.empty()) return 0;
  std::string whole = parent->empty() ? std::string{name} : *parent + "/" + std::string{name};
  if (const auto known = inodes_.find(whole); known != inodes_.end()) return known->second;
  if (tree_.find(whole) == nullptr && !tree_.is_folder(whole)) return 0;
  paths_.push_back(whole);
  const Inode inode = paths_.size();
  inodes_.emplace(std::move(whole), inode);
  return inode;
}

const std::string* Inodes::path(Inode inode) const {
  return inode == 0 || inode > paths_.size() ? nullptr : &paths_[inode - 1];
}

const state::Node* Inodes::node(Inode inode) const {
  const std::string* known = path(inode);
  return known == nullptr ? nullptr : tree_.find(*known);
}

struct stat Inodes::status(Inode inode) const {
  struct stat status {};
  const state::Node* node = this->node(inode);
  if (node == nullptr) {
    status.st_mode = S_IFDIR | 0555;
    status.st_nlink = 2;
  } else {
    const mode_t mode = (readable(*node) ? 0444U : 0U) | (writable(*node) ? 0200U : 0U);
    status.st_mode = S_IFREG | mode;
    status.st_nlink = 1;
  }
  status.st_ino = inode;
  status.st_uid = ::geteuid();
  status.st_gid = ::getegid();
  ::clock_gettime(CLOCK_REALTIME, &status.st_mtim);
  status.st_atim = status.st_ctim = status.st_mtim;
  return status;
}

}  // namespace masqgate::proc
