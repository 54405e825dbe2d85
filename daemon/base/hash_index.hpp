// A hash table of 32-bit values found by a 32-bit hash: what every table of records is indexed by.
//
//   bucket: one cache line | 8 hashes | 8 values |   used slots stand in front, the others are 0
//
// The index stores hash and value only; the caller compares keys in its own records. An entry is in
// the bucket of its hash or, where that is full, in one of the next ones; so a search reads one
// line, compares all its hashes at once, and ends at the first bucket with room. Deletion moves
// entries back, so that nothing degrades with time. Eight bytes a slot, at most five sixths full:
// 9.6 bytes an entry. Never grows: the limit is given at the start (K-21: the hash must be keyed).

#pragma once

#include <array>
#include <bit>
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
      : count_{(most + most / 5) / kSlots + 1},
        most_{most},
        buckets_{static_cast<Bucket*>(map_zeros(count_ * sizeof(Bucket))),
                 {count_ * sizeof(Bucket)}} {}

  // A value with this hash for which same(value) says yes.
  template <typename Same>
  std::optional<std::uint32_t> find(std::uint32_t hash, Same&& same) const {
    for (std::size_t at = home(hash);; at = behind(at)) {
      const Bucket& bucket = buckets_[at];
      for (unsigned hits = bucket.with(hash); hits != 0; hits &= hits - 1) {
        const std::size_t slot = static_cast<std::size_t>(std::countr_zero(hits));
        if (bucket.uses(slot) && same(bucket.value(slot))) return bucket.value(slot);
      }
      if (!bucket.is_full()) return std::nullopt;
    }
  }

  // False if the index is full. The same pair may be in it twice; keeping keys unique is the
  // caller's.
  bool insert(std::uint32_t hash, std::uint32_t value) {
    if (size_ == most_) return false;
    std::size_t at = home(hash);
    while (buckets_[at].is_full()) at = behind(at);
    buckets_[at].add(hash, value);
    ++size_;
    return true;
  }

  bool erase(std::uint32_t hash, std::uint32_t value) {
    for (std::size_t at = home(hash);; at = behind(at)) {
      const Bucket& bucket = buckets_[at];
      for (unsigned hits = bucket.with(hash); hits != 0; hits &= hits - 1) {
        const std::size_t slot = static_cast<std::size_t>(std::countr_zero(hits));
        if (!bucket.uses(slot) || bucket.value(slot) != value) continue;
        take_out(at, slot);
        --size_;
        return true;
      }
      if (!bucket.is_full()) return false;
    }
  }

  std::size_t size() const { return size_; }
  std::size_t slots() const { return count_ * kSlots; }
  std::size_t bytes() const { return count_ * sizeof(Bucket); }

 private:
  static constexpr std::size_t kSlots = 8;

  struct alignas(64) Bucket {
    std::array<std::uint32_t, kSlots> hashes;
    std::array<std::uint32_t, kSlots> values_plus_one;  // 0: free

    // A bit for each slot with this hash, a free one among them if the hash is 0. Without branches:
    // a processor that need not guess goes on to the next search while it waits for this line.
    unsigned with(std::uint32_t hash) const {
      unsigned hits = 0;
      for (std::size_t slot = 0; slot < kSlots; ++slot)
        hits |= static_cast<unsigned>(hashes[slot] == hash) << slot;
      return hits;
    }
    bool uses(std::size_t slot) const { return values_plus_one[slot] != 0; }
    std::uint32_t value(std::size_t slot) const { return values_plus_one[slot] - 1; }
    bool is_full() const { return uses(kSlots - 1); }
    void add(std::uint32_t hash, std::uint32_t value) {
      std::size_t slot = 0;
      while (uses(slot)) ++slot;
      hashes[slot] = hash;
      values_plus_one[slot] = value + 1;
    }
    // The last one takes its place.
    void remove(std::size_t slot) {
      std::size_t last = kSlots - 1;
      while (!uses(last)) --last;
      hashes[slot] = hashes[last];
      values_plus_one[slot] = values_plus_one[last];
      hashes[last] = values_plus_one[last] = 0;
    }
  };
  static_assert(sizeof(Bucket) == 64);
  struct Unmap {
    std::size_t bytes = 0;
    void operator()(Bucket* buckets) const { unmap(buckets, bytes); }
  };

  // The hash as a fraction of its range, so that any number of buckets will do.
  std::size_t home(std::uint32_t hash) const { return std::uint64_t{hash} * count_ >> 32; }
  std::size_t behind(std::size_t at) const { return at + 1 < count_ ? at + 1 : 0; }
  std::size_t steps(std::size_t from, std::size_t to) const {
    return to >= from ? to - from : to + count_ - from;
  }

  // A search ends at a bucket with room: before one gets it, what stands behind it on the way from
  // its home moves in, and so on from where that stood.
  void take_out(std::size_t at, std::size_t slot) {
    for (;;) {
      const bool was_full = buckets_[at].is_full();
      buckets_[at].remove(slot);
      if (!was_full) return;
      const auto moved = find_displaced(at);
      if (!moved) return;
      const Bucket& from = buckets_[moved->bucket];
      buckets_[at].add(from.hashes[moved->slot], from.value(moved->slot));
      at = moved->bucket;
      slot = moved->slot;
    }
  }

  struct Place {
    std::size_t bucket, slot;
  };
  // The nearest entry behind this bucket that a search passes it for.
  std::optional<Place> find_displaced(std::size_t gap) const {
    for (std::size_t at = behind(gap); at != gap; at = behind(at)) {
      const Bucket& bucket = buckets_[at];
      for (std::size_t slot = 0; slot < kSlots && bucket.uses(slot); ++slot)
        if (steps(home(bucket.hashes[slot]), at) >= steps(gap, at)) return Place{at, slot};
      if (!bucket.is_full()) return std::nullopt;
    }
    return std::nullopt;
  }

  std::size_t count_;  // of buckets
  std::size_t most_;
  std::size_t size_ = 0;
  std::unique_ptr<Bucket[], Unmap> buckets_;
};

}  // namespace masqgate
