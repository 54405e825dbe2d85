// Rule sets from text, and packets judged by them without a router.

#pragma once

#include <string>
#include <vector>

#include "daemon/firewall/firewall_json.hpp"
#include "daemon/firewall/memory.hpp"

namespace masqgate::test {

inline const std::vector<std::string> kRulePorts{"lan", "wan", "dmz"};

inline firewall::Ruleset rules(const std::string& text) {
  const json::Json document = json::Json::parse(text);
  return firewall::from_json(json::Value{document, "/firewall"}, kRulePorts);
}

struct Refusal {
  std::string pointer;
  std::string sentence;
};

inline Refusal refusal(const std::string& text) {
  try {
    rules(text);
  } catch (const json::Error& error) {
    return {error.pointer(), error.what()};
  }
  return {"accepted", ""};
}

// A ruleset with a memory of its own, and the time by hand.
class RuleLab {
 public:
  explicit RuleLab(firewall::Ruleset ruleset) { replace(std::move(ruleset)); }
  explicit RuleLab(const std::string& text) : RuleLab{rules(text)} {}

  void replace(firewall::Ruleset ruleset) {
    ruleset_ = std::move(ruleset);
    memory.adopt(ruleset_);
  }
  void replace(const std::string& text) { replace(rules(text)); }

  firewall::Decision judge(firewall::Hook hook, Packet& packet) {
    return ruleset_.evaluate(hook, packet, memory);
  }
  const firewall::Ruleset& ruleset() const { return ruleset_; }

  conntrack::Table connections{conntrack::Region{"", 64}, Time{std::chrono::seconds{1000}}};
  firewall::Memory memory{HashKey{1, 2}, connections};

 private:
  firewall::Ruleset ruleset_;
};

}  // namespace masqgate::test
