// Memory for tables that are read all over: zero until touched, in big pages where the kernel gives
// them, because most of the time of a random look-up goes into finding its page.

#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>

namespace masqgate {

// What is smaller gains nothing, and would take more memory than it asked for.
inline constexpr std::size_t kBigPage = 2 << 20;

// A wish; a kernel without big pages does as before.
inline void prefer_big_pages(void* memory, std::size_t bytes) {
  if (bytes >= 2 * kBigPage) ::madvise(memory, bytes, MADV_HUGEPAGE);
}

// Throws std::bad_alloc.
inline void* map_zeros(std::size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc{};
  prefer_big_pages(memory, bytes);
  return memory;
}

inline void unmap(void* memory, std::size_t bytes) {
  ::munmap(memory, bytes);
}

}  // namespace masqgate
