// Session descriptions (SDP, RFC 4566) inside other protocols: where the speaker wants to get his media.

#pragma once

#include "daemon/helper/edits.hpp"

namespace masqgate::helper {

// Announces the RTP and RTCP ports of each medium, and tells the receiver the ones that he can reach.
// body: a part of the context's message.
void read_sdp(Context& context, Edits& edits, std::string_view body, Duration life);

}  // namespace masqgate::helper
