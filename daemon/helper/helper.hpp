// A Helper: one protocol that speaks of addresses and ports inside its text, as one constant.
//
// It sees a Context and nothing else: one message, the two ends as both sides know them, a few
// words of memory, and three things that it may do: announce() an endpoint that the speaker listens
// on, replace() a part of the message, refuse() what it will not help with. Whether an announcement
// opens a hole is not the helper's to decide: the same rules hold for all (helpers.hpp).
//
//   bytes of a connection ──measure()──▶ messages ──parse()──▶ announce, replace, refuse, stop

#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "daemon/base/clock.hpp"
#include "daemon/packet/tuple.hpp"
#include "daemon/wire/bytes.hpp"

namespace masqgate::helper {

// Why nothing was opened or changed. Counted for each helper, and shown.
enum class Refusal : std::uint8_t {
  foreign,      // what was said first, or since, is not this protocol: inspection has ended (K-01)
  wrong_side,   // a command from who answers, or an answer that nobody asked for (K-09, K-11)
  malformed,    // the command, but not its words
  third_host,   // an address that is not the speaker's own (K-02, K-08)
  low_port,     // a port below 1024 (K-03)
  denied_port,  // a port that the configuration denies (K-03)
  line_too_long,  // (K-10)
  too_many,       // the connection has as many expectations as it may
  no_endpoint,    // no outside port is free
  no_room,        // a table is full
  unseen,         // bytes have passed that nobody here has seen
  pending,        // another host's is waited for, and nobody could tell the two apart
  count_,
};
inline constexpr std::size_t kRefusals = static_cast<std::size_t>(Refusal::count_);
std::string_view name(Refusal refusal);

// Words that a helper keeps for a connection; all zero at its beginning. What they mean is the
// helper's own.
using Memory = std::array<std::uint32_t, 6>;

struct Helper;

// What the speaker has said that it waits for.
struct Announcement {
  net::Protocol protocol = net::Protocol::tcp;
  // As the speaker wrote it. Of GRE the port is a call id; of ESP it is 0, for any index may come.
  net::Endpoint own;
  bool from_anybody = false;  // else from the peer's address only
  bool is_of_call = false;    // from anybody where the configuration says so (K-04)
  net::Port from_port = 0;    // 0: any
  bool is_pair = false;       // the next port too, as RTCP stands beside RTP (RFC 3550 11)
  bool keeps_port = false;    // nobody can be told another one
  bool is_listed = false;     // somebody else's, and public: the peer may go there, nobody comes
  const Helper* child = nullptr;  // looks at the connection that comes
  Duration life{};                // 0: the helper's timeout
};

// Who does what the helper says. The real one is in helpers.cpp, another one in the tests.
class Effects {
 public:
  virtual std::optional<net::Endpoint> announce(const Announcement& what) noexcept = 0;
  virtual std::optional<net::Endpoint> announced(net::Port shown, bool is_own) noexcept = 0;
  virtual bool has_child() noexcept = 0;
  virtual void refuse(Refusal why) noexcept = 0;
  virtual void hold() noexcept = 0;
  virtual void stop() noexcept = 0;

 protected:
  ~Effects() = default;
};

class Context {
 public:
  static constexpr std::size_t kMostText = 2304;  // of a message, also after replace()

  // room: where a changed message is put together; at least kMostText bytes.
  Context(wire::Bytes message, bool from_client, const Tuple& sent, const Tuple& received,
          Memory& memory, Effects& effects, wire::MutableBytes room)
      : message_{message},
        from_client_{from_client},
        sent_{sent},
        received_{received},
        memory_{memory},
        effects_{effects},
        room_{room} {}

  wire::Bytes message() const { return message_; }
  bool from_client() const { return from_client_; }  // who opened the connection
  // The speaker's packet as he sends it, and as his peer receives it.
  const Tuple& sent() const { return sent_; }
  const Tuple& received() const { return received_; }
  Memory& memory() { return memory_; }

  // Makes an expectation. Answers with the endpoint that the peer must be told instead, which may
  // be the same; empty if it was refused.
  std::optional<net::Endpoint> announce(const Announcement& what) {
    return effects_.announce(what);
  }
  // What this connection has announced: by the port that the peer was told (is_own: by the
  // speaker's own one), the other of the two.
  std::optional<net::Endpoint> announced(net::Port port, bool is_own) {
    return effects_.announced(port, is_own);
  }
  // Changes a part of the message: offset and size as in message(), one after the other from its
  // beginning on. False, and nothing happens, where the result would be too long.
  bool replace(std::size_t offset, std::size_t size, std::string_view text);
  void refuse(Refusal why) { effects_.refuse(why); }
  // Whether one of the last connections that this one has announced is there. Of helpers that bind.
  bool has_child() { return effects_.has_child(); }
  // A datagram that must not go on now: its sender will send another.
  void hold() { effects_.hold(); }
  // Nothing more of this connection is looked at, in either direction.
  void stop() { effects_.stop(); }

  // The message with its changes; empty if there are none.
  std::optional<wire::Bytes> changed() const {
    if (!is_changed_) return std::nullopt;
    return wire::Bytes{room_}.first(size_);
  }

 private:
  wire::Bytes message_;
  bool from_client_;
  const Tuple& sent_;
  const Tuple& received_;
  Memory& memory_;
  Effects& effects_;
  wire::MutableBytes room_;
  bool is_changed_ = false;
  std::size_t size_ = 0;   // of the text so far, with the rest of the message behind it
  std::size_t shift_ = 0;  // what was replaced has grown by so much, modulo 2^64
};

// How much of a connection's bytes is the next message.
struct Measure {
  enum class Kind : std::uint8_t {
    whole,  // size bytes are one
    hold,   // more must come; until then these bytes wait, since nobody acts on half a message
    end,    // nothing of interest comes any more
  };
  Kind kind = Kind::whole;
  std::size_t size = 0;
};

struct Helper {
  std::string_view name;  // as in the configuration
  net::Protocol protocol = net::Protocol::tcp;
  std::span<const net::Port> ports;  // unless the configuration says others
  bool on_by_default = false;
  bool looks_at_answers = true;  // of who was connected to; else at the client's words only
  // TCP: bytes is what has come of the next message, at least one and at most most_held.
  // Null for protocols of datagrams, where each is a message.
  Measure (*measure)(wire::Bytes bytes, bool from_client, const Memory& memory) noexcept = nullptr;
  void (*parse)(Context& context) noexcept = nullptr;
  std::size_t most_held = 512;    // bytes of a message that is not complete (K-10)
  std::size_t most_expected = 1;  // of a connection at the same time
  bool replaces = true;           // one too many: the oldest goes; else the new one is refused
  Duration timeout = std::chrono::seconds{60};  // of an expectation (K-04)
  net::Port least_port =
      1024;  // nothing is opened to one below, except the speaker's own socket (K-03)
  bool needs_networks = false;  // must not be switched on for everybody (K-06)
  bool may_be_wide = false;     // the configuration may let anybody into its calls
  Duration keeps{};  // how long a connection of datagrams stays after a message; 0: as any
  // Packets of this protocol too, which has no ports. The helper's conversations have keys
  // (tuple.hpp).
  std::optional<net::Protocol> beside{};
  bool binds = false;  // what it has announced ends with its own connection, and lives as long
  // What Linux 2.2 called it in ip_masq/app; empty: as here. With '_' at its end the port's
  // thousands follow.
  std::string_view classic_name{};
};

// Every helper there is, in the order in which they are shown.
std::span<const Helper* const> all_helpers();
// Null if nobody has this name.
const Helper* find_helper(std::string_view name);

}  // namespace masqgate::helper
