// Classic divert sockets on masqgate's: what a sockaddr says becomes ids and verdicts.
//
//   recvfrom ◀── one record ◀── masqgate        each delivery leaves an entry in a ring:
//   sendto   ──▶ which entry? ──▶ verdict        id, hash of the bytes, what few programs change
//                    └── none ──▶ inject
//
// System calls go past the C library, which the preloaded names stand in front of.

#include "divert/classic/classic.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <map>
#include <memory>
#include <string_view>

#include "divert/format.hpp"

namespace {

namespace format = masqgate::divert::format;
using format::Bytes;

constexpr std::uint8_t kToken = 0xd1;  // first byte of sin_zero: a token follows

struct Delivery {
  std::uint64_t id = 0;
  std::uint64_t hash = 0;   // of all bytes
  std::uint64_t trait = 0;  // of what programs leave alone
  std::int64_t since = 0;   // ns
  bool waits = false;       // for its verdict
};

constexpr std::int64_t kLife = 2'000'000'000;  // ns that masqgate waits for a verdict, usually

std::int64_t now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * std::int64_t{1'000'000'000} + time.tv_nsec;
}

struct Socket {
  static constexpr std::uint32_t kRing = 4096;
  bool bound = false;
  std::uint32_t next = 0;  // delivery
  std::unique_ptr<std::array<Delivery, kRing>> ring =
      std::make_unique<std::array<Delivery, kRing>>();
  std::unique_ptr<std::array<std::byte, format::kLargestFrame>> buffer =
      std::make_unique<std::array<std::byte, format::kLargestFrame>>();
};

std::map<int, Socket>& sockets() {
  static auto& all = *new std::map<int, Socket>;  // outlives whoever closes sockets at the end
  return all;
}

Socket* find(int fd) {
  const auto found = sockets().find(fd);
  return found == sockets().end() ? nullptr : &found->second;
}

int fail(int error) {
  errno = error;
  return -1;
}

std::uint64_t hash_of(Bytes bytes) {  // FNV-1a
  std::uint64_t hash = 14695981039346656037u;
  for (const std::byte b : bytes)
    hash = (hash ^ std::to_integer<std::uint64_t>(b)) * 1099511628211u;
  return hash;
}

unsigned byte_at(Bytes packet, std::size_t at) {
  return at < packet.size() ? std::to_integer<unsigned>(packet[at]) : 0;
}

// Translators change addresses and ports, shapers the hop limit; identification, protocol, and TCP's
// sequence numbers stay.
std::uint64_t trait_of(Bytes packet) {
  const bool v4 = byte_at(packet, 0) >> 4 == 4;
  const std::size_t transport = v4 ? (byte_at(packet, 0) & 15u) * 4u : 40u;
  const unsigned protocol = byte_at(packet, v4 ? 9 : 6);
  std::array<std::byte, 16> kept{};
  if (v4 && packet.size() >= 8) std::copy_n(packet.begin() + 4, 4, kept.begin());
  kept[4] = static_cast<std::byte>(protocol);
  const bool tcp = protocol == IPPROTO_TCP;
  const bool udp = protocol == IPPROTO_UDP;
  const std::size_t from = transport + 4u, size = tcp ? 8u : udp ? 2u : 0u;
  if (from + size <= packet.size())
    std::copy_n(packet.begin() + static_cast<std::ptrdiff_t>(from), size, kept.begin() + 5);
  return hash_of(kept);
}

// The delivery that these bytes are about: the one that the address names if that may be, else the
// oldest one with these bytes, else with these traits.
Delivery* delivery_of(Socket& socket, const sockaddr_in* to, Bytes packet) {
  const std::uint64_t hash = hash_of(packet), trait = trait_of(packet);
  const std::int64_t oldest = now() - kLife;
  Delivery* named = nullptr;
  if (to != nullptr && to->sin_zero[0] == kToken) {
    std::uint32_t token = 0;
    std::memcpy(&token, to->sin_zero + 4, sizeof token);
    Delivery& one = (*socket.ring)[token % Socket::kRing];
    if (one.waits) named = &one;
  }
  if (named != nullptr && (named->hash == hash || named->trait == trait)) return named;
  Delivery* alike = nullptr;
  for (std::uint32_t i = 0; i < Socket::kRing; ++i) {
    Delivery& one = (*socket.ring)[(socket.next + i) % Socket::kRing];
    if (!one.waits || one.since < oldest) continue;
    if (one.hash == hash) return &one;
    if (alike == nullptr && one.trait == trait) alike = &one;
  }
  return alike != nullptr ? alike : named;
}

const sockaddr_in* as_inet(const sockaddr* address, socklen_t size, sockaddr_in& copy) {
  if (address == nullptr || size < sizeof copy) return nullptr;
  std::memcpy(&copy, address, sizeof copy);
  return &copy;
}

bool is_local(const in_addr& address) {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return true;  // masqgate will tell
  bool found = false;
  for (const ifaddrs* one = all; one != nullptr && !found; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    sockaddr_in has{};
    std::memcpy(&has, one->ifa_addr, sizeof has);
    found = has.sin_addr.s_addr == address.s_addr;
  }
  ::freeifaddrs(all);
  return found;
}

// A frame with one record.
template <typename Header>
ssize_t send_record(int fd, int flags, format::Kind kind, Header header, Bytes data) {
  const std::size_t record = sizeof header + format::padded(data.size());
  header.prefix.length = static_cast<std::uint32_t>(record);
  format::FrameHeader frame;
  frame.kind = static_cast<std::uint8_t>(kind);
  frame.records = 1;
  frame.length = static_cast<std::uint32_t>(sizeof frame + record);
  std::array<std::byte, 8> padding{};
  std::array<iovec, 4> parts{{{&frame, sizeof frame},
                              {&header, sizeof header},
                              {const_cast<std::byte*>(data.data()), data.size()},
                              {padding.data(), format::padded(data.size()) - data.size()}}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  return ::syscall(SYS_sendmsg, fd, &message, flags | MSG_NOSIGNAL);
}

std::string_view text_of(Bytes bytes) {
  const void* data = bytes.data();
  const std::string_view text{static_cast<const char*>(data), bytes.size()};
  return text.substr(0, text.find('\0'));
}

// What BOUND or BYE says of the binding: 0, or an error number.
int answer_to_binding(int fd, Socket& socket) {
  pollfd readable{fd, POLLIN, 0};
  while (::poll(&readable, 1, -1) < 0 && errno == EINTR) continue;
  const ssize_t size = ::syscall(SYS_recvfrom, fd, socket.buffer->data(), socket.buffer->size(), 0,
                                 nullptr, nullptr);
  if (size <= 0) return ECONNREFUSED;
  format::Reader reader{Bytes{*socket.buffer}.first(static_cast<std::size_t>(size))};
  while (const auto record = reader.next()) {
    if (record->type == format::Type::bound) return 0;
    if (record->type == format::Type::bye)
      return text_of(record->rest).starts_with("may not") ? EACCES : EINVAL;
  }
  return EPROTO;
}

int connect_and_bind(int fd, Socket& socket, const sockaddr_un& door, std::uint16_t port,
                     std::uint32_t permissions) {
  if (::syscall(SYS_connect, fd, &door, sizeof door) != 0) return errno;
  format::BindHeader bind;
  bind.port = port;
  bind.flags = format::kBindOneByOne;
  bind.options = format::wants(format::Option::in_address);
  std::string_view{"classic"}.copy(bind.name, sizeof bind.name);
  bind.permissions = permissions;
  if (send_record(fd, 0, format::Kind::control, bind, {}) < 0) return errno;
  return answer_to_binding(fd, socket);
}

// Another socket under the same number, as masqgate has closed the first one.
bool begin_anew(int fd) {
  const long flags = ::syscall(SYS_fcntl, fd, F_GETFL), closes = ::syscall(SYS_fcntl, fd, F_GETFD);
  const long other = ::syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET, 0);
  if (other < 0) return false;
  ::syscall(SYS_fcntl, other, F_SETFL, flags);
  const bool done = ::syscall(SYS_dup3, other, fd, (closes & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0) >= 0;
  ::syscall(SYS_close, other);
  return done;
}

void fill_address(sockaddr_in& address, Socket& socket, const format::PacketHeader& packet,
                  Bytes options) {
  address = {};
  address.sin_family = AF_INET;
  address.sin_port = packet.rule_position;  // in the host's order, as on FreeBSD
  while (options.size() >= sizeof(format::OptionHeader)) {
    const auto option = format::load<format::OptionHeader>(options);
    const std::size_t size = sizeof option + format::padded(option.length, 4);
    const bool incoming = packet.direction != 1 && packet.hook != 5;
    if (static_cast<format::Option>(option.type.value()) == format::Option::in_address &&
        option.length == 4 && incoming)
      std::memcpy(&address.sin_addr, options.data() + sizeof option, 4);
    if (size >= options.size()) break;
    options = options.subspan(size);
  }
  address.sin_zero[0] = kToken;
  std::memcpy(address.sin_zero + 4, &socket.next, sizeof socket.next);
}

}  // namespace

extern "C" {

int dv_is_divert_socket(int fd) {
  return find(fd) != nullptr ? 1 : 0;
}

int dv_socket(int domain, int type, int protocol) {
  constexpr int kKind = 0xf;
  const bool classic = domain == AF_INET && protocol == IPPROTO_DIVERT;
  const bool modern = domain == PF_DIVERT;
  if ((type & kKind) != SOCK_RAW || !(classic || modern)) return fail(EAFNOSUPPORT);
  const int flags = type & (SOCK_NONBLOCK | SOCK_CLOEXEC);
  const auto fd = static_cast<int>(::syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | flags, 0));
  if (fd >= 0) sockets()[fd] = Socket{};
  return fd;
}

int dv_bind(int fd, const sockaddr* address, socklen_t size) {
  Socket* socket = find(fd);
  sockaddr_in wanted{};
  if (socket == nullptr) return fail(ENOTSOCK);
  if (socket->bound || as_inet(address, size, wanted) == nullptr) return fail(EINVAL);
  sockaddr_un door{};
  door.sun_family = AF_UNIX;
  const char* path = std::getenv("MASQGATE_DIVERT_SOCKET");
  const std::string_view where = path != nullptr ? path : "/run/masqgate/divert.sock";
  if (where.size() >= sizeof door.sun_path) return fail(ENAMETOOLONG);
  where.copy(door.sun_path, where.size());
  const std::uint16_t port = ntohs(wanted.sin_port);
  constexpr std::uint32_t kAll = format::kMayListen | format::kMayInject;
  int problem = connect_and_bind(fd, *socket, door, port, kAll);
  // Who may not inject can still listen.
  if (problem == EACCES && begin_anew(fd))
    problem = connect_and_bind(fd, *socket, door, port, format::kMayListen);
  if (problem != 0) return fail(problem);
  socket->bound = true;
  return 0;
}

ssize_t dv_recvfrom(int fd, void* buffer, size_t size, int flags, sockaddr* from,
                    socklen_t* from_size) {
  Socket* socket = find(fd);
  if (socket == nullptr || !socket->bound) return fail(ENOTCONN);
  for (;;) {
    const ssize_t got = ::syscall(SYS_recvfrom, fd, socket->buffer->data(), socket->buffer->size(),
                                  flags & ~MSG_TRUNC, nullptr, nullptr);
    if (got < 0) return -1;
    if (got == 0) return fail(ECONNRESET);
    format::Reader reader{Bytes{*socket->buffer}.first(static_cast<std::size_t>(got))};
    const auto record = reader.next();
    const auto packet = record ? record->as<format::PacketHeader>(format::Type::packet)
                               : std::optional<format::PacketHeader>{};
    if (!packet) continue;  // a notice: sendto() has no place for it
    const std::size_t options = packet->options_length, length = packet->captured_length;
    if (options + length > record->rest.size()) continue;
    const Bytes bytes = record->rest.subspan(options, length);
    if (from != nullptr && from_size != nullptr) {
      sockaddr_in address;
      fill_address(address, *socket, *packet, record->rest.first(options));
      std::memcpy(from, &address, std::min<std::size_t>(*from_size, sizeof address));
      *from_size = sizeof address;
    }
    if ((flags & MSG_PEEK) == 0 && (packet->flags & format::kTee) == 0)
      (*socket->ring)[socket->next++ % Socket::kRing] = {packet->id, hash_of(bytes),
                                                         trait_of(bytes), now(), true};
    std::copy_n(bytes.begin(), std::min(size, length), static_cast<std::byte*>(buffer));
    return static_cast<ssize_t>((flags & MSG_TRUNC) != 0 ? length : std::min(size, length));
  }
}

ssize_t dv_sendto(int fd, const void* packet, size_t size, int flags, const sockaddr* to,
                  socklen_t to_size) {
  Socket* socket = find(fd);
  if (socket == nullptr || !socket->bound) return fail(ENOTCONN);
  if (size == 0 || size > format::kLargestPacket) return fail(size == 0 ? EINVAL : EMSGSIZE);
  const Bytes bytes{static_cast<const std::byte*>(packet), size};
  sockaddr_in copy{};
  const sockaddr_in* address = as_inet(to, to_size, copy);
  ssize_t sent = 0;
  if (Delivery* one = delivery_of(*socket, address, bytes)) {
    one->waits = false;
    format::VerdictHeader verdict;
    verdict.id = one->id;
    const bool changed = one->hash != hash_of(bytes);
    if (changed) {
      verdict.flags = format::kModified;
      verdict.argument = static_cast<std::uint16_t>(size);
    }
    sent = send_record(fd, flags, format::Kind::verdicts, verdict, changed ? bytes : Bytes{});
  } else {
    format::InjectHeader inject;
    inject.data_length = static_cast<std::uint32_t>(size);
    const bool outward = address == nullptr || address->sin_addr.s_addr == INADDR_ANY;
    if (!outward && !is_local(address->sin_addr)) return fail(EADDRNOTAVAIL);
    inject.direction = outward ? 1 : 0;
    if (!outward) std::memcpy(inject.in_address, &address->sin_addr, 4);
    sent = send_record(fd, flags, format::Kind::verdicts, inject, bytes);
  }
  return sent < 0 ? -1 : static_cast<ssize_t>(size);
}

int dv_close_socket(int fd) {
  sockets().erase(fd);
  return static_cast<int>(::syscall(SYS_close, fd));
}

}  // extern "C"
