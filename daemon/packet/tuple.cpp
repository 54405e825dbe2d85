#include "daemon/packet/tuple.hpp"

#include <array>
#include <cstdio>

namespace masqgate {

std::string Tuple::text() const {
  if (protocol != net::Protocol::esp)
    return net::text(protocol) + " " + source().text() + " > " + destination().text();
  std::array<char, 16> index;
  std::snprintf(index.data(), index.size(), "0x%08x", static_cast<unsigned>(spi()));
  return "esp " + source_address.text() + " > " + destination_address.text() + " spi " +
         index.data();
}

}  // namespace masqgate
