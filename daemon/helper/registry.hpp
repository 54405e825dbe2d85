// The list of helpers: each is a constant in a file of its own.

#pragma once

#include "daemon/helper/helper.hpp"

namespace masqgate::helper {

extern const Helper kFtp, kTftp, kIrc, kPptp, kIpsec, kSip, kSipTcp, kSnmp, kTalk, kRsh, kAmanda,
    kRtsp, kH323, kCuseeme, kVdolive, kQuake, kQuake3, kIcq, kDirectplay, kDirectplayTcp, kEggdrop;

}  // namespace masqgate::helper
