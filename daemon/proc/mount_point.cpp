#include "daemon/proc/mount_point.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>

namespace masqgate::proc {
namespace {

constexpr const char* kDevice = "/dev/fuse";
constexpr const char* kSwitchOff = R"(, or switch the tree off with "tree": false)";

[[noreturn]] void fail(int error, const std::string& text) {
  throw std::system_error(error, std::generic_category(), text);
}

// mountinfo writes space, tab, newline and backslash as \ooo (proc(5)).
std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      const int value = (text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0');
      plain += static_cast<char>(value);
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

std::string mountinfo() {
  std::ifstream file{"/proc/self/mountinfo"};
  return {std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{}};
}

// The directory of the path is resolved, its last part is not: that may be a dead mount.
std::filesystem::path resolved(const std::filesystem::path& path) {
  std::filesystem::path whole = std::filesystem::absolute(path).lexically_normal();
  if (!whole.has_filename()) whole = whole.parent_path();  // a slash at the end
  return std::filesystem::weakly_canonical(whole.parent_path()) / whole.filename();
}

UniqueFd open_device() {
  UniqueFd device{::open(kDevice, O_RDWR | O_CLOEXEC)};
  if (device) return device;
  if (errno == EACCES || errno == EPERM)
    fail(errno, std::string{kDevice} +
                    " may not be opened: start as root, let this user read and "
                    "write it" +
                    kSwitchOff);
  fail(errno, std::string{kDevice} + " cannot be opened: load the kernel module ('modprobe fuse')" +
                  kSwitchOff);
}

// Opens the directory that will carry the tree, made if missing. Never through a symbolic link: the
// mount helper runs as root in a directory of another user.
UniqueFd open_directory(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (error) fail(error.value(), "directory " + path.parent_path().string() + " cannot be made");
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST)
    fail(errno, "directory " + path.string() + " cannot be made");
  UniqueFd directory{::open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  if (!directory)
    fail(errno,
         path.string() + " is no directory to mount the tree on (symbolic links are refused)");
  return directory;
}

std::string through_proc(const UniqueFd& directory) {
  return "/proc/self/fd/" + std::to_string(directory.get());
}

}  // namespace

std::optional<std::string> mounted_type(std::string_view mountinfo, std::string_view path) {
  std::optional<std::string> type;
  std::istringstream lines{std::string{mountinfo}};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields{line};
    std::string skipped, mount_point, field;
    fields >> skipped >> skipped >> skipped >> skipped >> mount_point;
    if (unescape(mount_point) != path) continue;
    while (fields >> field && field != "-") {}
    if (fields >> field) type = field;
  }
  return type;
}

void unmount_trees(const std::filesystem::path& path) {
  const std::filesystem::path place = resolved(path);
  while (mounted_type(mountinfo(), place.native()) == kMountType) {
    // MNT_FORCE wakes those who wait for an answer that nobody will give.
    if (::umount2(place.c_str(), MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
      fail(errno, "the tree at " + place.string() + " cannot be unmounted: try 'umount -l " +
                      place.string() + "' as root");
  }
}

UniqueFd mount_tree(const std::filesystem::path& path, bool allow_other) {
  const std::filesystem::path place = resolved(path);
  unmount_trees(place);
  if (const auto type = mounted_type(mountinfo(), place.native()))
    throw std::runtime_error(place.string() + " carries a file system of type " + *type +
                             R"(: name another place for the tree with "tree")");
  const UniqueFd directory = open_directory(place);
  if (!std::filesystem::is_empty(through_proc(directory)))
    throw std::runtime_error(place.string() +
                             R"( is not empty: name another place for the tree with "tree")");
  UniqueFd device = open_device();
  const std::string options = "fd=" + std::to_string(device.get()) +
                              ",rootmode=40000,user_id=" + std::to_string(::geteuid()) +
                              ",group_id=" + std::to_string(::getegid()) + ",default_permissions" +
                              (allow_other ? ",allow_other" : "");
  if (::mount("masqgate", through_proc(directory).c_str(), kMountType,
              MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME, options.c_str()) != 0)
    fail(errno, "the tree cannot be mounted on " + place.string() +
                    ": that needs CAP_SYS_ADMIN (start as root, through masqgate-mount as the "
                    "systemd unit does, or under 'unshare -Urm')" +
                    kSwitchOff);
  return device;
}

}  // namespace masqgate::proc
