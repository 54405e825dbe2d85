#include "masqctl/tables.hpp"

#include <algorithm>

namespace masqgate::ctl {
namespace {

// Letters on the screen, for text in UTF-8: bytes that do not continue a letter.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string one_line(std::string_view text) {
  std::string line = printable(text);
  std::ranges::replace(line, '\n', ' ');
  std::ranges::replace(line, '\t', ' ');
  return line;
}

std::string compact(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool is_table(const Json& value) {
  return value.is_array() && !value.empty() &&
         std::ranges::all_of(value, [](const Json& row) { return row.is_object(); });
}

using Line = std::pair<std::string, const Json*>;

// The members of an object with those of its objects: {"a": {"b": 1}} has "a.b".
void flatten(const Json& object, const std::string& prefix, std::vector<Line>& lines) {
  for (const auto& [name, value] : object.items()) {
    if (value.is_object() && !value.empty())
      flatten(value, prefix + name + ".", lines);
    else
      lines.emplace_back(prefix + name, &value);
  }
}

std::vector<Line> flat(const Json& object) {
  std::vector<Line> lines;
  flatten(object, "", lines);
  return lines;
}

std::string upper(std::string name) {
  for (char& c : name)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return name;
}

// One row per object; the columns are all members in the order in which they first occur.
void print_rows(std::ostream& out, const Json& rows) {
  std::vector<std::string> names, heads;
  for (const Json& row : rows)
    for (const auto& [name, value] : flat(row))
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  for (const std::string& name : names) heads.push_back(upper(name));
  Table table{heads.size()};
  table.add(heads);
  for (const Json& row : rows) {
    std::vector<std::string> cells(names.size(), "-");
    for (const auto& [name, value] : flat(row))
      cells[static_cast<std::size_t>(std::ranges::find(names, name) - names.begin())] =
          cell(*value);
    table.add(std::move(cells));
  }
  table.print(out);
}

}  // namespace

void Table::add(std::vector<std::string> cells) {
  cells.resize(widths_.size());
  for (std::size_t i = 0; i < cells.size(); ++i) {
    cells[i] = one_line(cells[i]);
    widths_[i] = std::max(widths_[i], width(cells[i]));
  }
  rows_.push_back(std::move(cells));
}

void Table::print(std::ostream& out) {
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      line.append(widths_[i] - width(row[i]) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << '\n';
  }
  rows_.clear();
}

std::string cell(const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (!value.is_array() || is_table(value)) return compact(value);
  std::string list;
  for (const Json& one : value) list += (list.empty() ? "" : ", ") + cell(one);
  return list.empty() ? "-" : list;
}

std::string member(const Json& object, std::initializer_list<const char*> path) {
  const Json* at = &object;
  for (const char* name : path) {
    if (!at->is_object() || !at->contains(name)) return "-";
    at = &(*at)[name];
  }
  return cell(*at);
}

std::string endpoint(const Json& direction, const char* address, const char* port) {
  const std::string host = member(direction, {address}), number = member(direction, {port});
  if (number == "-") return host;
  return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + number;
}

void print_document(std::ostream& out, const Json& document) {
  if (is_table(document)) return print_rows(out, document);
  if (!document.is_object()) {
    out << one_line(cell(document)) << '\n';
    return;
  }
  Table lines{2};
  const auto members = flat(document);
  for (const auto& [name, value] : members)
    if (!is_table(*value)) lines.add({name, cell(*value)});
  lines.print(out);
  for (const auto& [name, value] : members) {
    if (!is_table(*value)) continue;
    if (members.size() > 1) out << '\n' << one_line(name) << ":\n";
    print_rows(out, *value);
  }
}

std::string printable(std::string_view text) {
  std::string out{text};
  for (char& c : out) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f) c = '?';
  }
  return out;
}

}  // namespace masqgate::ctl
