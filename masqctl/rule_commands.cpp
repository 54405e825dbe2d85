#include "masqctl/rule_commands.hpp"

#include "masqctl/asking.hpp"

namespace masqgate::ctl {
namespace {

constexpr int kMostAttempts = 20;
constexpr unsigned kChangedMeanwhile = 412;

std::string rules_target(const RuleArguments& given) {
  return "/v1/firewall/" + percent_encode(given.chain) + "/rules";
}

std::string rule_target(const RuleArguments& given) {
  return rules_target(given) + "/" + percent_encode(given.id);
}

std::string name_of(const RuleArguments& given) {
  return "chain " + given.chain + (given.id.empty() ? "" : ", rule " + given.id);
}

std::string rule_text(const std::string& argument) {
  return argument.starts_with('{') ? argument : read_file(argument);
}

// With the query of what is to become of connections.
std::string with_query(std::string target, const RuleArguments& given) {
  const auto add = [&](const char* name, const std::string& value) {
    if (value.empty()) return;
    target += target.find('?') == target.npos ? '?' : '&';
    target += name + std::string{"="} + percent_encode(value);
  };
  add("before", given.before);
  add("after", given.after);
  add("rejudge", given.rejudge.empty() ? "" : given.rejudge == "list" ? "1" : "confirm");
  return target;
}

// Names the version of what is at `versioned`, which the call changes; again if another one was
// quicker.
Reply change(const Context& context, const std::string& versioned, Call call,
             const std::string& about) {
  for (int attempt = 1;; ++attempt) {
    call.if_match = ask(context, {.target = versioned}, about).etag;
    if (attempt == kMostAttempts) return ask(context, call, about);
    const Reply reply = send(context.socket, call);
    if (reply.status != kChangedMeanwhile) return expect_success(reply, about);
  }
}

void tell(const Context& context, const Reply& reply, const std::string& done,
          const RuleArguments& given) {
  if (context.json) {
    context.out << reply.body;
    return;
  }
  if (given.rejudge != "list") context.out << done << '\n';
  if (!given.rejudge.empty()) print_report(context, parse(reply, done));
}

}  // namespace

void show_rules(const Context& context, const RuleArguments& given) {
  const std::string target = given.id.empty() ? rules_target(given) : rule_target(given);
  const Reply reply = ask(context, {.target = target}, name_of(given));
  if (context.json)
    context.out << reply.body;
  else
    context.out << parse(reply, name_of(given)).dump(2, ' ', false, Json::error_handler_t::replace)
                << '\n';
}

void add_rule(const Context& context, const RuleArguments& given) {
  const Call call{.method = "POST",
                  .target = with_query(rules_target(given), given),
                  .body = rule_text(given.rule)};
  const Reply reply = change(context, rules_target(given), call, name_of(given));
  const std::string id = member(parse(reply, name_of(given)), {"id"});
  tell(context, reply, id == "-" ? "added" : "added " + id, given);
}

// What is replaced is what stands there now, whoever wrote it.
void replace_rule(const Context& context, const RuleArguments& given) {
  const Call call{.method = "PUT",
                  .target = with_query(rule_target(given), given),
                  .body = rule_text(given.rule)};
  const Reply reply = change(context, rule_target(given), call, name_of(given));
  tell(context, reply, "replaced " + given.id, given);
}

void delete_rule(const Context& context, const RuleArguments& given) {
  const Call call{.method = "DELETE", .target = with_query(rule_target(given), given)};
  const Reply reply = change(context, rule_target(given), call, name_of(given));
  tell(context, reply, "deleted " + given.id, given);
}

}  // namespace masqgate::ctl
