// Named sets: masqctl sets, and sets add, delete.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "masqctl/commands.hpp"

namespace masqgate::ctl {

struct SetArguments {
  std::string set{}, element{};
  std::optional<std::uint32_t> timeout{};  // seconds; none: as the set says
};

// All throw Failure.
void list_sets(const Context& context);
void add_element(const Context& context, const SetArguments& given);
void delete_element(const Context& context, const SetArguments& given);

}  // namespace masqgate::ctl
