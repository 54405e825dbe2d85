// masqgate-mount: mounts and unmounts the virtual tree for the service, with rights that the daemon
// does not have (masqgated.service; sd_notify(3), FDSTORE).
//
//   masqgate-mount start PATH   mounts the tree on PATH and leaves its descriptor with the service
//                               manager, who passes it to the daemon under the name "fuse"
//   masqgate-mount stop PATH    unmounts it, also while it is in use
//
// Works in the mount namespace of process 1: what a sandboxed unit mounts in its own, nobody else
// would see. Each start makes a new connection, for a used one cannot be begun again; whoever still
// reads the old tree gets an error.

#include <fcntl.h>
#include <sched.h>

#include <cerrno>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include "daemon/base/unique_fd.hpp"
#include "daemon/control/service_notify.hpp"
#include "daemon/proc/mount_point.hpp"

using namespace masqgate;

namespace {

constexpr const char* kName = "fuse";
constexpr auto kPatience = std::chrono::seconds{10};

void enter_mount_namespace_of_the_host() {
  const UniqueFd host{::open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC)};
  if (!host || ::setns(host.get(), CLONE_NEWNS) != 0)
    throw std::system_error(
        errno, std::generic_category(),
        "the mount namespace of process 1 cannot be entered: masqgate-mount must "
        "run as root ('+' in the unit)");
}

void start(const std::string& path) {
  const auto manager = control::ServiceNotify::from_environment();
  if (!manager.listening())
    throw std::runtime_error(
        "NOTIFY_SOCKET is not set: masqgate-mount is started by a unit with NotifyAccess=exec");
  const UniqueFd fuse = proc::mount_tree(path, true);
  manager.forget(kName);  // of an earlier run
  if (manager.keep(kName, fuse.get()) && manager.barrier(kPatience)) return;
  proc::unmount_trees(path);
  throw std::runtime_error(
      "the service manager did not take the tree: is FileDescriptorStoreMax= set?");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc == 3 ? argv[1] : "";
  if (what != "start" && what != "stop") {
    std::cerr << "usage: masqgate-mount start|stop PATH\n";
    return 2;
  }
  try {
    enter_mount_namespace_of_the_host();
    what == "start" ? start(argv[2]) : proc::unmount_trees(argv[2]);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "masqgate-mount: " << error.what() << "\n";
    return 1;
  }
}
