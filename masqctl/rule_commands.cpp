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

void tell(const Context& context, const Reply& reply, const std::string& done) {
  if (context.json)
    context.out << reply.body;
  else
    context.out << done << '\n';
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
  Call call{.method = "POST", .target = rules_target(given), .body = rule_text(given.rule)};
  if (!given.before.empty()) call.target += "?before=" + percent_encode(given.before);
  if (!given.after.empty())
    call.target += (given.before.empty() ? "?after=" : "&after=") + percent_encode(given.after);
  const Reply reply = change(context, rules_target(given), call, name_of(given));
  tell(context, reply, "added " + member(parse(reply, name_of(given)), {"id"}));
}

// What is replaced is what stands there now, whoever wrote it.
void replace_rule(const Context& context, const RuleArguments& given) {
  const Call call{.method = "PUT", .target = rule_target(given), .body = rule_text(given.rule)};
  tell(context, change(context, rule_target(given), call, name_of(given)), "replaced " + given.id);
}

void delete_rule(const Context& context, const RuleArguments& given) {
  const Call call{.method = "DELETE", .target = rule_target(given)};
  tell(context, change(context, rule_target(given), call, name_of(given)), "deleted " + given.id);
}

}  // namespace masqgate::ctl
