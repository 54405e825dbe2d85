// Takes frames apart: every length is checked here, and nowhere else.

#include "divert/format.hpp"

namespace masqgate::divert::format {

const char* sentence(Flaw flaw) {
  switch (flaw) {
    case Flaw::none:
      return "nothing is wrong";
    case Flaw::too_short:
      return "the frame is shorter than its header";
    case Flaw::magic:
      return "the frame does not begin with DVT1";
    case Flaw::version:
      return "the frame is of another major version than 1";
    case Flaw::length:
      return "the frame's length is not that of the datagram";
    case Flaw::record:
      return "a record's length or header length is impossible";
    case Flaw::count:
      return "the frame has more or fewer records than it says";
  }
  return "the frame is broken";
}

Reader::Reader(Bytes frame) {
  if (frame.size() < sizeof header_) {
    flaw_ = Flaw::too_short;
    return;
  }
  header_ = load<FrameHeader>(frame);
  if (header_.magic != kMagic)
    flaw_ = Flaw::magic;
  else if (header_.major != kMajor)
    flaw_ = Flaw::version;
  else if (header_.length != frame.size())
    flaw_ = Flaw::length;
  if (flaw_ != Flaw::none) return;
  rest_ = frame.subspan(sizeof header_);
  left_ = header_.records;
}

std::optional<Record> Reader::next() {
  if (flaw_ != Flaw::none) return std::nullopt;
  if (left_ == 0 || rest_.empty()) {
    if (left_ != 0 || !rest_.empty()) flaw_ = Flaw::count;
    return std::nullopt;
  }
  flaw_ = Flaw::record;  // until it has proved sound
  if (rest_.size() < sizeof(Prefix)) return std::nullopt;
  const auto prefix = load<Prefix>(rest_);
  const std::size_t length = prefix.length, header = prefix.header;
  if (length > rest_.size() || length % 8 != 0 || header < sizeof(Prefix) || header % 8 != 0 ||
      header > length)
    return std::nullopt;
  flaw_ = Flaw::none;
  const Bytes record = rest_.first(length);
  rest_ = rest_.subspan(length);
  --left_;
  return Record{static_cast<Type>(prefix.type.value()), record.first(header),
                record.subspan(header)};
}

}  // namespace masqgate::divert::format
