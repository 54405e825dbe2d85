// The virtual tree: the state tree as files, like /proc. cat reads a node, echo writes it.
//
// Theory of operation. The kernel sends every open, read and write below the mount point as a
// request through one descriptor of /dev/fuse (fuse(4)); the control thread answers them between
// its other work, on the same Asio loop, without a thread of its own.
//
// - open(2) asks the node once and keeps the answer (Handles): all reads of this open file see the
//   same moment. Other requests go on while a node takes its time.
// - read(2) takes bytes of that answer. Files say size 0 and are read until their end, as in /proc.
// - write(2) from offset 0 hands its bytes to the node at once, as /proc/sys does; what the node
//   refuses is refused by write(2) itself, so that the shell prints it.
//
// Nobody outside can hold up the daemon: everything is bounded (Limits), a reader who stops reading
// holds nothing but his snapshot. The daemon itself must never look into its own mount: it would
// wait for itself.

#pragma once

#include <asio/io_context.hpp>
#include <filesystem>
#include <memory>

#include "daemon/base/unique_fd.hpp"
#include "daemon/proc/handles.hpp"
#include "daemon/state/tree.hpp"

namespace masqgate::proc {

struct Options {
  std::filesystem::path path;  // the mount point; made if missing
  bool allow_other = false;    // users other than ours may enter; modes and owners are checked
  // An already mounted connection (from the service manager, where masqgate-mount has put it). With
  // it nothing is mounted or unmounted here and path is only for messages.
  UniqueFd fuse_fd{};
  Limits limits{};
};

class Session;

class Mount {
 public:
  // The loop and the tree must outlive this. Nothing happens before start().
  Mount(asio::io_context& loop, const state::Tree& tree, Options options);
  ~Mount();  // as stop()
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;

  // Mounts, taking dead mounts of an earlier run away, and answers from now on. Throws
  // std::system_error or std::runtime_error with a text that says what to do.
  void start();
  // Unmounts, also while files are open, and answers whoever still waits with an error. Never
  // throws and never waits. Fine when not started.
  void stop() noexcept;

  const Counters& counters() const;
  std::size_t open_files() const;
  std::size_t snapshot_bytes() const;

 private:
  Options options_;
  std::shared_ptr<Session> session_;
  bool mounted_ = false;  // by us
};

}  // namespace masqgate::proc
