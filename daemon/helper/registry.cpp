#include "daemon/helper/registry.hpp"

#include <algorithm>
#include <array>

namespace masqgate::helper {
namespace {

constexpr std::array kAll{&kFtp,        &kTftp,          &kIrc,     &kPptp,  &kIpsec,  &kSip,
                          &kSipTcp,     &kSnmp,          &kTalk,    &kRsh,   &kAmanda, &kRtsp,
                          &kH323,       &kCuseeme,       &kVdolive, &kQuake, &kQuake3, &kIcq,
                          &kDirectplay, &kDirectplayTcp, &kEggdrop};

constexpr std::array<std::string_view, kRefusals> kRefusalNames{
    "foreign",       "wrong_side", "malformed",   "third_host", "low_port", "denied_port",
    "line_too_long", "too_many",   "no_endpoint", "no_room",    "unseen",   "pending"};
static_assert(!kRefusalNames.back().empty());

}  // namespace

std::string_view name(Refusal refusal) {
  return kRefusalNames[static_cast<std::size_t>(refusal)];
}

std::span<const Helper* const> all_helpers() {
  return kAll;
}

const Helper* find_helper(std::string_view name) {
  const auto found = std::ranges::find(kAll, name, &Helper::name);
  return found == kAll.end() ? nullptr : *found;
}

bool Context::replace(std::size_t offset, std::size_t size, std::string_view text) {
  const std::size_t before = is_changed_ ? size_ : message_.size();
  const std::size_t after = before - size + text.size();
  if (after > kMostText || after > room_.size() || before > room_.size()) return false;
  if (!is_changed_) std::ranges::copy(message_, room_.begin());
  const std::size_t at = offset + shift_;
  const auto rest = message_.subspan(offset + size);
  std::ranges::copy(std::as_bytes(std::span{text}), room_.subspan(at).begin());
  std::ranges::copy(rest, room_.subspan(at + text.size()).begin());
  is_changed_ = true;
  size_ = after;
  shift_ += text.size() - size;
  return true;
}

}  // namespace masqgate::helper
