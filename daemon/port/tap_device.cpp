#include "daemon/port/tap_device.hpp"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace masqgate::port {
namespace {

constexpr const char* kTunFile = "/dev/net/tun";

// Newer than the headers of Debian 12.
constexpr unsigned kOffloadUso4 = 0x20, kOffloadUso6 = 0x40;
constexpr unsigned kOffloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;

[[noreturn]] void fail(const std::string& what, const std::string& advice) {
  const int problem = errno;
  throw std::system_error(problem, std::generic_category(),
                          what + (advice.empty() ? "" : " (" + advice + ")"));
}

std::string advice_for_opening() {
  switch (errno) {
    case EACCES:
    case EPERM:
      return "run as root, or give this user access to the file and CAP_NET_ADMIN";
    case ENOENT:
      return "load the kernel module: modprobe tun";
    case ENODEV:
    case ENXIO:
      return "the kernel has no TUN/TAP driver: CONFIG_TUN";
    default:
      return {};
  }
}

std::string advice_for_attaching(const DevicePlan& plan) {
  switch (errno) {
    case EPERM:
      return "creating interfaces needs CAP_NET_ADMIN";
    case EBUSY:
      return "another program holds " + plan.name + ": stop it or name the port otherwise";
    case EINVAL:
      return "an interface with the name " + plan.name +
             " exists and is of another kind: name the port otherwise";
    default:
      return {};
  }
}

UniqueFd attach(const DevicePlan& plan) {
  UniqueFd fd{::open(kTunFile, O_RDWR | O_NONBLOCK | O_CLOEXEC)};
  if (!fd) fail(std::string{"cannot open "} + kTunFile, advice_for_opening());
  ifreq request{};
  std::strncpy(request.ifr_name, plan.name.c_str(), IFNAMSIZ - 1);
  const int flags = (plan.kind == DeviceKind::tap ? IFF_TAP : IFF_TUN) | IFF_NO_PI | IFF_VNET_HDR |
                    (plan.queues > 1 ? IFF_MULTI_QUEUE : 0);
  request.ifr_flags = static_cast<short>(flags);
  if (::ioctl(fd.get(), TUNSETIFF, &request) != 0)
    fail("cannot create interface " + plan.name, advice_for_attaching(plan));
  if (::ioctl(fd.get(), TUNSETOFFLOAD, kOffloads | kOffloadUso4 | kOffloadUso6) != 0 &&
      ::ioctl(fd.get(), TUNSETOFFLOAD, kOffloads) != 0)
    fail("cannot set offloads of " + plan.name, "the kernel is older than masqgate supports");
  return fd;
}

}  // namespace

std::vector<DeviceQueue> open_device(const DevicePlan& plan) {
  std::vector<DeviceQueue> queues;
  for (unsigned i = 0; i < plan.queues; ++i) queues.emplace_back(attach(plan), plan.kind);
  queues.front().set_persistent(plan.persistent);
  return queues;
}

void DeviceQueue::set_persistent(bool on) {
  if (::ioctl(fd_.get(), TUNSETPERSIST, on ? 1 : 0) != 0) fail("cannot set persistence", {});
}

// Offsets in the virtio header count from the start of the frame; a Frame counts from its IP
// packet.
ReadResult DeviceQueue::read(Frame& frame) noexcept {
  const std::size_t link = link_size();
  const auto room = frame.device_room(link);
  const ssize_t size = ::read(fd_.get(), room.data(), room.size());
  if (size < 0) return ReadResult::empty;
  const std::size_t front = wire::VnetHeader::kSize + link;
  if (static_cast<std::size_t>(size) < front) return ReadResult::malformed;
  frame.set_ip_size(static_cast<std::size_t>(size) - front);
  wire::VnetHeader header = *wire::VnetHeader::parse(room);
  if (header.needs_checksum()) {
    if (header.checksum_start < link) return ReadResult::malformed;
    header.checksum_start = static_cast<std::uint16_t>(header.checksum_start - link);
  }
  header.header_length =
      static_cast<std::uint16_t>(header.header_length < link ? 0 : header.header_length - link);
  frame.offload = header;
  return ReadResult::frame;
}

bool DeviceQueue::write(Frame& frame) noexcept {
  const std::size_t link = link_size();
  wire::VnetHeader header = frame.offload;
  header.flags &= wire::VnetHeader::kNeedsChecksum;
  if (header.needs_checksum())
    header.checksum_start = static_cast<std::uint16_t>(header.checksum_start + link);
  if (header.header_length != 0)
    header.header_length = static_cast<std::uint16_t>(header.header_length + link);
  const auto bytes = frame.device_bytes(link);
  header.emit(bytes);
  return ::write(fd_.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
}

}  // namespace masqgate::port
