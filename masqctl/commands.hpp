// What masqctl can do: each command asks the REST door and prints the answer.

#pragma once

#include <cstddef>
#include <ostream>
#include <string>

#include "masqctl/http_client.hpp"
#include "masqctl/tables.hpp"

namespace masqgate::ctl {

struct Context {
  std::string socket{};
  bool json = false;  // print what the router said, byte for byte
  std::ostream& out;
};

struct ConnectionFilter {
  std::string protocol{}, state{}, address{}, cursor{};
  std::size_t limit = 0;  // 0: all
};

// All throw Failure.

// A document at /v1/<name>, as tables.
void show_document(const Context& context, const std::string& name);
// A node that has a text for people: that text, or with --json its document.
void show_text(const Context& context, const std::string& name);
// Whatever is there, as it comes. The path may start with "/" or be one below /v1/.
void get(const Context& context, const std::string& path);

void show_drops(const Context& context);

void list_connections(const Context& context, const ConnectionFilter& filter);
void delete_connection(const Context& context, const std::string& id);

// By protocol, address, cursor and limit.
void list_mappings(const Context& context, const ConnectionFilter& filter);
void delete_mapping(const Context& context, const std::string& id);

void show_config(const Context& context);
// Hands the file ("-" is the standard input) to the router: to be checked, or to be applied.
// rejudges: connections that the rules would not admit any more are listed, or end.
void check_config(const Context& context, const std::string& file, bool rejudges);
void apply_config(const Context& context, const std::string& file, bool rejudges);

// What a change would do, or has done, to connections.
void print_report(const Context& context, const Json& report);

}  // namespace masqgate::ctl
