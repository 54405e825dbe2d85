// A hash table of 32-bit values found by a 32-bit hash: what every table of records is indexed by.
//
// The index stores hash and value only; the caller compares keys in its own records. Open
// addressing, linear probing, deletion by shifting back, so that nothing degrades with time. Eight
// bytes a slot, at most half full. Never grows: the limit is given at the start (K-21: the hash
// must be keyed).

#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>

namespace masqgate {

class HashIndex {
 public:
  // most: how many entries it must hold. Memory is zero pages until touched.
  explicit HashIndex(std::size_t most)
      : mask_{std::bit_ceil(most * 2 + (most == 0 ? 1 : 0)) - 1},
        most_{most},
        slots_{static_cast<Slot*>(std::calloc(mask_ + 1, sizeof(Slot)))} {
    if (!slots_) throw std::bad_alloc{};
  }

  // The first value with this hash for which same(value) says yes.
  template <typename Same>
  std::optional<std::uint32_t> find(std::uint32_t hash, Same&& same) const {
    for (std::size_t at = hash & mask_; slots_[at].used(); at = (at + 1) & mask_)
      if (slots_[at].hash == hash && same(slots_[at].value())) return slots_[at].value();
    return std::nullopt;
  }

  // False if the index is full. The same pair may be in it twice; keeping keys unique is the
  // caller's.
  bool insert(std::uint32_t hash, std::uint32_t value) {
    if (size_ == most_) return false;
    std::size_t at = hash & mask_;
    while (slots_[at].used()) at = (at + 1) & mask_;
    slots_[at] = {hash, value + 1};
    ++size_;
    return true;
  }

  bool erase(std::uint32_t hash, std::uint32_t value) {
    for (std::size_t at = hash & mask_; slots_[at].used(); at = (at + 1) & mask_)
      if (slots_[at].hash == hash && slots_[at].value() == value) {
        close_gap(at);
        --size_;
        return true;
      }
    return false;
  }

  std::size_t size() const { return size_; }
  std::size_t bytes() const { return (mask_ + 1) * sizeof(Slot); }

 private:
  struct Slot {
    std::uint32_t hash;
    std::uint32_t value_plus_one;  // 0: free
    bool used() const { return value_plus_one != 0; }
    std::uint32_t value() const { return value_plus_one - 1; }
  };
  struct Free {
    void operator()(Slot* slots) const { std::free(slots); }
  };

  // Moves later entries of the run back, unless that would put one in front of its home.
  void close_gap(std::size_t gap) {
    for (std::size_t at = (gap + 1) & mask_; slots_[at].used(); at = (at + 1) & mask_) {
      const std::size_t home = slots_[at].hash & mask_;
      if (((at - home) & mask_) < ((at - gap) & mask_)) continue;
      slots_[gap] = slots_[at];
      gap = at;
    }
    slots_[gap] = {0, 0};
  }

  std::size_t mask_;
  std::size_t most_;
  std::size_t size_ = 0;
  std::unique_ptr<Slot[], Free> slots_;
};

}  // namespace masqgate
