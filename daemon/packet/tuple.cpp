#include "daemon/packet/tuple.hpp"

namespace masqgate {

std::string Tuple::text() const {
  return net::text(protocol) + " " + source().text() + " > " + destination().text();
}

}  // namespace masqgate
