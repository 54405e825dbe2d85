#include "daemon/conntrack/region.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <utility>

#include "daemon/base/big_memory.hpp"
#include "daemon/base/random.hpp"
#include "daemon/base/unique_fd.hpp"

namespace masqgate::conntrack {
namespace {

constexpr std::array<char, 8> kMagic{'m', 'a', 's', 'q', 'c', 'o', 'n', 'n'};
constexpr std::size_t kHeaderBytes = 4096;

struct Header {
  std::array<char, 8> magic = kMagic;
  std::uint32_t version = Region::kVersion;
  std::uint32_t record_size = sizeof(Connection);
  std::uint64_t capacity = 0;
  std::array<char, 40> boot_id{};  // deadlines are counted from boot: another boot, another file
  HashKey key;
  std::uint64_t checksum = 0;

  std::uint64_t computed_checksum() const {
    SipHash hash{HashKey{1, 2}};
    hash.add(version).add(record_size).add(capacity).add(key.first).add(key.second);
    for (std::size_t i = 0; i + 8 <= boot_id.size(); i += 8) {
      std::uint64_t word;
      std::memcpy(&word, boot_id.data() + i, sizeof word);
      hash.add(word);
    }
    return hash.finish();
  }
};
static_assert(sizeof(Header) <= kHeaderBytes);

std::array<char, 40> boot_id() {
  std::array<char, 40> id{};
  const UniqueFd file{::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)};
  if (file && ::read(file.get(), id.data(), 36) != 36) id = {};
  return id;
}

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what + " " + path);
}

// Why the file cannot be taken over; empty if it can.
std::string objection(const Header& found, std::size_t capacity) {
  if (found.magic != kMagic) return "it is not a connection region";
  if (found.version != Region::kVersion || found.record_size != sizeof(Connection))
    return "it has version " + std::to_string(found.version) + ", not " +
           std::to_string(Region::kVersion);
  if (found.checksum != found.computed_checksum()) return "its header checksum is wrong";
  if (found.boot_id != boot_id()) return "it was written before the last boot";
  if (found.capacity != capacity)
    return "it holds " + std::to_string(found.capacity) + " records, not " +
           std::to_string(capacity);
  return {};
}

}  // namespace

Region::Region(const std::string& path, std::size_t capacity) : capacity_{capacity} {
  bytes_ = kHeaderBytes + capacity * sizeof(Connection);
  if (path.empty()) {
    map(-1, bytes_);
    initialise();
  } else {
    open_file(path);
  }
}

Region::Region(Region&& other) noexcept
    : memory_{std::exchange(other.memory_, nullptr)},
      bytes_{other.bytes_},
      records_{other.records_},
      capacity_{other.capacity_},
      key_{other.key_},
      adopted_{other.adopted_},
      set_aside_{std::move(other.set_aside_)},
      why_set_aside_{std::move(other.why_set_aside_)} {}

Region::~Region() {
  if (memory_ != nullptr) munmap(memory_, bytes_);
}

void Region::map(int fd, std::size_t bytes) {
  const int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (memory == MAP_FAILED) fail("connection region", "cannot map the");
  prefer_big_pages(memory, bytes);
  memory_ = static_cast<std::byte*>(memory);
  records_ = static_cast<Connection*>(static_cast<void*>(memory_ + kHeaderBytes));
}

void Region::initialise() {
  Header header;
  header.capacity = capacity_;
  header.boot_id = boot_id();
  header.key = key_ = random_key();
  header.checksum = header.computed_checksum();
  std::memcpy(memory_, &header, sizeof header);
}

void Region::open_file(const std::string& path) {
  UniqueFd file{::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW)};
  if (!file && errno != ENOENT) fail(path, "cannot open");
  struct stat status {};
  if (file && fstat(file.get(), &status) == 0 && status.st_size > 0) {
    Header found;
    const bool whole = ::pread(file.get(), &found, sizeof found, 0) == sizeof found &&
                       static_cast<std::size_t>(status.st_size) == bytes_;
    why_set_aside_ = objection(found, capacity_);
    if (!whole && why_set_aside_.empty()) why_set_aside_ = "it is cut short, or too long";
    if (why_set_aside_.empty()) {
      map(file.get(), bytes_);
      key_ = found.key;
      adopted_ = true;
      return;
    }
    set_aside_ = path + ".set-aside";
    if (::rename(path.c_str(), set_aside_.c_str()) != 0) fail(path, "cannot set aside");
  }
  file.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) fail(path, "cannot create");
  // Reserved as a whole: a file system that gets full later must not end the process (SIGBUS).
  if (const int problem = ::posix_fallocate(file.get(), 0, static_cast<off_t>(bytes_))) {
    ::unlink(path.c_str());
    errno = problem;
    fail(path, "cannot reserve " + std::to_string(bytes_ >> 20) + " MiB for");
  }
  map(file.get(), bytes_);
  initialise();
}

}  // namespace masqgate::conntrack
