#include "daemon/helper/stream.hpp"

#include <algorithm>
#include <utility>

namespace masqgate::helper {
namespace {

constexpr bool is_before(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a - b) < 0;
}

constexpr std::byte kEndOfLine{'\n'};

}  // namespace

void Stream::open(std::uint32_t first) {
  next_ = first;
  shift_ = 0;
  is_open_ = true;
  skips_ = false;
  replaced_ = 0;
  held_ = 0;
}

void Stream::add(std::uint32_t begin, std::uint32_t carrier, bool fin, wire::Bytes text,
                 std::byte before) noexcept {
  const std::size_t at = texts_end();
  Replaced& line = lines_[replaced_++];
  line.begin = begin;
  line.carrier = carrier;
  line.fin = fin;
  line.before = before;
  line.size = static_cast<std::uint16_t>(text.size());
  line.at = static_cast<std::uint16_t>(at);
  std::ranges::copy(text, texts_.begin() + line.at);
  if (!text.empty()) last_ = text.back();
}

// The rest of a line that nobody wants to read.
std::size_t Stream::skip(wire::Bytes data) noexcept {
  const auto end = std::ranges::find(data, kEndOfLine);
  skips_ = end == data.end();
  const auto size = static_cast<std::size_t>(end - data.begin()) + (skips_ ? 0u : 1u);
  last_ = data[size - 1];
  next_ += static_cast<std::uint32_t>(size);
  return size;
}

// Goes on with a message of which something is held.
std::size_t Stream::read_held(wire::Bytes data, MessageReader& reader) noexcept {
  const std::size_t before = held_;
  const std::size_t most = reader.most_held();
  const std::size_t added = std::min(data.size(), most - before);
  std::ranges::copy(data.first(added), held_bytes_.begin() + held_);
  wire::Bytes bytes = wire::Bytes{held_bytes_}.first(before + added);
  const Measure measure = reader.measure(bytes);
  const bool whole = measure.kind == Measure::Kind::whole;
  if (measure.kind == Measure::Kind::hold && bytes.size() < most) {
    held_ = static_cast<std::uint16_t>(bytes.size());
    next_ += static_cast<std::uint32_t>(added);
    return added;
  }
  // The carrier must be a byte that the sender still has: one of this segment.
  if (whole) bytes = bytes.first(std::clamp(measure.size, before + 1, bytes.size()));
  const std::size_t taken = bytes.size() - before;
  const std::uint32_t begin = next_ - static_cast<std::uint32_t>(before);
  next_ += static_cast<std::uint32_t>(taken);
  held_ = 0;
  if (!whole) {
    skips_ = measure.kind == Measure::Kind::hold;
    if (skips_) reader.line_too_long(bytes);
    add(begin, next_ - 1, false, bytes, before_held_);
    return taken;
  }
  const auto text = reader.read(bytes);
  add(begin, next_ - 1, false, text && text->size() <= kMostText ? *text : bytes, before_held_);
  return taken;
}

std::size_t Stream::read_fresh(wire::Bytes data, MessageReader& reader) noexcept {
  const std::size_t most = reader.most_held();
  const wire::Bytes bytes = data.first(std::min(data.size(), most));
  const Measure measure = reader.measure(bytes);
  switch (measure.kind) {
    case Measure::Kind::whole: {
      const wire::Bytes message =
          bytes.first(std::clamp<std::size_t>(measure.size, 1, bytes.size()));
      const std::uint32_t begin = next_;
      next_ += static_cast<std::uint32_t>(message.size());
      const std::byte before = std::exchange(last_, message.back());
      const auto text = reader.read(message);
      if (text && text->size() <= kMostText) add(begin, next_ - 1, false, *text, before);
      return message.size();
    }
    case Measure::Kind::hold:
      if (bytes.size() == most) {
        reader.line_too_long(bytes);
        return skip(data);
      }
      before_held_ = last_;
      std::ranges::copy(bytes, held_bytes_.begin());
      held_ = static_cast<std::uint16_t>(bytes.size());
      next_ += held_;
      return bytes.size();
    default:
      last_ = data.back();
      next_ += static_cast<std::uint32_t>(data.size());
      return data.size();
  }
}

std::size_t Stream::read(wire::Bytes data, bool fin, MessageReader& reader) noexcept {
  std::size_t done = 0;
  while (done < data.size() && has_room()) {
    const wire::Bytes rest = data.subspan(done);
    if (held_ != 0) {
      done += read_held(rest, reader);
    } else if (reader.has_ended()) {
      next_ += static_cast<std::uint32_t>(rest.size());
      return data.size();
    } else {
      done += skips_ ? skip(rest) : read_fresh(rest, reader);
    }
  }
  if (done < data.size() || !fin) return done;
  // Nothing completes the line any more: the FIN carries what is there of it.
  if (held_ != 0 && has_room()) {
    add(next_ - held_, next_, true, wire::Bytes{held_bytes_}.first(held_), before_held_);
    held_ = 0;
  }
  ++next_;
  return done;
}

