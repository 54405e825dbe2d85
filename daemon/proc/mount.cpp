#include "daemon/proc/mount.hpp"

#include "daemon/base/log.hpp"
#include "daemon/proc/mount_point.hpp"
#include "daemon/proc/session.hpp"

namespace masqgate::proc {

Mount::Mount(asio::io_context& loop, const state::Tree& tree, Options options)
    : options_{std::move(options)},
      session_{std::make_shared<Session>(loop, tree, options_.limits)} {}

Mount::~Mount() {
  stop();
}

void Mount::start() {
  if (options_.fuse_fd) {
    session_->start(std::move(options_.fuse_fd));
    return;
  }
  UniqueFd fuse = mount_tree(options_.path, options_.allow_other);
  mounted_ = true;
  session_->start(std::move(fuse));
}

void Mount::stop() noexcept {
  try {
    if (mounted_) unmount_trees(options_.path);
  } catch (const std::exception& error) {
    log::warning("the tree stays mounted", {{"ERROR", error.what()}});
  }
  mounted_ = false;
  session_->stop();
}

const Counters& Mount::counters() const {
  return session_->counters();
}
std::size_t Mount::open_files() const {
  return session_->handles().size();
}
std::size_t Mount::snapshot_bytes() const {
  return session_->handles().bytes();
}

}  // namespace masqgate::proc
