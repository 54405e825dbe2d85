#include "web/message.hpp"

#include <algorithm>
#include <array>
#include <ctime>
#include <nlohmann/json.hpp>

namespace masqgate::web {
namespace {

using Json = nlohmann::ordered_json;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

void append(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

}  // namespace

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

const std::string* find_field(const Fields& fields, std::string_view name) {
  const auto found =
      std::ranges::find_if(fields, [&](const Field& field) { return same_word(field.name, name); });
  return found == fields.end() ? nullptr : &found->value;
}

std::size_t count_fields(const Fields& fields, std::string_view name) {
  return static_cast<std::size_t>(std::ranges::count_if(
      fields, [&](const Field& field) { return same_word(field.name, name); }));
}

Response problem(unsigned status, std::string_view detail, std::string_view pointer) {
  Json document{{"type", "about:blank"},
                {"title", reason_phrase(status)},
                {"status", status},
                {"detail", detail}};
  if (!pointer.empty()) document["pointer"] = pointer;
  Response response{.status = status, .content_type = "application/problem+json"};
  // A stranger's bytes may be quoted in the detail: what is no UTF-8 is replaced.
  response.body = document.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return response;
}

std::string_view reason_phrase(unsigned status) {
  struct Phrase {
    unsigned status;
    std::string_view words;
  };
  static constexpr std::array kPhrases{
      Phrase{200, "OK"},
      Phrase{204, "No Content"},
      Phrase{304, "Not Modified"},
      Phrase{400, "Bad Request"},
      Phrase{403, "Forbidden"},
      Phrase{404, "Not Found"},
      Phrase{405, "Method Not Allowed"},
      Phrase{408, "Request Timeout"},
      Phrase{409, "Conflict"},
      Phrase{412, "Precondition Failed"},
      Phrase{413, "Content Too Large"},
      Phrase{415, "Unsupported Media Type"},
      Phrase{417, "Expectation Failed"},
      Phrase{421, "Misdirected Request"},
      Phrase{422, "Unprocessable Content"},
      Phrase{428, "Precondition Required"},
      Phrase{431, "Request Header Fields Too Large"},
      Phrase{500, "Internal Server Error"},
      Phrase{501, "Not Implemented"},
      Phrase{503, "Service Unavailable"},
  };
  const auto found = std::ranges::find(kPhrases, status, &Phrase::status);
  return found == kPhrases.end() ? "Unknown" : found->words;
}

std::string serialize(const Response& response, Framing framing, std::string_view date) {
  const bool content = response.status != 204 && response.status != 304;
  std::string out = "HTTP/1.1 " + std::to_string(response.status) + " ";
  out.append(reason_phrase(response.status)).append("\r\n");
  append(out, "Date", date);
  if (content) {
    if (!response.content_type.empty()) append(out, "Content-Type", response.content_type);
    if (!response.events) append(out, "Content-Length", std::to_string(response.body.size()));
  }
  append(out, "X-Content-Type-Options", "nosniff");
  append(out, "Cache-Control", "no-cache");
  for (const Field& field : response.fields) append(out, field.name, field.value);
  // Both words are said, so that an HTTP/1.0 client that asked to stay knows that it may.
  append(out, "Connection", framing.keep_alive ? "keep-alive" : "close");
  out += "\r\n";
  if (content && !framing.head_only) out += response.body;
  return out;
}

std::string http_date(std::int64_t seconds_since_1970) {
  const std::time_t seconds = seconds_since_1970;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  static constexpr std::array<std::string_view, 7> kDays{"Sun", "Mon", "Tue", "Wed",
                                                         "Thu", "Fri", "Sat"};
  static constexpr std::array<std::string_view, 12> kMonths{
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  // strftime's names follow the locale; HTTP's do not.
  std::array<char, 32> rest{};
  std::string out{kDays.at(static_cast<std::size_t>(parts.tm_wday))};
  std::strftime(rest.data(), rest.size(), ", %d ", &parts);
  out += rest.data();
  out += kMonths.at(static_cast<std::size_t>(parts.tm_mon));
  std::strftime(rest.data(), rest.size(), " %Y %H:%M:%S GMT", &parts);
  return out + rest.data();
}

}  // namespace masqgate::web
