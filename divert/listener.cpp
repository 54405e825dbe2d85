// The client library: one socket, one buffer each way.

#include "divert/listener.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace masqgate::divert::client {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

template <typename Header>
std::span<const std::byte> bytes_of(const Header& header) {
  return std::as_bytes(std::span{&header, 1});
}

}  // namespace

std::span<const std::byte> Packet::payload() const {
  const std::size_t at = header_.payload_offset;
  return at > bytes_.size() ? std::span<const std::byte>{} : bytes_.subspan(at);
}

void Packet::say(format::VerdictHeader verdict, std::span<const std::byte> data) {
  if (answered_) throw std::logic_error("this packet has its verdict already");
  answered_ = true;
  if (is_copy()) return;
  verdict.id = header_.id;
  listener_->say(verdict, data);
}

void Listener::say(const format::VerdictHeader& verdict, std::span<const std::byte> data) {
  if (data.size() > format::kLargestPacket)
    throw std::invalid_argument("a packet has at most 65535 bytes");
  format::VerdictHeader header = verdict;
  header.prefix.length = static_cast<std::uint32_t>(sizeof header + format::padded(data.size()));
  if (!data.empty()) {
    header.flags |= format::kModified;
    header.argument = static_cast<std::uint16_t>(data.size());
  }
  add(bytes_of(header), data);
}

void Listener::drain() {
  flush();
  add(bytes_of(format::DrainHeader{}), {});
  send_frame(format::Kind::control);
}

void Packet::say(format::Action action) {
  format::VerdictHeader verdict;
  verdict.action = static_cast<std::uint8_t>(action);
  say(verdict);
}

void Packet::accept_marked(std::uint32_t mark, std::uint32_t mask) {
  format::VerdictHeader verdict;
  verdict.flags = format::kSetMark;
  verdict.mark = mark;
  verdict.mark_mask = mask;
  say(verdict);
}

void Packet::accept_and_offload(std::uint32_t packets) {
  format::VerdictHeader verdict;
  verdict.flags = format::kFlowOffload;
  verdict.budget = packets;
  say(verdict);
}

void Packet::drop_and_block(std::uint32_t packets) {
  format::VerdictHeader verdict;
  verdict.action = static_cast<std::uint8_t>(format::Action::drop);
  verdict.flags = format::kFlowBlock;
  verdict.budget = packets;
  say(verdict);
}

void Packet::replace(std::span<const std::byte> packet) {
  if (packet.empty() || packet.size() > format::kLargestPacket)
    throw std::invalid_argument("a packet has 1 to 65535 bytes");
  say(format::VerdictHeader{}, packet);
}

void Packet::reject(std::uint16_t how) {
  format::VerdictHeader verdict;
  verdict.action = static_cast<std::uint8_t>(format::Action::reject);
  verdict.argument = how;
  say(verdict);
}

void Packet::repeat(std::uint32_t rule) {
  format::VerdictHeader verdict;
  verdict.action = static_cast<std::uint8_t>(format::Action::repeat_at);
  verdict.rule = rule;
  say(verdict);
}

