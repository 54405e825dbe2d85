// masqgate's end of memory shared with a program that packets are diverted to (divert/shared.hpp).
//
// The program gets three descriptors: memory that it can only read, memory of its own, and an
// eventfd(2) that wakes masqgate. The memory is sealed, so that no program can make it shorter under
// masqgate's feet, or write where masqgate writes.

#pragma once

#include <memory>

#include "daemon/base/unique_fd.hpp"
#include "divert/shared.hpp"

namespace masqgate::path {

struct SharedLink {
  static constexpr std::size_t kToProgram = 2 << 20;      // bytes of the ring
  static constexpr std::size_t kFromProgram = 256 << 10;  // the same

  // Null if the system has no more memory or descriptors.
  static std::unique_ptr<SharedLink> create() noexcept;

  divert::SharedEnd end;
  divert::Descriptor to_program, from_program;  // to be passed, and then closed
  divert::Descriptor bell;                      // the program writes it, nobody ever reads it
  bool passed = false;                          // the program has them
};

}  // namespace masqgate::path