void Stream::pass(std::uint32_t next) noexcept {
  if (held_ == 0 && is_before(next_, next)) next_ = next;
}

std::optional<std::size_t> Stream::write(std::uint32_t first, wire::Bytes data, bool fin,
                                         wire::MutableBytes out) const noexcept {
  if (is_settled()) return std::nullopt;
  const std::uint32_t end = first + static_cast<std::uint32_t>(data.size());
  std::uint32_t at = first;
  std::size_t size = 0;
  bool changed = false;
  const auto copy = [&](wire::Bytes bytes) {
    std::ranges::copy(bytes, out.subspan(size).begin());
    size += bytes.size();
  };
  const auto copy_up_to = [&](std::uint32_t number) {
    if (!is_before(at, number)) return;
    copy(data.subspan(at - first, number - at));
    at = number;
  };
  for (std::size_t i = 0; i < replaced_; ++i) {
    const Replaced& line = lines_[i];
    if (is_before(line.carrier, first) || !is_before(line.begin, end + (fin ? 1 : 0))) continue;
    changed = true;
    copy_up_to(line.begin);
    const bool carries = line.fin ? fin : is_before(line.carrier, end);
    if (carries) copy(text_of(line));
    at = is_before(line.carrier, end) ? line.carrier + 1 : end;
  }
  const std::uint32_t begin_held = next_ - held_;
  if (held_ != 0 && is_before(begin_held, end)) {
    changed = true;
    copy_up_to(begin_held);
    at = end;
  }
  if (!changed) return std::nullopt;
  copy_up_to(end);
  return size;
}

std::byte Stream::byte_before(std::uint32_t number) const noexcept {
  for (std::size_t i = 0; i < replaced_; ++i)
    if (!is_before(number, lines_[i].begin) && !is_before(lines_[i].carrier, number))
      return lines_[i].before;
  return before_held_;
}

std::uint32_t Stream::to_receiver(std::uint32_t number) const noexcept {
  std::uint32_t shift = shift_;
  for (std::size_t i = 0; i < replaced_; ++i) {
    const Replaced& line = lines_[i];
    if (!is_before(line.begin, number)) return number + shift;
    if (!is_before(line.carrier, number)) return line.begin + shift;
    shift += line.out() - line.in();
  }
  const std::uint32_t begin_held = next_ - held_;
  return held_ != 0 && is_before(begin_held, number) ? begin_held + shift : number + shift;
}

std::uint32_t Stream::to_sender(std::uint32_t number, Edge edge) const noexcept {
  std::uint32_t shift = shift_;
  for (std::size_t i = 0; i < replaced_; ++i) {
    const Replaced& line = lines_[i];
    const std::uint32_t begin = line.begin + shift, end = begin + line.out();
    if (is_before(number, begin)) return number - shift;
    if (number == begin && line.out() != 0)
      return edge == Edge::acknowledged ? line.carrier : line.begin;
    if (is_before(number, end)) return edge == Edge::left ? line.carrier + 1 : line.carrier;
    shift += line.out() - line.in();
  }
  const std::uint32_t begin_held = next_ - held_;
  if (held_ != 0 && !is_before(number, begin_held + shift))
    return edge == Edge::acknowledged ? next_ : begin_held;
  return number - shift;
}

void Stream::acknowledged(std::uint32_t number) noexcept {
  std::size_t done = 0;
  while (done < replaced_ && is_before(lines_[done].carrier, number)) {
    shift_ += lines_[done].out() - lines_[done].in();
    ++done;
  }
  if (done == 0) return;
  const std::size_t end = texts_end();
  std::ranges::move(lines_.begin() + static_cast<std::ptrdiff_t>(done), lines_.begin() + replaced_,
                    lines_.begin());
  replaced_ = static_cast<std::uint8_t>(replaced_ - done);
  if (replaced_ == 0) return;
  const std::uint16_t gone = lines_[0].at;
  std::ranges::move(texts_.begin() + gone, texts_.begin() + static_cast<std::ptrdiff_t>(end),
                    texts_.begin());
  for (std::size_t i = 0; i < replaced_; ++i)
    lines_[i].at = static_cast<std::uint16_t>(lines_[i].at - gone);
}

}  // namespace masqgate::helper
