// Documents for the tests of the configuration, and how they are refused.

#pragma once

#include "daemon/control/config.hpp"
#include "daemon/state/json_text.hpp"

namespace masqgate::test {

using control::Config;
using state::Json;
using state::Problem;

inline constexpr const char* kRuntime = "/run/masqgate";

// Two ports; what a row of a table adds is merged into it (RFC 7396).
inline Json document(const char* patch = "{}") {
  Json base = Json::parse(R"({"ports": {
    "lan": {"nics": ["eth1"], "addresses": ["192.168.0.1/24", "fd00:1::1/64"]},
    "wan": {"nics": ["eth0"], "addresses": ["203.0.113.2/24"]}}})");
  base.merge_patch(Json::parse(patch));
  return base;
}

inline Config config(const char* patch = "{}") {
  return control::from_json(document(patch), kRuntime);
}

struct Refusal {
  Problem problem{};
  std::string pointer;
  std::string sentence;
};

template <typename Read>
Refusal refusal_of(Read read) {
  try {
    read();
  } catch (const state::Error& error) {
    return {error.problem(), error.pointer(), error.what()};
  }
  return {Problem::not_offered, "accepted", ""};
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace masqgate::test
