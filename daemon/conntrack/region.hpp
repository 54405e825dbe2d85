// The memory of connections: an array of records in a file on tmpfs, without pointers, with a
// version.
//
//   | header: magic, version, record size, capacity, hash key, boot id, checksum | records … |
//
// The file outlives the process. Whoever maps it again trusts nothing: the header must match to the
// letter, every record is judged by itself (identity checksum, ranges) by Table. A file that does
// not fit is set aside under another name and reported.

#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "daemon/base/siphash.hpp"
#include "daemon/conntrack/connection.hpp"

namespace masqgate::conntrack {

class Region {
 public:
  static constexpr std::uint32_t kVersion = 4;

  // Maps the file at path, creating it if it is missing. capacity: records. An empty path gives
  // memory that ends with the process. Throws std::system_error with the path if the file cannot be
  // made.
  Region(const std::string& path, std::size_t capacity);
  Region(Region&& other) noexcept;
  Region& operator=(Region&&) = delete;
  ~Region();

  std::span<Connection> records() const { return {records_, capacity_}; }
  HashKey key() const { return key_; }
  // The file held records of an earlier process.
  bool adopted() const { return adopted_; }
  // Where a file that did not fit was moved to, and why; both empty if nothing was set aside.
  const std::string& set_aside() const { return set_aside_; }
  const std::string& why_set_aside() const { return why_set_aside_; }

 private:
  void map(int fd, std::size_t bytes);
  void open_file(const std::string& path);
  void initialise();

  std::byte* memory_ = nullptr;
  std::size_t bytes_ = 0;
  Connection* records_ = nullptr;
  std::size_t capacity_ = 0;
  HashKey key_;
  bool adopted_ = false;
  std::string set_aside_;
  std::string why_set_aside_;
};

}  // namespace masqgate::conntrack
