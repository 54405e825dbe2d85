// The list of helpers: each is a constant in a file of its own.

#pragma once

#include "daemon/helper/helper.hpp"

namespace masqgate::helper {

extern const Helper kFtp, kTftp, kIrc;

}  // namespace masqgate::helper
