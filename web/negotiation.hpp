// Two small languages of header fields: Accept, and lists of entity tags (RFC 9110, sections
// 12.5.1 and 8.8.3).

#pragma once

#include <string>
#include <string_view>

namespace masqgate::web {

// Whether this Accept field (null: absent) likes text/plain better than application/json.
bool prefers_text(const std::string* accept);

// Whether an If-Match or If-None-Match value names this tag ("\"7\"", quotes included); "*" names
// any. Weak tags never match: a write must know the exact document.
bool names_tag(std::string_view list, std::string_view tag);

}  // namespace masqgate::web
