// What masqgate changed on the host and what was there before: written down before each change, so
// that the host can be given back even by a later run, after a crash.
//
//   record(step) ──▶ journal on disk ──▶ the change itself …   undo(): the steps backwards
//
// A step may be written down and never happen (the run died in between); each can be undone all the
// same. Steps are about links by name: a NIC that was unplugged and came back is still that NIC.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "daemon/net/mac_address.hpp"
#include "netlink/commands.hpp"
#include "netlink/saved.hpp"

namespace masqgate::control {

// A bridge is ours by its MAC; a device without one here is ours if it is a TUN or TAP.
struct CreatedLink {
  std::string link;
  std::optional<net::MacAddress> mac;
};
struct Enslaved {
  std::string link;
  std::string before;  // name of its former master; empty for none
};
struct SetMtu {
  std::string link;
  std::uint32_t before = 0;
};
struct SetUp {
  std::string link;
  bool before = false;
};
struct SetSysctl {
  std::string path;  // below /proc/sys
  std::string before;
};
// An address or a route; `index` is what the link had when the message was written.
struct Took {
  std::string link;
  std::uint32_t index = 0;
  netlink::Saved what;
};
struct Gave {
  std::string link;
  std::uint32_t index = 0;
  netlink::Saved what;
};
using Step = std::variant<CreatedLink, Enslaved, SetMtu, SetUp, SetSysctl, Took, Gave>;

class UndoLog {
 public:
  // Reads what an earlier run left at `path`. A file that is no journal is set aside as
  // "<path>.damaged" and told of by damaged(). Throws std::system_error where it cannot be read.
  UndoLog(std::string path, netlink::Commands& commands);

  const std::vector<Step>& steps() const { return steps_; }
  // What the steps were taken for, as begin() was told.
  const std::string& purpose() const { return purpose_; }
  const std::string& damaged() const { return damaged_; }

  // Both return when the journal is on disk; throw std::system_error where it cannot be written.
  void begin(std::string purpose);
  // A step that is known already keeps what was there before it, which is still what will be given
  // back, and becomes the last: what was taken in between may need it undone first.
  void record(const std::vector<Step>& steps);
  void record(const Step& step) { record(std::vector{step}); }

  // Undoes the steps, last first, and removes the journal. What could not be given back is told in
  // a sentence each; the rest is done nevertheless.
  std::vector<std::string> undo();

 private:
  void read();
  void write() const;

  std::string path_;
  netlink::Commands& commands_;
  std::string purpose_;
  std::string damaged_;
  std::vector<Step> steps_;
};

// Gives `saved` to the link, which has another index than when it was saved. IPv6 routes wait, for
// three seconds at most, until their source address has passed duplicate address detection.
void give_patiently(netlink::Commands& commands, const netlink::Saved& saved);

}  // namespace masqgate::control
