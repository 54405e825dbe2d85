// A listener's frame as it is being filled, and how packets become records in it.

#pragma once

#include <memory>
#include <optional>

#include "daemon/divert/held.hpp"
#include "divert/format.hpp"

namespace masqgate::divert {

// What one end of a connection does with a frame. Never waits.
class Channel {
 public:
  enum class Sent : std::uint8_t { sent, full, gone };
  virtual Sent send(format::Bytes frame) noexcept = 0;
  // Where the next frame that is sent may be built, kLargestFrame bytes; null: anywhere.
  virtual std::byte* room() noexcept { return nullptr; }
  // From the next frame on, which goes the old way still: through memory that the program shares.
  // False if it cannot be had.
  virtual bool share() noexcept { return false; }
  // Nobody listens to it any more, or nobody shall: it may be destroyed once the call has returned
  // to its owner.
  virtual void close() noexcept = 0;

 protected:
  ~Channel() = default;
};

class Outbox {
 public:
  // channel: whose room frames may be built in, as no other outbox does; it outlives this. Or null.
  explicit Outbox(Channel* channel = nullptr);

  bool empty() const { return records_ == 0; }
  // Whether a record of that size starts another frame.
  bool is_full_for(std::size_t record) const {
    return records_ != 0 && used_ + record > format::kFullFrame;
  }
  std::size_t used() const { return used_; }
  format::Kind kind() const { return kind_; }

  // Room for one more record, filled with zeros in front of `data` bytes; the caller writes it. The
  // kind is that of the whole frame.
  std::span<std::byte> add(format::Kind kind, std::size_t size);
  // The whole frame; afterwards clear().
  format::Bytes finish(std::uint16_t lost, bool more);
  // The same without the frame's header.
  format::Bytes plain() const {
    return {frame_ + sizeof(format::FrameHeader), used_ - sizeof(format::FrameHeader)};
  }
  void clear();

 private:
  Channel* channel_;
  std::unique_ptr<std::byte[]> bytes_;
  std::byte* frame_;  // bytes_, or the channel's room
  std::size_t used_ = sizeof(format::FrameHeader);
  std::uint16_t records_ = 0;
  format::Kind kind_ = format::Kind::packets;
};

// Everything that a record of a packet says; options are those that the listener asked for.
struct PacketRecord {
  format::PacketHeader header;
  format::Bytes packet;  // as much of it as is sent
  struct Options {
    std::string_view in_name, out_name;
    std::optional<net::IpAddress> in_address;
    format::Bytes link;
    std::optional<Tuple> original, reply;
    std::optional<std::uint32_t> user;
    std::string_view rule;
  } options;
};

format::TupleValue tuple_value(const Tuple& tuple);
// Bytes that it takes, padding included.
std::size_t size_of(const PacketRecord& record);
// to: exactly that many.
void write(const PacketRecord& record, std::span<std::byte> to);

// The header as far as packet, terms and place know it.
format::PacketHeader describe(const Packet& packet, const Terms& terms, const Place& place,
                              const Facts& facts, std::size_t snapshot);

}  // namespace masqgate::divert
