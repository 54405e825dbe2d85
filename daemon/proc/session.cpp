#include "daemon/proc/session.hpp"

#include <fcntl.h>

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/post.hpp>
#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include "daemon/base/log.hpp"
#include "daemon/proc/node_text.hpp"

namespace masqgate::proc {
namespace {

constexpr double kKnownFor = 1.0;          // seconds the kernel may remember names and modes
constexpr int kRequestsPerTurn = 16;       // then other work of the control thread has its turn
constexpr unsigned kMaxWrite = 128 << 10;  // above Limits::write_bytes, see there

Session& session_of(fuse_req_t request) {
  return *static_cast<Session*>(fuse_req_userdata(request));
}

// Splicing makes a pipe per thread for nothing: our texts are in memory.
void on_init(void*, fuse_conn_info* connection) {
  connection->want &=
      ~static_cast<unsigned>(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
  connection->max_write = kMaxWrite;
}

// libfuse calls C functions; each finds its session and goes on there. What is not listed is
// answered with ENOSYS by libfuse: nothing can be made, removed, renamed or linked here.
fuse_lowlevel_ops operations() {
  fuse_lowlevel_ops ops{};
  ops.init = on_init;
  ops.lookup = [](fuse_req_t request, fuse_ino_t folder, const char* name) {
    session_of(request).lookup(request, folder, name);
  };
  ops.getattr = [](fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
    session_of(request).get_attributes(request, inode);
  };
  ops.setattr = [](fuse_req_t request, fuse_ino_t inode, struct stat*, int which, fuse_file_info*) {
    session_of(request).set_attributes(request, inode, which);
  };
  ops.readdir = [](fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset,
                   fuse_file_info*) { session_of(request).list(request, inode, size, offset); };
  ops.open = [](fuse_req_t request, fuse_ino_t inode, fuse_file_info* file) {
    session_of(request).open(request, inode, *file);
  };
  ops.read = [](fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset,
                fuse_file_info* file) { session_of(request).read(request, size, offset, *file); };
  ops.write = [](fuse_req_t request, fuse_ino_t inode, const char* bytes, std::size_t size,
                 off_t offset, fuse_file_info* file) {
    session_of(request).write(request, inode, std::string{bytes, size}, offset, *file);
  };
  ops.release = [](fuse_req_t request, fuse_ino_t, fuse_file_info* file) {
    session_of(request).release(request, *file);
  };
  return ops;
}

asio::awaitable<std::string> text_after_writing(const state::Node& node, std::string text) {
  co_await write_text(node, std::move(text));
  co_return std::string{};
}

void log_write(fuse_req_t request, const std::string& path) {
  const fuse_ctx* who = fuse_req_ctx(request);
  log::notice(
      "the tree was written",
      {{"NODE", path}, {"BY_UID", std::to_string(who->uid)}, {"BY_PID", std::to_string(who->pid)}});
}

}  // namespace

Session::Session(asio::io_context& loop, const state::Tree& tree, const Limits& limits)
    : loop_{loop},
      tree_{tree},
      limits_{limits},
      inodes_{tree},
      handles_{limits_, counters_},
      descriptor_{loop} {}

Session::~Session() {
  stop();
  std::free(buffer_.mem);  // libfuse's malloc()
}

void Session::start(UniqueFd fuse) {
  const fuse_lowlevel_ops ops = operations();
  char name[] = "masqgate";
  char* argv[] = {name, nullptr};
  fuse_args arguments{1, argv, 0};
  fuse_ = fuse_session_new(&arguments, &ops, sizeof ops, this);
  fuse_opt_free_args(&arguments);  // libfuse has put its own there
  if (fuse_ == nullptr) throw std::runtime_error("libfuse made no session for the tree");
  const std::string mounted = "/dev/fd/" + std::to_string(fuse.get());
  if (::fcntl(fuse.get(), F_SETFL, O_NONBLOCK) != 0 ||
      fuse_session_mount(fuse_, mounted.c_str()) != 0) {
    fuse_session_destroy(std::exchange(fuse_, nullptr));
    throw std::runtime_error("libfuse does not take the mounted tree at " + mounted);
  }
  descriptor_.assign(fuse.release());  // fuse_session_destroy() closes it
  wait();
}

void Session::stop() noexcept {
  if (fuse_ == nullptr) return;
  while (!underway_.empty()) refuse(*underway_.begin(), ENOTCONN);
  descriptor_.release();
  fuse_session_destroy(std::exchange(fuse_, nullptr));
  handles_.clear();  // nobody will release them
}

void Session::wait() {
  descriptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                         [self = weak_from_this()](const asio::error_code& error) {
                           const auto session = self.lock();
                           if (session && session->fuse_ != nullptr && !error) session->drain();
                         });
}

void Session::drain() {
  for (int turn = 0; turn < kRequestsPerTurn; ++turn) {
    const int got = fuse_session_receive_buf(fuse_, &buffer_);
    if (got == -EINTR) continue;
    if (got == -EAGAIN) break;
    if (got <= 0) {
      log::warning("the tree is gone: it was unmounted by somebody else");
      stop();
      return;
    }
    fuse_session_process_buf(fuse_, &buffer_);
  }
  wait();
}

void Session::run(fuse_req_t request, asio::awaitable<std::string> work, Answer answer,
                  std::function<void()> given_up) {
  if (running_ >= limits_.running) {
    ++counters_.refused_running;
    given_up();
    fuse_reply_err(request, EAGAIN);
    return;
  }
  const auto underway = std::make_shared<Underway>();
  underway->request = request;
  underway->session = weak_from_this();
  underway_.insert(underway);
  ++running_;
  fuse_req_interrupt_func(request, &Session::interrupted, underway.get());
  asio::co_spawn(loop_, std::move(work),
                 [self = weak_from_this(), underway, answer = std::move(answer),
                  given_up = std::move(given_up)](std::exception_ptr failure, std::string result) {
                   const auto session = self.lock();
                   if (!session) return;
                   --session->running_;
                   if (underway->request == nullptr) {
                     given_up();
                   } else if (failure) {
                     ++session->counters_.failed;
                     if (errno_of(failure) == EIO)
                       log::error("a node of the tree broke", {{"ERROR", message_of(failure)}});
                     given_up();
                     session->refuse(underway, errno_of(failure));
                   } else {
                     session->underway_.erase(underway);
                     answer(std::exchange(underway->request, nullptr), std::move(result));
                   }
                 });
}

void Session::refuse(const std::shared_ptr<Underway>& underway, int error) {
  const std::shared_ptr<Underway> kept = underway;  // it may be the one in the set
  underway_.erase(kept);
  if (kept->request != nullptr) fuse_reply_err(std::exchange(kept->request, nullptr), error);
}

// Called in the middle of libfuse's own bookkeeping: answered a moment later.
void Session::interrupted(fuse_req_t, void* data) {
  const auto underway = static_cast<Underway*>(data)->shared_from_this();
  const auto session = underway->session.lock();
  if (!session) return;
  asio::post(session->loop_, [underway, session] {
    if (underway->request == nullptr) return;
    ++session->counters_.interrupted;
    session->refuse(underway, EINTR);
  });
}

void Session::lookup(fuse_req_t request, fuse_ino_t folder, const char* name) {
  const Inode inode = inodes_.find(folder, name);
  if (inode == 0) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  fuse_entry_param entry{};
  entry.ino = inode;
  entry.attr = inodes_.status(inode);
  entry.attr_timeout = entry.entry_timeout = kKnownFor;
  fuse_reply_entry(request, &entry);
}

void Session::get_attributes(fuse_req_t request, fuse_ino_t inode) {
  const struct stat status = inodes_.status(inode);
  fuse_reply_attr(request, &status, kKnownFor);
}

// O_TRUNC and touch(1) change nothing and are fine, as in /proc/sys; chmod and chown are not.
void Session::set_attributes(fuse_req_t request, fuse_ino_t inode, int which) {
  if ((which & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) != 0)
    fuse_reply_err(request, EPERM);
  else
    get_attributes(request, inode);
}

void Session::list(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset) {
  const std::string* path = inodes_.path(inode);
  if (path == nullptr || inodes_.node(inode) != nullptr) {
    fuse_reply_err(request, ENOTDIR);
    return;
  }
  std::vector<std::string> names = tree_.list(*path);
  names.insert(names.begin(), {".", ".."});
  std::string bytes;
  for (auto at = static_cast<std::size_t>(offset); at < names.size(); ++at) {
    struct stat status {};
    const Inode child = at < 2 ? inode : inodes_.find(inode, names[at]);
    status.st_ino = child;
    status.st_mode = inodes_.status(child).st_mode;
    const std::size_t before = bytes.size();
    const std::size_t needed =
        fuse_add_direntry(request, nullptr, 0, names[at].c_str(), nullptr, 0);
    if (before + needed > size) break;
    bytes.resize(before + needed);
    fuse_add_direntry(request, bytes.data() + before, needed, names[at].c_str(), &status,
                      static_cast<off_t>(at + 1));
  }
  fuse_reply_buf(request, bytes.data(), bytes.size());
}

void Session::open(fuse_req_t request, fuse_ino_t inode, fuse_file_info file) {
  const state::Node* node = inodes_.node(inode);
  const int access = file.flags & O_ACCMODE;
  if (node == nullptr || (access != O_WRONLY && !readable(*node)) ||
      (access != O_RDONLY && !writable(*node))) {
    fuse_reply_err(request, node == nullptr ? EISDIR : EACCES);
    return;
  }
  const Handles::Id id = handles_.open();
  if (id == 0) {
    fuse_reply_err(request, ENFILE);
    return;
  }
  ++counters_.opened;
  file.fh = id;
  file.direct_io = 1;
  const auto opened = [this, id, file](fuse_req_t answered, std::string text) {
    if (!handles_.fill(id, std::move(text))) {
      handles_.close(id);
      fuse_reply_err(answered, ENOMEM);
    } else if (fuse_reply_open(answered, &file) != 0) {
      handles_.close(id);  // interrupted: the kernel will not release it
    }
  };
  if (access == O_WRONLY)
    opened(request, {});
  else
    run(request, read_text(*node), opened, [this, id] { handles_.close(id); });
}

void Session::read(fuse_req_t request, std::size_t size, off_t offset, const fuse_file_info& file) {
  const std::string_view part =
      handles_.read(file.fh, static_cast<std::uint64_t>(std::max<off_t>(offset, 0)), size);
  fuse_reply_buf(request, part.data(), part.size());
}

// Each write(2) is one whole value. A file opened for appending is at its end wherever that is.
void Session::write(fuse_req_t request, fuse_ino_t inode, std::string text, off_t offset,
                    const fuse_file_info& file) {
  const state::Node* node = inodes_.node(inode);
  const bool appending = (file.flags & O_APPEND) != 0;
  int error = 0;
  if (node == nullptr || !writable(*node)) {
    error = EACCES;
  } else if (text.size() > limits_.write_bytes) {
    ++counters_.refused_size;
    error = EFBIG;
  } else if (offset != 0 && !appending) {
    error = EINVAL;
  }
  if (error != 0) {
    fuse_reply_err(request, error);
    return;
  }
  log_write(request, *inodes_.path(inode));
  const std::size_t size = text.size();
  run(
      request, text_after_writing(*node, std::move(text)),
      [this, size](fuse_req_t answered, const std::string&) {
        ++counters_.written;
        fuse_reply_write(answered, size);
      },
      [] {});
}

void Session::release(fuse_req_t request, const fuse_file_info& file) {
  handles_.close(file.fh);
  fuse_reply_err(request, 0);
}

}  // namespace masqgate::proc
