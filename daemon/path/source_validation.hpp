// Who may be the sender of what comes in by a port (RFC 2827, RFC 3704; rp_filter of Linux).

#pragma once

#include <cstdint>

namespace masqgate::path {

enum class SourceValidation : std::uint8_t {
  off,
  loose,   // whom a route leads to; from outside: nobody who is inside
  strict,  // whom a route leads to through this port
};

}  // namespace masqgate::path
