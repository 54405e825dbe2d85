// Unit tests of daemon/proc: paths and numbers, snapshots within limits, errors, mountinfo.

#include <doctest/doctest.h>

#include <asio/co_spawn.hpp>
#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <cerrno>
#include <string>
#include <system_error>

#include "daemon/proc/handles.hpp"
#include "daemon/proc/inodes.hpp"
#include "daemon/proc/mount_point.hpp"
#include "daemon/proc/node_text.hpp"

using namespace masqgate;
using namespace masqgate::proc;

namespace {

asio::awaitable<std::string> some_text() {
  co_return "text\n";
}
asio::awaitable<state::Json> some_json() {
  co_return state::Json{{"b", 1}, {"a", "\xff"}};
}
asio::awaitable<state::Json> echo(state::Json document) {
  co_return document;
}

// What a coroutine answers, or the errno of what it throws.
template <typename T, typename Work>
T finish(Work work, int& error) {
  asio::io_context loop;
  T result{};
  asio::co_spawn(loop, std::move(work), [&](std::exception_ptr failure, T answer) {
    if (failure) error = errno_of(failure);
    result = std::move(answer);
  });
  loop.run();
  return result;
}

int errno_of_write(const state::Node& node, std::string text) {
  asio::io_context loop;
  int error = 0;
  asio::co_spawn(loop, write_text(node, std::move(text)), [&](std::exception_ptr failure) {
    if (failure) error = errno_of(failure);
  });
  loop.run();
  return error;
}

}  // namespace

TEST_CASE("inodes: one path is one number, and only what the tree has gets one") {
  state::Tree tree;
  tree.add("net/tcp", {.summary = "", .read_text = some_text});
  tree.add("top", {.summary = "", .read_text = some_text});
  Inodes inodes{tree};
  const Inode net = inodes.find(kRootInode, "net");
  const Inode tcp = inodes.find(net, "tcp");
  CHECK(net != 0);
  CHECK(inodes.find(net, "tcp") == tcp);
  CHECK(*inodes.path(tcp) == "net/tcp");
  CHECK(inodes.node(tcp) == tree.find("net/tcp"));
  CHECK(inodes.node(net) == nullptr);
  CHECK(inodes.path(0) == nullptr);
  CHECK(inodes.path(99) == nullptr);
  for (const char* name : {"", ".", "..", "/", "net/tcp", "net/", "ne", "tcp2"}) {
    CAPTURE(name);
    CHECK((std::string{name} == "net/tcp" || inodes.find(kRootInode, name) == 0));
  }
  CHECK(inodes.find(tcp, "below") == 0);
  CHECK(inodes.find(99, "top") == 0);
}

TEST_CASE("inodes: modes say what a node offers") {
  const auto text = some_text;
  const auto read = [](state::Query) { return some_json(); };
  const auto write_text = [](std::string) -> asio::awaitable<void> { co_return; };
  const auto write = [](state::Json document, state::Query) { return echo(document); };
  state::Tree tree;
  tree.add("text", {.summary = "", .read_text = text});
  tree.add("both", {.summary = "", .read_text = text, .write_text = write_text});
  tree.add("document", {.summary = "", .read = read, .write = write});
  tree.add("versioned",
           {.summary = "", .read = read, .write = write, .version = [] { return "1"; }});
  tree.add("trigger", {.summary = "", .write_text = write_text});
  tree.add("nothing", {.summary = ""});
  Inodes inodes{tree};
  const auto mode = [&](const char* name) {
    return inodes.status(inodes.find(kRootInode, name)).st_mode;
  };
  CHECK(mode("text") == (S_IFREG | 0444));
  CHECK(mode("both") == (S_IFREG | 0644));
  CHECK(mode("document") == (S_IFREG | 0644));
  CHECK(mode("versioned") == (S_IFREG | 0444));
  CHECK(mode("trigger") == (S_IFREG | 0200));
  CHECK(mode("nothing") == S_IFREG);
  CHECK(inodes.status(kRootInode).st_mode == (S_IFDIR | 0555));
}

TEST_CASE(
    "handles: snapshots are bounded in number and in memory, and what is refused is counted") {
  Counters counters;
  const Limits limits{.handles = 2, .snapshot_bytes = 10};
  Handles handles{limits, counters};
  const auto one = handles.open();
  const auto two = handles.open();
  CHECK(handles.open() == 0);
  CHECK(counters.refused_handles == 1);
  CHECK(handles.fill(one, "0123456"));
  CHECK_FALSE(handles.fill(two, "0123"));
  CHECK(counters.refused_memory == 1);
  CHECK(handles.fill(two, "012"));
  CHECK(handles.bytes() == 10);
  handles.close(one);
  CHECK(handles.bytes() == 3);
  CHECK_FALSE(handles.fill(one, ""));
  handles.close(one);
  CHECK(handles.size() == 1);
  CHECK(handles.open() != one);
}

