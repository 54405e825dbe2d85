// One direction of a TCP connection whose text a helper reads and may change: what was read, what
// waits, what was replaced, and how the numbers of both ends belong together.
//
//   sender's numbers     ├── read ──┤▒▒▒▒ a line ▒▒▒c├── read ──┤······ held ······┤ next
//                                   ╲              ╱ ╲           ╲                ╱
//   receiver's numbers   ├──────────┤▓▓ its text ▓▓▓▓├───────────┤ (nothing yet)
//
// Lines that are not complete are held: the receiver gets nothing of them, but what it
// acknowledges acknowledges them too, so that the sender goes on even where Nagle's algorithm (RFC
// 896) keeps it from sending the rest before. When the line is complete all of its text belongs to its
// last byte c, the carrier: every segment with c carries the whole text, one without c nothing. The
// sender keeps c until the receiver has acknowledged the text, so it is the sender who sends again
// what was lost, and nobody here needs a timer. However the sender cuts its segments, now or when it
// sends again, the receiver gets the same bytes.
//
// Segments that come before their predecessors are not let through; they come again. All is bounded:
// bytes that wait, replaced lines that were not acknowledged, and their text.

#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "daemon/helper/helper.hpp"

namespace masqgate::helper {

// Who understands the messages of a stream.
class MessageReader {
 public:
  virtual Measure measure(wire::Bytes bytes) noexcept = 0;
  // The text that stands for this message now; empty if it stays. Valid until the next call.
  virtual std::optional<wire::Bytes> read(wire::Bytes message) noexcept = 0;
  virtual void line_too_long(wire::Bytes beginning) noexcept = 0;
  virtual std::size_t most_held() const noexcept = 0;  // at most Stream::kMostHeld
  // Whether all that comes shall pass unread from here on.
  virtual bool has_ended() const noexcept = 0;

 protected:
  ~MessageReader() = default;
};

class Stream {
 public:
  static constexpr std::size_t kMostHeld = 2048;  // bytes of a message that is not complete (K-10)
  static constexpr std::size_t kMostText = Context::kMostText;  // of a replaced one
  static constexpr std::size_t kMostReplaced = 8;               // not acknowledged yet
  static constexpr std::size_t kMostTexts = 8192;               // … of all of them

  // first: the number of the first byte.
  void open(std::uint32_t first);
  bool is_open() const { return is_open_; }

  // The number of the next byte to be read.
  std::uint32_t next() const { return next_; }

  // Reads data, whose first byte has the number next(); fin: the sender's last word follows. Says how
  // many bytes were read. Fewer than all: too many replaced lines are on their way, and the rest must
  // come again (the FIN too).
  std::size_t read(wire::Bytes data, bool fin, MessageReader& reader) noexcept;
  // What was held passes as it is; later bytes pass unread.
  void pass(std::uint32_t next) noexcept;

  // What the receiver gets of this segment. data: from number `first` on, read already or not to be
  // read; fin: it ends with one. out: room for the result. Empty if data is to go as it is; else the
  // size of the text in out.
  std::optional<std::size_t> write(std::uint32_t first, wire::Bytes data, bool fin,
                                   wire::MutableBytes out) const noexcept;
  static constexpr std::size_t kMostGrowth = kMostTexts;

  // A number of the sender as the receiver counts.
  std::uint32_t to_receiver(std::uint32_t number) const noexcept;
  // A number of the receiver as the sender counts: an acknowledgement, or an edge of a block that was
  // acknowledged selectively (RFC 2018), which may not say more than is true.
  enum class Edge : std::uint8_t { acknowledged, left, right };
  std::uint32_t to_sender(std::uint32_t number, Edge edge) const noexcept;

  // The receiver has got everything before this number (as the sender counts).
  void acknowledged(std::uint32_t number) noexcept;

  // The byte in front of what the receiver gets nothing of yet: the line with this number. As the
  // receiver has got it, or will get it.
  std::byte byte_before(std::uint32_t number) const noexcept;
  bool holds() const { return held_ != 0; }
  // Nothing waits and nothing replaced is on its way: numbers differ by shift() and that is all.
  bool is_settled() const { return replaced_ == 0 && held_ == 0; }
  // What to_receiver() adds to numbers from next() on.
  std::uint32_t shift() const { return to_receiver(next_) - next_; }

 private:
  struct Replaced {
    std::uint32_t begin = 0;    // the sender's number of its first byte
    std::uint32_t carrier = 0;  // … and of the last one, or of the FIN
    bool fin = false;           // the carrier is the FIN
    std::byte before{};         // the byte in front of it
    std::uint16_t size = 0;     // of the text
    std::uint16_t at = 0;       // where it stands in texts_

    std::uint32_t in() const { return carrier + 1 - begin; }
    std::uint32_t out() const { return size + (fin ? 1u : 0u); }
  };

  void add(std::uint32_t begin, std::uint32_t carrier, bool fin, wire::Bytes text,
           std::byte before) noexcept;
  std::size_t read_held(wire::Bytes data, MessageReader& reader) noexcept;
  std::size_t read_fresh(wire::Bytes data, MessageReader& reader) noexcept;
  std::size_t skip(wire::Bytes data) noexcept;
  bool has_room() const {
    return replaced_ < kMostReplaced && texts_end() + kMostText <= kMostTexts;
  }
  std::size_t texts_end() const {
    return replaced_ == 0 ? 0
                          : lines_[replaced_ - 1u].at + std::size_t{lines_[replaced_ - 1u].size};
  }
  wire::Bytes text_of(const Replaced& line) const {
    return wire::Bytes{texts_}.subspan(line.at, line.size);
  }

  std::uint32_t next_ = 0;
  std::uint32_t shift_ = 0;  // of what lies before everything replaced
  bool is_open_ = false;
  bool skips_ = false;  // up to the next line feed
  std::byte last_{};    // that was read, or of its text
  std::byte before_held_{};
  std::uint8_t replaced_ = 0;
  std::uint16_t held_ = 0;
  std::array<Replaced, kMostReplaced> lines_;
  std::array<std::byte, kMostTexts> texts_;  // one behind the other
  std::array<std::byte, kMostHeld> held_bytes_;
};

}  // namespace masqgate::helper
