// Which line of a rule set makes which rule, for those who are told what is wrong with a rule.

#include <algorithm>
#include <functional>

#include "daemon/language/words.hpp"

namespace masqgate::language {
namespace {

// What a line does to which chain; rules: how many it puts behind the others.
struct Line {
  std::string chain;
  std::size_t rules = 0;
  bool changes_others = false;
};

bool is_tool(std::string_view word, std::string_view tool) {
  return word == tool || word.ends_with("/" + std::string{tool});
}

// table: which is open; a line of a script may name another one.
Line read_line(std::span<const std::string> words, std::string& table) {
  Line line;
  const bool script = is_tool(words[0], "iptables");
  if (script) table = "filter";
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (script && words[i] == "-t") table = words[i + 1];
    const bool appends = words[i] == "-A" || words[i] == "--append";
    const bool changes = words[i].size() == 2 && words[i][0] == '-' &&
                         std::string_view{"IDRF"}.find(words[i][1]) != std::string_view::npos;
    if (!line.chain.empty() || (!appends && !changes)) continue;
    line = {words[i + 1], appends ? 1u : 0u, changes};
  }
  const bool twice = std::ranges::find(words, "-b") != words.end();
  if (table.empty() && twice) line.rules *= 2;  // ipchains: both ways round
  return line;
}

// Calls see(number of the line, table, what it does) until that says stop.
void walk(std::span<const std::string> lines,
          const std::function<bool(std::size_t, const std::string&, const Line&)>& see) {
  std::string table;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    std::vector<std::string> words = split(lines[i]);
    if (!words.empty() && words[0].starts_with('[')) words.erase(words.begin());
    if (words.empty() || words[0].starts_with('#') || words[0].starts_with(':')) continue;
    if (words[0].starts_with('*'))
      table = words[0].substr(1);
    else if (see(i + 1, table, read_line(words, table)))
      return;
  }
}

}  // namespace

std::string RulePlace::text() const {
  return (table.empty() ? "" : "table " + table + ", ") + "chain " + chain + ", rule " +
         std::to_string(rule);
}

std::size_t line_of(std::span<const std::string> lines, const RulePlace& place) {
  std::size_t found = 0, count = 0;
  walk(lines, [&](std::size_t number, const std::string& table, const Line& line) {
    if (table != place.table || line.chain != place.chain) return false;
    count += line.rules;
    if (line.changes_others) count = place.rule;
    if (line.rules != 0 && count >= place.rule) found = number;
    return count >= place.rule;
  });
  return found;
}

RulePlace place_of(std::span<const std::string> lines, std::size_t line) {
  RulePlace place;
  walk(lines.first(std::min(line, lines.size())),
       [&](std::size_t number, const std::string& table, const Line& one) {
         if (number == line && one.rules != 0) place = {table, one.chain, 1};
         return false;
       });
  if (place.rule == 0) return place;
  while (line_of(lines, place) != line && place.rule <= lines.size()) ++place.rule;
  return place;
}

}  // namespace masqgate::language
