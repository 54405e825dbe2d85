// What a helper's words do: announcements become expectations, by rules that are the same for all
// (K-02, K-03, K-08). Private to the room.

#pragma once

#include "daemon/helper/helpers.hpp"

namespace masqgate::helper {

// One side of a connection, while one of its messages is read.
class Helpers::Speaker final : public Effects {
 public:
  Speaker(Helpers& helpers, Session& session, const Connection& connection, Direction direction,
          wire::Bytes message, Time now)
      : helpers_{helpers},
        session_{session},
        connection_{connection},
        direction_{direction},
        message_{message},
        now_{now} {}

  std::optional<net::Endpoint> announce(const Announcement& what) noexcept override;
  std::optional<net::Endpoint> announced(net::Port port, bool is_own) noexcept override;
  bool has_child() noexcept override;
  void refuse(Refusal why) noexcept override;
  void hold() noexcept override { holds_ = true; }
  void stop() noexcept override { session_.has_ended = true; }

  // Whether the message must not go on.
  bool holds() const { return holds_; }

 private:
  HelperCounters& counters() const { return helpers_.counters_[session_.service]; }
  Expectation draft(const Announcement& what) const;
  std::optional<Refusal> objection(const Announcement& what, net::IpAddress shown) const;
  bool is_own_socket(const Announcement& what) const;
  bool has_neighbour(const Expectation& expectation, net::Endpoint first) const;
  bool find_outside(Expectation& expectation, const Announcement& what) const;
  bool is_anothers(const Expectation& expectation) const;
  std::optional<std::uint16_t> same(const Expectation& expectation) const;
  bool make_room(std::size_t count);
  std::optional<Refusal> expect(Expectation& expectation, const Announcement& what);

  Helpers& helpers_;
  Session& session_;
  const Connection& connection_;
  Direction direction_;
  wire::Bytes message_;
  Time now_;
  bool holds_ = false;
};

// The messages of one direction of a TCP connection.
class Helpers::Reader final : public MessageReader {
 public:
  Reader(Helpers& helpers, Session& session, const Connection& connection, Direction direction,
         Time now)
      : helpers_{helpers},
        session_{session},
        connection_{connection},
        direction_{direction},
        now_{now} {}

  Measure measure(wire::Bytes bytes) noexcept override;
  std::optional<wire::Bytes> read(wire::Bytes message) noexcept override;
  void line_too_long(wire::Bytes beginning) noexcept override;
  std::size_t most_held() const noexcept override { return session_.helper->most_held; }
  bool has_ended() const noexcept override { return session_.has_ended; }

 private:
  bool from_client() const { return direction_ == Direction::original; }

  Helpers& helpers_;
  Session& session_;
  const Connection& connection_;
  Direction direction_;
  Time now_;
};

}  // namespace masqgate::helper
