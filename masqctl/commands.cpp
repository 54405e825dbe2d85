#include "masqctl/commands.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "masqctl/asking.hpp"

namespace masqgate::ctl {
namespace {

constexpr std::size_t kPage = 500;  // entries per request

// Fetches the current version and puts the file in its place, so that a change by somebody else in
// between is noticed and not overwritten.
void put_config(const Context& context, const std::string& file, const std::string& target,
                std::string_view done) {
  const std::string document = read_file(file);
  const Reply current = ask(context, {.target = "/v1/config"}, "config");
  const Call call{.method = "PUT", .target = target, .if_match = current.etag, .body = document};
  const Reply reply = ask(context, call, file);
  if (context.json) {
    context.out << reply.body;
    return;
  }
  context.out << done << '\n';
  if (reply.body.empty()) return;
  Json shown = parse(reply, file);
  if (shown.is_object() && shown.contains("rejudge")) {
    print_report(context, shown);
    shown.erase("rejudge");
  }
  print_document(context.out, shown);
}

// path: "connections" or "nat/mappings"; its last part is also the name of the list.
std::string page_target(const std::string& path, const ConnectionFilter& filter, std::size_t limit,
                        const std::string& cursor) {
  std::string target = "/v1/" + path + "?limit=" + std::to_string(limit);
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) target += std::string{"&"} + name + "=" + percent_encode(value);
  };
  add("protocol", filter.protocol);
  add("state", filter.state);
  add("address", filter.address);
  add("cursor", cursor);
  return target;
}

std::string flags_of(const Json& connection) {
  std::string flags;
  for (const char* name : {"masquerade", "assured"})
    if (member(connection, {name}) == "yes")
      flags += (flags.empty() ? "" : ",") + std::string{name};
  return flags;
}

constexpr std::array<const char*, 10> kConnectionHeads{
    "ID",          "PROTOCOL", "STATE",   "TIMEOUT", "SOURCE",
    "DESTINATION", "REPLY-TO", "PACKETS", "BYTES",   "FLAGS"};

std::vector<std::string> connection_row(const Json& connection) {
  const Json nothing = Json::object();
  const auto direction = [&](const char* name) -> const Json& {
    return connection.contains(name) ? connection[name] : nothing;
  };
  const Json &original = direction("original"), &reply = direction("reply");
  const auto both = [&](const char* name) {
    return member(original, {name}) + "/" + member(reply, {name});
  };
  return {member(connection, {"id"}),
          member(connection, {"protocol"}),
          member(connection, {"state"}),
          member(connection, {"timeout_s"}),
          endpoint(original, "source", "source_port"),
          endpoint(original, "destination", "destination_port"),
          endpoint(reply, "destination", "destination_port"),
          both("packets"),
          both("bytes"),
          flags_of(connection)};
}

// Calls on_page with the list of each page until the end or the limit; returns the cursor behind
// it, or null.
template <class OnPage>
Json walk_pages(const Context& context, const std::string& path, const ConnectionFilter& filter,
                OnPage on_page) {
  const std::string name = path.substr(path.rfind('/') + 1);
  std::size_t left = filter.limit == 0 ? static_cast<std::size_t>(-1) : filter.limit;
  std::string cursor = filter.cursor;
  for (;;) {
    const std::string target = page_target(path, filter, std::min(left, kPage), cursor);
    Json page = parse(ask(context, {.target = target}, name), name);
    if (!page.is_object() || !page.contains(name))
      throw Failure{Exit::refused, name + ": the answer has none"};
    const std::size_t size = page[name].size();
    on_page(page[name]);
    left -= std::min(left, size);
    const Json next = page.value("next", Json{});
    if (next.is_null() || left == 0) return next;
    if (cell(next) == cursor) throw Failure{Exit::refused, name + ": the pages do not end"};
    cursor = cell(next);
  }
}

// A list in pages: as one document, or as one table.
template <class Row>
void list_pages(const Context& context, const std::string& path, const ConnectionFilter& filter,
                const std::vector<std::string>& heads, Row row) {
  if (context.json) {
    Json all = Json::array();
    const Json next = walk_pages(context, path, filter, [&](Json& page) {
      for (Json& one : page) all.push_back(std::move(one));
    });
    context.out << Json{{path.substr(path.rfind('/') + 1), std::move(all)}, {"next", next}}.dump()
                << '\n';
    return;
  }
  Table table{heads.size()};
  table.add(heads);
  walk_pages(context, path, filter, [&](const Json& page) {
    for (const Json& one : page) table.add(row(one));
    table.print(context.out);
  });
}

