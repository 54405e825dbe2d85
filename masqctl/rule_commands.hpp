// Rules one at a time: masqctl rules show, add, replace, delete.

#pragma once

#include <string>

#include "masqctl/commands.hpp"

namespace masqgate::ctl {

struct RuleArguments {
  std::string chain{}, id{};
  std::string rule{};  // JSON, or the name of a file that has it; "-" is the standard input
  std::string before{}, after{};
  std::string rejudge{};  // "list" or "end" the connections that the rules would not admit any more
};

// All throw Failure. A change that somebody else makes at the same time is noticed; what is to be
// added or taken away is tried again then.
void show_rules(const Context& context,
                const RuleArguments& given);  // without id: all of the chain
void add_rule(const Context& context, const RuleArguments& given);
void replace_rule(const Context& context, const RuleArguments& given);
void delete_rule(const Context& context, const RuleArguments& given);

}  // namespace masqgate::ctl
