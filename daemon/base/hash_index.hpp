// A hash table of 32-bit values found by a 32-bit hash: what every table of records is indexed by.
//
// The index stores hash and value only; the caller compares keys in its own records. Open
// addressing, linear probing, deletion by shifting back, so that nothing degrades with time. Eight
// bytes a slot, at most five sixths full: 9.6 bytes an entry. Never grows: the limit is given at
// the start (K-21: the hash must be keyed).

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "daemon/base/big_memory.hpp"

namespace masqgate {

class HashIndex {
 public:
  // most: how many entries it must hold. Memory is zero pages until touched.
  explicit HashIndex(std::size_t most)
      : count_{most + most / 5 + 1},
        most_{most},
        slots_{static_cast<Slot*>(map_zeros(count_ * sizeof(Slot))), {count_ * sizeof(Slot)}} {}

  // The first value with this hash for which same(value) says yes.
  template <typename Same>
  std::optional<std::uint32_t> find(std::uint32_t hash, Same&& same) const {
    for (std::size_t at = home(hash); slots_[at].used(); at = behind(at))
      if (slots_[at].hash == hash && same(slots_[at].value())) return slots_[at].value();
    return std::nullopt;
  }

  // False if the index is full. The same pair may be in it twice; keeping keys unique is the
  // caller's.
  bool insert(std::uint32_t hash, std::uint32_t value) {
    if (size_ == most_) return false;
    std::size_t at = home(hash);
    while (slots_[at].used()) at = behind(at);
    slots_[at] = {hash, value + 1};
    ++size_;
    return true;
  }

  bool erase(std::uint32_t hash, std::uint32_t value) {
    for (std::size_t at = home(hash); slots_[at].used(); at = behind(at))
      if (slots_[at].hash == hash && slots_[at].value() == value) {
        close_gap(at);
        --size_;
        return true;
      }
    return false;
  }

  std::size_t size() const { return size_; }
  std::size_t slots() const { return count_; }
  std::size_t bytes() const { return count_ * sizeof(Slot); }

 private:
  struct Slot {
    std::uint32_t hash;
    std::uint32_t value_plus_one;  // 0: free
    bool used() const { return value_plus_one != 0; }
    std::uint32_t value() const { return value_plus_one - 1; }
  };
  struct Unmap {
    std::size_t bytes = 0;
    void operator()(Slot* slots) const { unmap(slots, bytes); }
  };

  // The hash as a fraction of its range, so that any number of slots will do.
  std::size_t home(std::uint32_t hash) const { return std::uint64_t{hash} * count_ >> 32; }
  std::size_t behind(std::size_t at) const { return at + 1 < count_ ? at + 1 : 0; }
  std::size_t steps(std::size_t from, std::size_t to) const {
    return to >= from ? to - from : to + count_ - from;
  }

  // Moves later entries of the run back, unless that would put one in front of its home.
  void close_gap(std::size_t gap) {
    for (std::size_t at = behind(gap); slots_[at].used(); at = behind(at)) {
      if (steps(home(slots_[at].hash), at) < steps(gap, at)) continue;
      slots_[gap] = slots_[at];
      gap = at;
    }
    slots_[gap] = {0, 0};
  }

  std::size_t count_;  // of slots
  std::size_t most_;
  std::size_t size_ = 0;
  std::unique_ptr<Slot[], Unmap> slots_;
};

}  // namespace masqgate
