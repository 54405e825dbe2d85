// JSON for people: aligned columns, no need to know every member.
//
// What is shown may have been written by strangers (comments, names): control characters never
// reach the terminal.

#pragma once

#include <cstddef>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace masqgate::ctl {

using Json = nlohmann::ordered_json;

// Columns as wide as their widest cell so far. Rows may be printed in parts (pages): a later part
// never gets narrower.
class Table {
 public:
  explicit Table(std::size_t columns) : widths_(columns, 0) {}
  void add(std::vector<std::string> cells);  // missing cells are empty
  // Prints the rows added since the last time.
  void print(std::ostream& out);

 private:
  std::vector<std::size_t> widths_;
  std::vector<std::vector<std::string>> rows_;
};

// A value in one cell: text without quotes, lists joined by commas, "-" for null.
std::string cell(const Json& value);
// The member at a path ("original", "source") as a cell; "-" if there is none.
std::string member(const Json& object, std::initializer_list<const char*> path);
// "192.0.2.1:80", "[2001:db8::1]:80", or the address alone where the protocol has no ports.
std::string endpoint(const Json& direction, const char* address, const char* port);

// Any document: members as lines, lists of objects as tables, deeper objects with dotted names.
void print_document(std::ostream& out, const Json& document);

// Control characters except line breaks and tabs become question marks.
std::string printable(std::string_view text);

}  // namespace masqgate::ctl
