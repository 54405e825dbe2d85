// Edits of the configuration document, a rule, a chain or a set at a time. They know nothing of
// what rules mean: the document is read as a whole behind them, and that is where it is refused.
//
// The document is canonical (to_json), so that each rule has its id. All throw state::Error:
// not_found where there is no such thing, conflict where its name is taken, or where the rules are
// lines of an old language, which have no chains to edit.

#pragma once

#include <string>

#include "daemon/state/tree.hpp"

namespace masqgate::control {

using state::Json;

Json& chains_of(Json& document);
Json& chain_of(Json& document, const std::string& chain);
Json& rules_of(Json& document, const std::string& chain);
Json& rule_of(Json& document, const std::string& chain, const std::string& id);
Json& set_of(Json& document, const std::string& set);

// Where a new rule goes: in front of another, behind it, or to the end.
struct RulePlace {
  std::string before, after;  // ids
  // ?before=ID or ?after=ID. Throws malformed.
  static RulePlace parse(const state::Query& query);
};

// What was written, and where it stands now.
struct Edit {
  std::string name;     // the id of the rule, the text of the element
  std::string pointer;  // of it in the document
};

// A rule without an id gets the first free one: "forward-4".
Edit add_rule(Json& document, const std::string& chain, Json rule, const RulePlace& place);
// A rule without an id keeps the one that it had.
Edit replace_rule(Json& document, const std::string& chain, const std::string& id, Json rule);
void remove_rule(Json& document, const std::string& chain, const std::string& id);

// The elements of a set, whatever their kind.
Json& elements_of(Json& document, const std::string& set);
// "192.0.2.1", or {"element": "192.0.2.1", "timeout": 60}. One that is there already begins its
// time anew.
Edit add_element(Json& document, const std::string& set, Json element);
// As it was added: "10.0.0.0/8".
void remove_element(Json& document, const std::string& set, const std::string& element);

}  // namespace masqgate::control
