// One FUSE connection: takes requests of the kernel off the descriptor and answers them (fuse(4),
// libfuse's low-level interface).
//
// A request that needs a node is "underway" until it is answered: by the node's coroutine, by an
// interrupt of the process that asked, or by stop(). Whoever comes second finds it answered; the
// coroutine may then still run, and counts against Limits::running until it ends.

#pragma once

#include <fuse3/fuse_lowlevel.h>

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>

#include "daemon/base/unique_fd.hpp"
#include "daemon/proc/handles.hpp"
#include "daemon/proc/inodes.hpp"
#include "daemon/state/tree.hpp"

namespace masqgate::proc {

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(asio::io_context& loop, const state::Tree& tree, const Limits& limits);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Takes over a connection on which nobody has answered yet. Throws std::runtime_error.
  void start(UniqueFd fuse);
  // Answers whoever waits and closes the connection: open files are dead from now on.
  void stop() noexcept;

  const Counters& counters() const { return counters_; }
  const Handles& handles() const { return handles_; }

  // The requests of the kernel, one function each; they answer through fuse_reply_*().
  void lookup(fuse_req_t request, fuse_ino_t folder, const char* name);
  void get_attributes(fuse_req_t request, fuse_ino_t inode);
  void set_attributes(fuse_req_t request, fuse_ino_t inode, int which);
  void list(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset);
  void open(fuse_req_t request, fuse_ino_t inode, fuse_file_info file);
  void read(fuse_req_t request, std::size_t size, off_t offset, const fuse_file_info& file);
  void write(fuse_req_t request, fuse_ino_t inode, std::string text, off_t offset,
             const fuse_file_info& file);
  void release(fuse_req_t request, const fuse_file_info& file);

 private:
  struct Underway : std::enable_shared_from_this<Underway> {
    fuse_req_t request;  // null: answered
    std::weak_ptr<Session> session;
  };
  using Answer = std::function<void(fuse_req_t, std::string)>;

  void wait();
  void drain();
  // Runs the work and hands its result to answer(), or answers with the errno of its failure and
  // calls given_up() instead.
  void run(fuse_req_t request, asio::awaitable<std::string> work, Answer answer,
           std::function<void()> given_up);
  void refuse(const std::shared_ptr<Underway>& underway, int error);
  static void interrupted(fuse_req_t request, void* underway);

  asio::io_context& loop_;
  const state::Tree& tree_;
  const Limits limits_;
  Counters counters_;
  Inodes inodes_;
  Handles handles_;
  asio::posix::stream_descriptor descriptor_;  // the session's own descriptor, only to wait on it
  fuse_session* fuse_ = nullptr;
  fuse_buf buffer_{};
  std::size_t running_ = 0;
  std::unordered_set<std::shared_ptr<Underway>> underway_;
};

}  // namespace masqgate::proc
