#include "daemon/control/undo.hpp"

#include <fcntl.h>
#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <thread>

#include "daemon/base/unique_fd.hpp"
#include "daemon/control/undo_json.hpp"
#include "netlink/dump.hpp"

namespace masqgate::control {
namespace {

using netlink::CommandError;
using netlink::Commands;
using netlink::Link;

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

void write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("cannot write " + path);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

void sync(int fd, const std::string& path) {
  if (::fsync(fd) != 0) fail("cannot write " + path + " to disk");
}

// The old file or the new one is there whatever happens, never a part of one.
void replace_file(const std::string& path, std::string_view text) {
  const std::string fresh = path + ".new";
  const UniqueFd file{::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
  if (!file) fail("cannot write " + fresh);
  write_all(file.get(), text, fresh);
  sync(file.get(), fresh);
  if (::rename(fresh.c_str(), path.c_str()) != 0) fail("cannot replace " + path);
  const auto parent = std::filesystem::path{path}.parent_path().string();
  const UniqueFd folder{
      ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (folder) sync(folder.get(), parent);
}

// Two steps are the same if the second would only write down again what the first did.
struct SameAs {
  const Step& other;

  bool operator()(const CreatedLink& step) const { return same(step.link, &CreatedLink::link); }
  bool operator()(const Enslaved& step) const { return same(step.link, &Enslaved::link); }
  bool operator()(const SetMtu& step) const { return same(step.link, &SetMtu::link); }
  bool operator()(const SetUp& step) const { return same(step.link, &SetUp::link); }
  bool operator()(const SetSysctl& step) const { return same(step.path, &SetSysctl::path); }
  bool operator()(const Took& step) const { return same_message(step); }
  bool operator()(const Gave& step) const { return same_message(step); }

 private:
  template <typename Other>
  bool same(const std::string& name, std::string Other::*of) const {
    const auto* found = std::get_if<Other>(&other);
    return found != nullptr && found->*of == name;
  }
  template <typename Other>
  bool same_message(const Other& step) const {
    const auto* found = std::get_if<Other>(&other);
    return found != nullptr && found->link == step.link && found->what.hex() == step.what.hex();
  }
};

// Undoes one step; throws CommandError. What vanished together with its link needs no undoing.
class Undoing {
 public:
  explicit Undoing(Commands& commands) : commands_{commands} {}

  void operator()(const CreatedLink& step) const {
    const auto link = netlink::find_link(step.link);
    if (!link) return;
    if (step.mac ? link->mac != step.mac : link->kind != "tun")
      throw CommandError("left " + step.link + " alone: it is not what masqgate made", EEXIST);
    commands_.delete_link(step.link);
  }

  void operator()(const Enslaved& step) const {
    const auto link = netlink::find_link(step.link);
    if (!link) return;
    if (step.before.empty() && link->master != 0) commands_.clear_master(step.link);
    if (!step.before.empty()) commands_.set_master(step.link, step.before);
  }

  void operator()(const SetMtu& step) const {
    if (is_there(step.link)) commands_.set_mtu(step.link, step.before);
  }

  void operator()(const SetUp& step) const {
    if (is_there(step.link)) commands_.set_up(step.link, step.before);
  }

  void operator()(const SetSysctl& step) const {
    if (netlink::read_sysctl(step.path)) commands_.write_sysctl(step.path, step.before);
  }

  void operator()(const Took& step) const {
    const unsigned index = if_nametoindex(step.link.c_str());
    if (index == 0)
      throw CommandError(step.link + " is gone: it did not get " + step.what.text() + " back",
                         ENODEV);
    give_patiently(commands_, step.what.moved(step.index, index));
  }

  void operator()(const Gave& step) const {
    const unsigned index = if_nametoindex(step.link.c_str());
    if (index != 0) commands_.take(step.what.moved(step.index, index));
  }

 private:
  static bool is_there(const std::string& link) { return if_nametoindex(link.c_str()) != 0; }

  Commands& commands_;
};

bool is_being_detected(const net::IpAddress& address) {
  const auto all = netlink::fetch<netlink::Address>(netlink::List::addresses);
  return std::any_of(all.begin(), all.end(), [&](const netlink::Address& one) {
    return one.address.address == address && one.tentative;
  });
}

}  // namespace

void give_patiently(Commands& commands, const netlink::Saved& saved) {
  const auto* route = std::get_if<netlink::Route>(&saved.event());
  const bool has_source = route != nullptr && route->preferred_source && !saved.is_v4();
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds{3};
  while (has_source && is_being_detected(*route->preferred_source) &&
         std::chrono::steady_clock::now() < patience)
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
  commands.give(saved);
}

UndoLog::UndoLog(std::string path, Commands& commands)
    : path_{std::move(path)}, commands_{commands} {
  read();
}

void UndoLog::read() {
  std::ifstream file{path_, std::ios::binary};
  if (!file) {
    if (errno == ENOENT) return;
    fail("cannot read " + path_);
  }
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  try {
    Journal journal = parse_journal(text);
    purpose_ = std::move(journal.purpose);
    steps_ = std::move(journal.steps);
  } catch (const std::exception& problem) {
    const std::string aside = path_ + ".damaged";
    damaged_ = path_ + " is no undo journal (" + problem.what() + "): kept as " + aside +
               "; what an earlier run changed is not given back";
    if (std::rename(path_.c_str(), aside.c_str()) != 0) fail("cannot rename " + path_);
  }
}

void UndoLog::write() const {
  replace_file(path_, to_text({purpose_, steps_}));
}

void UndoLog::begin(std::string purpose) {
  purpose_ = std::move(purpose);
  write();
}

void UndoLog::record(const std::vector<Step>& steps) {
  for (const Step& step : steps) {
    const auto known = std::find_if(steps_.begin(), steps_.end(),
                                    [&](const Step& old) { return std::visit(SameAs{old}, step); });
    if (known == steps_.end())
      steps_.push_back(step);
    else
      std::rotate(known, known + 1, steps_.end());
  }
  if (!steps.empty()) write();
}

std::vector<std::string> UndoLog::undo() {
  std::vector<std::string> complaints;
  for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
    try {
      std::visit(Undoing{commands_}, *step);
    } catch (const std::runtime_error& problem) {
      complaints.emplace_back(problem.what());
    }
  }
  steps_.clear();
  purpose_.clear();
  if (::unlink(path_.c_str()) != 0 && errno != ENOENT)
    complaints.push_back("cannot remove " + path_);
  return complaints;
}

}  // namespace masqgate::control
