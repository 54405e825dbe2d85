#include "daemon/control/publish_sysctl.hpp"

#include "daemon/control/sysctl.hpp"

namespace masqgate::control {
namespace {

using File = std::shared_ptr<const SysctlFile>;

asio::awaitable<std::string> read(Router& router, File file) {
  if (file->live == SysctlFile::Live::no)
    co_return std::to_string(file->read(router.config())) + "\n";
  const auto question = [what = file->live](path::Shard& shard) {
    const conntrack::Table& table = shard.connections();
    return what == SysctlFile::Live::buckets ? table.buckets() : table.size();
  };
  const std::size_t value = co_await router.shard().ask(question);
  co_return std::to_string(value) + "\n";
}

// A number is a member of the configuration: it is changed as any other.
asio::awaitable<void> write(Router& router, File file, std::string text) {
  const std::uint64_t value = parse_sysctl(*file, text);
  Config next = router.config();
  file->write(next, value);
  router.apply(std::move(next));
  co_await in_force(router.shard());
}

}  // namespace

void publish_sysctl(state::Tree& tree, Router& router) {
  for (SysctlFile& one : sysctl_files()) {
    const auto file = std::make_shared<const SysctlFile>(std::move(one));
    state::Node node{.summary = file->summary,
                     .read_text = [&router, file] { return read(router, file); }};
    if (file->write)
      node.write_text = [&router, file](std::string text) {
        return write(router, file, std::move(text));
      };
    tree.add(file->path, std::move(node));
  }
}

}  // namespace masqgate::control