Listener::Listener(std::uint16_t port, const Options& options)
    : drop_unanswered_{options.drop_unanswered},
      settles_{options.settles},
      in_{std::make_unique<std::byte[]>(format::kLargestFrame)},
      out_{std::make_unique<std::byte[]>(2 * format::kLargestFrame)} {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (options.socket.size() >= sizeof address.sun_path)
    throw std::invalid_argument("the path of the socket is too long");
  options.socket.copy(address.sun_path, options.socket.size());
  fd_ = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd_ < 0) fail("socket");
  const void* where = &address;
  if (::connect(fd_, static_cast<const sockaddr*>(where), sizeof address) != 0) {
    const int problem = errno;
    ::close(fd_);
    errno = problem;
    fail(options.socket);
  }
  format::BindHeader bind;
  bind.port = port;
  bind.flags = options.flags;
  bind.priority = options.priority;
  bind.weight = options.weight;
  bind.credit = options.credit;
  bind.snapshot = options.snapshot;
  bind.options = options.options;
  bind.permissions = options.permissions;
  options.name.copy(bind.name, sizeof bind.name - 1);
  add(bytes_of(bind), {});
  try {
    send_frame(format::Kind::control);
    while (bound_.port == 0)
      if (!read(0)) throw Refused("masqgate closed the connection");
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

Listener::~Listener() {
  if (fd_ < 0) return;
  try {
    settle();
    flush();
  } catch (const std::exception&) {
    errno = 0;  // masqgate has gone first: nobody waits for the verdicts
  }
  ::close(fd_);
}

void Listener::add(std::span<const std::byte> header, std::span<const std::byte> data) {
  const std::size_t size = header.size() + format::padded(data.size());
  if (records_ != 0 && used_ + size > format::kFullFrame) flush();
  std::byte* to = out_.get() + used_;
  std::copy(header.begin(), header.end(), to);
  std::copy(data.begin(), data.end(), to + header.size());
  std::fill(to + header.size() + data.size(), to + size, std::byte{});
  used_ += size;
  ++records_;
}

void Listener::send_frame(format::Kind kind) {
  format::FrameHeader header;
  header.kind = static_cast<std::uint8_t>(kind);
  header.length = static_cast<std::uint32_t>(used_);
  header.records = records_;
  std::memcpy(out_.get(), &header, sizeof header);
  const std::size_t size = used_;
  used_ = sizeof header;
  records_ = 0;
  if (shared_) return put({out_.get(), size});
  while (::send(fd_, out_.get(), size, MSG_NOSIGNAL) < 0) {
    if (errno == EINTR) continue;
    if (errno != EPIPE && errno != ECONNRESET) fail("send");
    gone_ = true;
    return;
  }
}

void Listener::flush() {
  if (records_ != 0) send_frame(format::Kind::verdicts);
}

void Listener::settle() {
  for (Packet& packet : packets_)
    if (settles_ && !packet.answered_)
      packet.say(drop_unanswered_ ? format::Action::drop : format::Action::accept);
  packets_.clear();
}

// Waits for room as long as masqgate lives; it takes frames whatever else it does.
void Listener::put(std::span<const std::byte> frame) {
  while (!shared_->put(frame) && !gone_) {
    if (shared_->broken()) throw Refused("masqgate's shared memory makes no sense");
    wake_masqgate();
    if (!shared_->go_to_sleep()) continue;
    const ssize_t size = ::recv(fd_, in_.get(), format::kLargestFrame, 0);
    shared_->wake();
    gone_ = size == 0 || (size < 0 && errno != EINTR);
    if (size > 0) take({in_.get(), static_cast<std::size_t>(size)});
  }
  wake_masqgate();
}

void Listener::wake_masqgate() {
  if (!shared_->other_must_wake()) return;
  const std::uint64_t once = 1;
  while (::write(bell_.get(), &once, sizeof once) < 0 && errno == EINTR) continue;
}

// masqgate has agreed and passed its memory, ours, and how to wake it.
void Listener::share(std::span<Descriptor, kMostPassed> passed) {
  auto other = Region::map(passed[0], false), own = Region::map(passed[1], true);
  if (!other || !own) fail("shared memory");
  bell_ = std::move(passed[2]);
  shared_ = std::make_unique<SharedEnd>(std::move(*own), std::move(*other));
}

// False if nothing came.
bool Listener::read(int flags) {
  if (shared_) return read_shared(flags);
  std::array<Descriptor, kMostPassed> passed;
  const std::span<std::byte> room{in_.get(), format::kLargestFrame};
  const ssize_t size = bound_.port == 0 ? receive_passed(fd_, room, passed, flags)
                                        : ::recv(fd_, room.data(), room.size(), flags);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (size <= 0) {
    gone_ = true;
    return false;
  }
  const bool took = take(room.first(static_cast<std::size_t>(size)));
  if (!shared_ && (bound_.flags & format::kBindShared) != 0) share(passed);
  return took;
}

// The oldest frame of shared memory, which stays there until the packets in it are done with. Without
// one sleeps at the socket, by which masqgate wakes us, and says goodbye.
bool Listener::read_shared(int flags) {
  shared_->release();
  for (;;) {
    if (const auto frame = shared_->next(); !frame.empty()) return take(frame);
    if (shared_->broken()) throw Refused("masqgate's shared memory makes no sense");
    wake_masqgate();
    if (!shared_->go_to_sleep()) continue;
    const ssize_t size = ::recv(fd_, in_.get(), format::kLargestFrame, flags);
    if (size < 0 && errno == EAGAIN) return false;  // still asleep: fd() will be readable
    shared_->wake();
    if (size < 0 && errno == EINTR) return false;
    if (size <= 0) {
      gone_ = true;
      return false;
    }
    take({in_.get(), static_cast<std::size_t>(size)});
  }
}

bool Listener::take(std::span<const std::byte> frame) {
  format::Reader reader{frame};
  while (const auto record = reader.next()) {
    if (const auto header = record->as<format::PacketHeader>(format::Type::packet)) {
      const std::size_t options = header->options_length, bytes = header->captured_length;
      if (options + bytes > record->rest.size()) continue;
      Packet& packet = packets_.emplace_back();
      packet.listener_ = this;
      packet.header_ = *header;
      packet.options_ = record->rest.first(options);
      packet.bytes_ = record->rest.subspan(options, bytes);
    } else if (const auto notice = record->as<format::NoticeHeader>(format::Type::notice)) {
      notices.push_back(*notice);
    } else if (const auto flow = record->as<format::FlowHeader>(format::Type::flow)) {
      flows.push_back(*flow);
    } else if (const auto other = record->as<format::ListenerHeader>(format::Type::listener)) {
      listeners.push_back(*other);
    } else if (const auto bound = record->as<format::BoundHeader>(format::Type::bound)) {
      bound_ = *bound;
    } else if (record->type == format::Type::bye) {
      std::string text;
      for (const std::byte b : record->rest)
        if (b != std::byte{}) text += static_cast<char>(b);
      throw Refused(text);
    }
  }
  return true;
}

std::span<Packet> Listener::receive() {
  settle();
  flush();
  while (packets_.empty() && !gone_) read(0);
  return packets_;
}

std::span<Packet> Listener::poll() {
  settle();
  flush();
  while (packets_.empty() && !gone_ && read(MSG_DONTWAIT)) continue;
  return packets_;
}

void Listener::accept_all() {
  Packet* last = nullptr;
  for (Packet& packet : packets_) {
    if (packet.answered_ || packet.is_copy()) continue;
    packet.answered_ = true;
    last = &packet;
  }
  if (last == nullptr) return;
  format::VerdictHeader verdict;
  verdict.id = last->header_.id;
  verdict.action = static_cast<std::uint8_t>(format::Action::accept_upto);
  add(bytes_of(verdict), {});
}

void Listener::inject(const format::InjectHeader& how, std::span<const std::byte> packet) {
  format::InjectHeader header = how;
  header.data_length = static_cast<std::uint32_t>(packet.size());
  header.prefix.length = static_cast<std::uint32_t>(sizeof header + format::padded(packet.size()));
  add(bytes_of(header), packet);
  flush();
}

}  // namespace masqgate::divert::client
