#include "daemon/base/random.hpp"

#include <sys/random.h>

#include <cerrno>
#include <system_error>

namespace masqgate {

HashKey random_key() {
  HashKey key;
  if (getrandom(&key, sizeof key, 0) != static_cast<ssize_t>(sizeof key))
    throw std::system_error(errno, std::generic_category(), "getrandom");
  return key;
}

}  // namespace masqgate
