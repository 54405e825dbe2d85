// An Interface: one end of a port as the packet path sees it. Devices and tests both are one.

#pragma once

#include "daemon/packet/frame.hpp"

namespace masqgate::port {

enum class ReadResult : std::uint8_t {
  frame,      // the frame was filled
  empty,      // nothing there now, or the device is down
  malformed,  // something was read that is no frame; it is gone
};

class Interface {
 public:
  virtual ~Interface() = default;
  // Both never wait. write: false if the device takes no more now.
  virtual ReadResult read(Frame& frame) noexcept = 0;
  virtual bool write(Frame& frame) noexcept = 0;
  // To wait on for reading; -1 where there is nothing to wait on.
  virtual int descriptor() const noexcept = 0;
  // Bytes of link header in front of the IP packet: 14 or 0.
  virtual std::size_t link_size() const noexcept = 0;
};

}  // namespace masqgate::port