TEST_CASE("handles: reading stops at the end of the snapshot") {
  Counters counters;
  const Limits limits;
  Handles handles{limits, counters};
  const auto id = handles.open();
  CHECK(handles.read(id, 0, 10).empty());
  handles.fill(id, "0123456789");
  CHECK(handles.read(id, 0, 4) == "0123");
  CHECK(handles.read(id, 8, 4) == "89");
  CHECK(handles.read(id, 10, 4).empty());
  CHECK(handles.read(id, ~std::uint64_t{0}, 4).empty());
  CHECK(handles.read(id + 1, 0, 4).empty());
}

TEST_CASE("node text: exact text first, else the document with an end of line") {
  int error = 0;
  const auto read = [](state::Query) { return some_json(); };
  const state::Node text{.summary = "", .read = read, .read_text = some_text};
  CHECK(finish<std::string>(read_text(text), error) == "text\n");
  const state::Node document{.summary = "", .read = read};
  CHECK(finish<std::string>(read_text(document), error) ==
        "{\n  \"b\": 1,\n  \"a\": \"\xef\xbf\xbd\"\n}\n");
  CHECK(error == 0);
  finish<std::string>(read_text(state::Node{.summary = ""}), error);
  CHECK(error == EACCES);
}

TEST_CASE("node text: a document is parsed before the node sees it") {
  const state::Node node{
      .summary = "", .write = [](state::Json document, state::Query) { return echo(document); }};
  CHECK(errno_of_write(node, "{\"a\": 1} // fine\n") == 0);
  CHECK(errno_of_write(node, "{\"a\": ") == EINVAL);
  CHECK(errno_of_write(node, "") == EINVAL);
  CHECK(errno_of_write(state::Node{.summary = ""}, "1") == EACCES);
}

TEST_CASE("errors: every problem has its errno") {
  using state::Problem;
  struct Case {
    Problem problem;
    int error;
  };
  for (const Case& c : {Case{Problem::not_found, ENOENT}, Case{Problem::not_offered, EACCES},
                        Case{Problem::invalid, EINVAL}, Case{Problem::malformed, EINVAL},
                        Case{Problem::conflict, EBUSY}, Case{Problem::stale, EAGAIN},
                        Case{Problem::unavailable, EAGAIN}}) {
    const auto thrown = std::make_exception_ptr(state::Error{c.problem, "x"});
    CHECK(errno_of(thrown) == c.error);
    CHECK(message_of(thrown) == "x");
  }
  CHECK(errno_of(std::make_exception_ptr(std::runtime_error("x"))) == EIO);
  CHECK(errno_of(std::make_exception_ptr(std::bad_alloc{})) == ENOMEM);
  CHECK(errno_of(std::make_exception_ptr(
            std::system_error(std::make_error_code(std::errc::operation_canceled)))) == EINTR);
  CHECK(errno_of(std::make_exception_ptr(std::system_error(
            asio::error::make_error_code(asio::error::operation_aborted)))) == EINTR);
  CHECK(errno_of(std::make_exception_ptr(7)) == EIO);
}

TEST_CASE("mountinfo: the newest mount of a path counts") {
  const std::string text =
      "29 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
      "30 29 0:26 / /run rw,nosuid shared:12 - tmpfs tmpfs rw\n"
      "31 30 0:40 / /run/a\\040b/tree rw shared:2 master:7 - tmpfs none rw\n"
      "32 31 0:41 / /run/a\\040b/tree rw - fuse.masqgate masqgate rw,user_id=0\n"
      "33 30 0:42 / /run/cut rw\n";
  CHECK(mounted_type(text, "/run/a b/tree") == "fuse.masqgate");
  CHECK(mounted_type(text, "/run") == "tmpfs");
  CHECK_FALSE(mounted_type(text, "/run/a b"));
  CHECK_FALSE(mounted_type(text, "/run/cut"));
  CHECK_FALSE(mounted_type("", "/run"));
  for (std::size_t size = 0; size < text.size(); ++size)  // cut anywhere, it only finds less
    CHECK((mounted_type(text.substr(0, size), "/run/a b/tree").value_or("").size() <= 13));
}
