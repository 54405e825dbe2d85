// Where the tree hangs: opens /dev/fuse, mounts it on a directory, takes old mounts away (fuse(4),
// mount(2)).
//
// Nothing here ever looks into a mounted tree (no stat, no open): whoever should answer may be this
// process, or dead. What is mounted where is read from /proc/self/mountinfo.

#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/base/unique_fd.hpp"

namespace masqgate::proc {

// The type shown in /proc/self/mountinfo; by it we know our own mounts from those of others.
constexpr const char* kMountType = "fuse.masqgate";

// Mounts a new, empty FUSE connection on path and returns its descriptor: whoever reads it answers.
// Older trees on the same path are taken away first; a missing directory is made (mode 0755).
// allow_other lets all users in; the kernel then checks modes and owners. Throws std::system_error
// (which file, and what to do) or std::runtime_error (path is a symbolic link, belongs to another
// file system or is not empty).
UniqueFd mount_tree(const std::filesystem::path& path, bool allow_other);

// Takes every tree of ours off this path, newest first, also when it is in use; those who read it
// get an error. Fine when there is none. Throws std::system_error.
void unmount_trees(const std::filesystem::path& path);

// The type of the newest mount on this path, as mountinfo shows it; path is absolute and resolved.
std::optional<std::string> mounted_type(std::string_view mountinfo, std::string_view path);

}  // namespace masqgate::proc
