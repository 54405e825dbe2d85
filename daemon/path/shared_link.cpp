#include "daemon/path/shared_link.hpp"

#include <sys/eventfd.h>

#include <utility>

namespace masqgate::path {

using divert::Descriptor;
using divert::Region;

std::unique_ptr<SharedLink> SharedLink::create() noexcept {
  Descriptor to = Region::create(kToProgram), from = Region::create(kFromProgram);
  Descriptor bell{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (to.get() < 0 || from.get() < 0 || bell.get() < 0) return nullptr;
  auto own = Region::map(to, true), other = Region::map(from, false);
  if (!own || !other || !Region::close_for_writing(to)) return nullptr;
  return std::make_unique<SharedLink>(
      SharedLink{divert::SharedEnd{std::move(*own), std::move(*other)}, std::move(to),
                 std::move(from), std::move(bell)});
}

}  // namespace masqgate::path
