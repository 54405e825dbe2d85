#include "web/admission.hpp"

#include <algorithm>
#include <asio/ip/address.hpp>

namespace masqgate::web {
namespace {

bool is_port(std::string_view text) {
  return text.size() <= 5 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// "[::1]:80" and "::1" have colons of their own.
std::string_view without_port(std::string_view authority) {
  const std::size_t colon = authority.rfind(':');
  const std::size_t bracket = authority.rfind(']');
  if (colon == std::string_view::npos) return authority;
  if (bracket != std::string_view::npos && bracket > colon) return authority;
  return is_port(authority.substr(colon + 1)) ? authority.substr(0, colon) : authority;
}

// A target in absolute form ("http://host/path", RFC 9112 section 3.2.2) overrules the Host field.
std::string_view authority_of(const Request& request) {
  constexpr std::string_view kScheme = "http://";
  const std::string_view target = request.target;
  if (target.size() > kScheme.size() && same_word(target.substr(0, kScheme.size()), kScheme)) {
    const std::string_view rest = target.substr(kScheme.size());
    return rest.substr(0, rest.find_first_of("/?"));
  }
  const std::string* host = find_field(request.fields, "Host");
  return host == nullptr ? std::string_view{} : *host;
}

bool says_json(const Request& request) {
  const std::string* type = find_field(request.fields, "Content-Type");
  if (type == nullptr || count_fields(request.fields, "Content-Type") != 1) return false;
  std::string_view media = std::string_view{*type}.substr(0, type->find(';'));
  while (!media.empty() && (media.back() == ' ' || media.back() == '\t')) media.remove_suffix(1);
  return same_word(media, "application/json");
}

bool only_reads(const Request& request) {
  return request.method == "GET" || request.method == "HEAD" || request.method == "OPTIONS";
}

}  // namespace

bool names_loopback(std::string_view authority) {
  std::string_view host = without_port(authority);
  if (same_word(host, "localhost")) return true;
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  asio::error_code error;
  const asio::ip::address address = asio::ip::make_address(std::string{host}, error);
  return !error && address.is_loopback() && address.is_v6() == bracketed;
}

std::optional<Response> refuse_admission(const Request& request, Door door) {
  const std::string_view authority = authority_of(request);
  if (door == Door::tcp && !names_loopback(authority))
    return problem(421, "Host must be localhost or an address of the loopback");
  const std::string* origin = find_field(request.fields, "Origin");
  if (origin != nullptr && !same_word(*origin, "http://" + std::string{authority}))
    return problem(403, "requests from pages of other origins are refused");
  if (only_reads(request)) return std::nullopt;
  // No form and no page can send DELETE unasked, and a DELETE has nothing to be typed: on the unix
  // socket, where no browser comes, it may go without.
  const bool untyped = request.method == "DELETE" && !request.has_body && door == Door::local;
  if (!untyped && !says_json(request))
    return problem(415, "requests that change something need Content-Type: application/json");
  return std::nullopt;
}

}  // namespace masqgate::web
