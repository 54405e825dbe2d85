// TAP and TUN devices with virtio headers (Documentation/networking/tuntap.rst): open, read, write.
//
// Big packets and unfinished checksums pass as they are: the virtio header is read and written, the
// work it tells of is left to whoever needs it done. Without segmentation offload throughput is a
// tenth.

#pragma once

#include <string>
#include <vector>

#include "daemon/base/unique_fd.hpp"
#include "daemon/port/interface.hpp"

namespace masqgate::port {

enum class DeviceKind : std::uint8_t { tap, tun };

struct DevicePlan {
  std::string name;  // at most 15 bytes
  DeviceKind kind = DeviceKind::tap;
  unsigned queues = 1;
  bool persistent = true;  // stays when the process ends, bridge membership and addresses included
};

// One queue of a device. The descriptor is non-blocking.
class DeviceQueue final : public Interface {
 public:
  DeviceQueue(UniqueFd fd, DeviceKind kind) : fd_{std::move(fd)}, kind_{kind} {}

  ReadResult read(Frame& frame) noexcept override;
  bool write(Frame& frame) noexcept override;
  int descriptor() const noexcept override { return fd_.get(); }
  std::size_t link_size() const noexcept override {
    return kind_ == DeviceKind::tap ? Frame::kLinkSize : 0;
  }
  // Whether the device stays when the descriptor is closed. Throws std::system_error.
  void set_persistent(bool on);

 private:
  UniqueFd fd_;
  DeviceKind kind_;
};

// Creates the device or takes over a persistent one. Throws std::system_error whose text says which
// file or device is meant and what to do (no permission, name taken, no such driver).
std::vector<DeviceQueue> open_device(const DevicePlan& plan);

}  // namespace masqgate::port
