#include "masqctl/set_commands.hpp"

#include "masqctl/asking.hpp"

namespace masqgate::ctl {
namespace {

std::string elements_target(const SetArguments& given) {
  return "/v1/sets/" + percent_encode(given.set) + "/elements";
}

void add_rows(Table& table, const std::string& name, const std::string& kind,
              const Json& elements) {
  if (elements.empty()) table.add({name, kind});
  for (const Json& one : elements)
    if (one.is_object())
      table.add({name, kind, member(one, {"element"}), member(one, {"timeout"}),
                 member(one, {"expires"})});
    else
      table.add({name, kind, cell(one), "-", "-"});
}

}  // namespace

void list_sets(const Context& context) {
  const Reply reply = ask(context, {.target = "/v1/sets"}, "sets");
  if (context.json) {
    context.out << reply.body;
    return;
  }
  Table table{5};
  table.add({"SET", "KIND", "ELEMENT", "TIMEOUT", "EXPIRES"});
  const Json sets = parse(reply, "sets");
  for (const auto& [name, set] : sets.items())
    for (const auto& [kind, elements] : set.items())
      if (elements.is_array()) add_rows(table, name, kind, elements);
  table.print(context.out);
}

void add_element(const Context& context, const SetArguments& given) {
  Json element{{"element", given.element}};
  if (given.timeout) element["timeout"] = *given.timeout;
  const Reply reply =
      ask(context, {.method = "POST", .target = elements_target(given), .body = element.dump()},
          "set " + given.set);
  if (context.json) context.out << reply.body;
}

void delete_element(const Context& context, const SetArguments& given) {
  const std::string target = elements_target(given) + "?element=" + percent_encode(given.element);
  ask(context, {.method = "DELETE", .target = target}, "set " + given.set);
}

}  // namespace masqgate::ctl