std::vector<std::string> mapping_row(const Json& mapping) {
  const Json nothing = Json::object();
  const auto end = [&](const char* name) {
    return endpoint(mapping.contains(name) ? mapping[name] : nothing, "address", "port");
  };
  return {member(mapping, {"id"}),
          member(mapping, {"protocol"}),
          end("inside"),
          end("outside"),
          member(mapping, {"connections"}),
          member(mapping, {"timeout_s"}),
          member(mapping, {"mapping"}),
          member(mapping, {"filtering"})};
}

}  // namespace

void show_document(const Context& context, const std::string& name) {
  const Reply reply = ask(context, {.target = "/v1/" + name}, name);
  if (context.json)
    context.out << reply.body;
  else
    print_document(context.out, parse(reply, name));
}

void show_text(const Context& context, const std::string& name) {
  Call call{.target = "/v1/" + name};
  if (!context.json) call.accept = "text/plain";
  const Reply reply = ask(context, call, name);
  context.out << (context.json ? reply.body : printable(reply.body));
}

void get(const Context& context, const std::string& path) {
  const bool plain = std::ranges::all_of(path, [](char c) { return c > ' ' && c < 0x7f; });
  if (path.empty() || !plain)
    throw Failure{Exit::usage, "a path has no blanks; write special characters as %20"};
  const std::string target = path.front() == '/' ? path : "/v1/" + path;
  context.out << ask(context, {.target = target}, target).body;
}

void show_drops(const Context& context) {
  const Reply reply = ask(context, {.target = "/v1/drops"}, "drops");
  if (context.json) {
    context.out << reply.body;
    return;
  }
  Json document = parse(reply, "drops");
  Table table{2};
  table.add({"REASON", "PACKETS"});
  if (document.is_object() && document.contains("drops"))
    for (const auto& [reason, count] : document["drops"].items()) table.add({reason, cell(count)});
  table.print(context.out);
  if (!document.is_object()) return;
  document.erase("drops");
  context.out << '\n';
  print_document(context.out, document);
}

void list_connections(const Context& context, const ConnectionFilter& filter) {
  list_pages(context, "connections", filter, {kConnectionHeads.begin(), kConnectionHeads.end()},
             connection_row);
}

void list_mappings(const Context& context, const ConnectionFilter& filter) {
  list_pages(
      context, "nat/mappings", filter,
      {"ID", "PROTOCOL", "INSIDE", "OUTSIDE", "CONNECTIONS", "TIMEOUT", "MAPPING", "FILTERING"},
      mapping_row);
}

void delete_mapping(const Context& context, const std::string& id) {
  const Call call{.method = "DELETE", .target = "/v1/nat/mappings/" + percent_encode(id)};
  ask(context, call, "mapping " + id);
}

void delete_connection(const Context& context, const std::string& id) {
  const Call call{.method = "DELETE", .target = "/v1/connections/" + percent_encode(id)};
  ask(context, call, "connection " + id);
}

void show_config(const Context& context) {
  const Reply reply = ask(context, {.target = "/v1/config"}, "config");
  if (context.json)
    context.out << reply.body;
  else
    context.out << parse(reply, "config").dump(2, ' ', false, Json::error_handler_t::replace)
                << '\n';
}

void check_config(const Context& context, const std::string& file, bool rejudges) {
  put_config(context, file, rejudges ? "/v1/config?rejudge=1" : "/v1/config?dry_run=1",
             "acceptable");
}

void apply_config(const Context& context, const std::string& file, bool rejudges) {
  put_config(context, file, rejudges ? "/v1/config?rejudge=confirm" : "/v1/config", "applied");
}

void print_report(const Context& context, const Json& report) {
  const Json& rejudge = report["rejudge"];
  Table table{kConnectionHeads.size() + 1};
  std::vector<std::string> heads{kConnectionHeads.begin(), kConnectionHeads.end()};
  heads.emplace_back("REFUSED-BY");
  table.add(std::move(heads));
  if (rejudge.is_object() && rejudge.contains("connections"))
    for (const Json& one : rejudge["connections"]) {
      std::vector<std::string> row = connection_row(one);
      row.push_back(member(one, {"refused_by", "chain"}) + "/" +
                    member(one, {"refused_by", "rule"}));
      table.add(std::move(row));
    }
  table.print(context.out);
  context.out << "judged " << member(rejudge, {"judged"}) << ", refused "
              << member(rejudge, {"refused"}) << ", ended " << member(rejudge, {"ended"}) << '\n';
}

}  // namespace masqgate::ctl
