// Unit tests of masqctl: documents as tables, whatever members they have.

#include <doctest/doctest.h>

#include <sstream>

#include "masqctl/http_client.hpp"
#include "masqctl/tables.hpp"

using namespace masqgate::ctl;

namespace {

std::string printed(const char* json) {
  std::ostringstream out;
  print_document(out, Json::parse(json));
  return out.str();
}

}  // namespace

TEST_CASE("tables: members are lines, deeper ones have dotted names") {
  CHECK(
      printed(
          R"({"name": "x", "a": {"b": {"c": 1}}, "l": ["p", 2], "n": null, "t": true, "e": {}})") ==
      "name   x\n"
      "a.b.c  1\n"
      "l      p, 2\n"
      "n      -\n"
      "t      yes\n"
      "e      {}\n");
}

TEST_CASE("tables: a list of objects is a table with every member that occurs") {
  CHECK(
      printed(
          R"({"ports": [{"name": "lan", "new": {"x": 1}}, {"name": "a-long-name", "mtu": 9000}]})") ==
      "NAME         NEW.X  MTU\n"
      "lan          1      -\n"
      "a-long-name  -      9000\n");
  CHECK(printed(R"({"total": 1, "rows": [{"a": 1}]})") == "total  1\n\nrows:\nA\n1\n");
}

TEST_CASE("tables: any JSON is printed") {
  CHECK(printed("[]") == "-\n");
  CHECK(printed("\"x\"") == "x\n");
  CHECK(printed("{}").empty());
  CHECK(printed("[1, [2, 3], {\"a\": 1}]") == "1, 2, 3, {\"a\":1}\n");
}

TEST_CASE("tables: strangers cannot write on the terminal") {
  CHECK(printed(R"({"comment": "a\u001b[2Jb\nc\u007f"})") == "comment  a?[2Jb c?\n");
  CHECK(printable("a\x1b\tb\nc") == "a?\tb\nc");
}

TEST_CASE("tables: pages keep their columns; letters of two bytes are one wide") {
  std::ostringstream out;
  Table table{2};
  table.add({"ü", "x"});
  table.add({"long", "y"});
  table.print(out);
  table.add({"s", "z", "beyond"});
  table.add({});
  table.print(out);
  CHECK(out.str() == "ü     x\nlong  y\ns     z\n\n");
}

TEST_CASE("endpoints: both families, with and without ports") {
  const Json direction{{"four", "192.0.2.1"}, {"six", "2001:db8::1"}, {"port", 80}};
  CHECK(endpoint(direction, "four", "port") == "192.0.2.1:80");
  CHECK(endpoint(direction, "six", "port") == "[2001:db8::1]:80");
  CHECK(endpoint(direction, "six", "none") == "2001:db8::1");
  CHECK(endpoint(Json{}, "four", "port") == "-");
}

TEST_CASE("targets: values are encoded") {
  CHECK(percent_encode("a/b c&d=%é~") == "a%2Fb%20c%26d%3D%25%C3%A9~");
}
