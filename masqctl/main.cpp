// masqctl: looks into a running masqgated and changes it, through its REST door (web/openapi.json).

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "masqctl/commands.hpp"
#include "masqctl/event_commands.hpp"
#include "masqctl/ipmasqadm.hpp"
#include "masqctl/old_tools.hpp"
#include "masqctl/rule_commands.hpp"
#include "masqctl/set_commands.hpp"

namespace {

using namespace masqgate::ctl;

constexpr const char* kSocket = "/run/masqgate/api.sock";
constexpr const char* kConfiguration = "/etc/masqgate/masqgate.json";

struct Arguments {
  std::string socket = kSocket;
  bool json = false;
  ConnectionFilter filter{};
  std::string id{}, path{}, file{};
  std::string reload_file = kConfiguration;
  bool unused = false, rejudges = false;
  RuleArguments rule{};
  SetArguments set{};
  EventArguments events{};
  std::vector<std::string> historic{};  // words of an old tool
};

using Action = std::function<void(const Context&)>;

void add_filter(CLI::App& command, ConnectionFilter& filter) {
  command.add_option("--protocol", filter.protocol, "only tcp, udp, icmp, …");
  command.add_option("--state", filter.state, "only this state, such as ESTABLISHED");
  command.add_option("--address", filter.address, "only with this address at an end");
  command.add_option("--limit", filter.limit, "at most so many (default: all)");
  command.add_option("--cursor", filter.cursor,
                     "go on behind an earlier list (\"next\" of --json)");
}

void add_connections(CLI::App& app, Arguments& given, Action& action) {
  CLI::App* connections = app.add_subcommand("connections", "tracked connections");
  const auto list = [&given, &action] {
    action = [&given](const Context& context) { list_connections(context, given.filter); };
  };
  connections->require_subcommand(0, 1);
  connections->parse_complete_callback([=] {
    if (connections->get_subcommands().empty()) list();
  });
  add_filter(*connections, given.filter);
  CLI::App* listing = connections->add_subcommand("list", "list them (the default)");
  add_filter(*listing, given.filter);
  listing->parse_complete_callback(list);
  CLI::App* removal = connections->add_subcommand("delete", "forget one");
  removal->add_option("ID", given.id, "as listed")->required();
  removal->parse_complete_callback(
      [&] { action = [&](const Context& context) { delete_connection(context, given.id); }; });
}

void add_nat(CLI::App& app, Arguments& given, Action& action) {
  CLI::App* nat = app.add_subcommand("nat", "translation: rules, profiles, mappings, forwards");
  nat->require_subcommand(1);
  for (const auto& [name, summary] :
       {std::pair{"rules", "the rules, and how each behaves"},
        std::pair{"profiles", "the presets, part by part"},
        std::pair{"forwards", "the tables of PORTFW, AUTOFW and MFW"}})
    nat->add_subcommand(name, summary)
        ->parse_complete_callback([&action, path = "nat/" + std::string{name}] {
          action = [path](const Context& context) { show_document(context, path); };
        });
  CLI::App* mappings = nat->add_subcommand("mappings", "who stands behind which outside endpoint");
  mappings->require_subcommand(0, 1);
  mappings->add_option("--protocol", given.filter.protocol, "only tcp, udp, icmp, …");
  mappings->add_option("--address", given.filter.address, "only with this address at an end");
  mappings->add_option("--limit", given.filter.limit, "at most so many (default: all)");
  mappings->add_option("--cursor", given.filter.cursor, "go on behind an earlier list");
  mappings->parse_complete_callback([=, &given, &action] {
    if (mappings->get_subcommands().empty())
      action = [&given](const Context& context) { list_mappings(context, given.filter); };
  });
  CLI::App* removal = mappings->add_subcommand("delete", "forget one with all its connections");
  removal->add_option("ID", given.id, "as listed")->required();
  removal->parse_complete_callback(
      [&] { action = [&](const Context& context) { delete_mapping(context, given.id); }; });
}

void add_config(CLI::App& app, Arguments& given, Action& action) {
  CLI::App* config = app.add_subcommand("config", "the configuration document");
  config->require_subcommand(1);
  config->add_subcommand("show", "print the one in force")->parse_complete_callback([&] {
    action = show_config;
  });
  CLI::App* check = config->add_subcommand("check", "ask whether a file would be accepted");
  check->add_option("FILE", given.file, "\"-\" is the standard input")->required();
  check->add_flag("--rejudge", given.rejudges,
                  "list the connections that its rules would not admit any more");
  check->parse_complete_callback([&] {
    action = [&](const Context& context) { check_config(context, given.file, given.rejudges); };
  });
  CLI::App* apply = config->add_subcommand("apply", "replace the configuration by a file");
  apply->add_option("FILE", given.file, "\"-\" is the standard input")->required();
  const char* const ends = "end the connections that its rules do not admit any more";
  apply->add_flag("--rejudge", given.rejudges, ends);
  apply->parse_complete_callback([&] {
    action = [&](const Context& context) { apply_config(context, given.file, given.rejudges); };
  });
  CLI::App* reload = app.add_subcommand("reload", "apply the configuration file again");
  reload->add_option("FILE", given.reload_file, "the file")->capture_default_str();
  reload->add_flag("--rejudge", given.rejudges, ends);
  reload->parse_complete_callback([&] {
    action = [&](const Context& context) {
      apply_config(context, given.reload_file, given.rejudges);
    };
  });
}

void add_views(CLI::App& app, Arguments& given, Action& action) {
  struct View {
    const char* name;
    const char* summary;
    void (*show)(const Context&, const std::string&);
  };
  for (const View& view :
       {View{"status", "name, version, uptime, ports", show_document},
        View{"ports", "ports, interfaces and counters", show_document},
        View{"helpers", "protocol helpers, and what they refused", show_document},
        View{"expectations", "holes that helpers have opened or refused", show_document},
        View{"neighbours", "neighbours known from the kernel", show_document},
        View{"routes", "routes known from the kernel", show_document},
        View{"path", "the way of a packet, with counters", show_text}})
    app.add_subcommand(view.name, view.summary)->parse_complete_callback([&action, view] {
      action = [view](const Context& context) { view.show(context, view.name); };
    });
  app.add_subcommand("drops", "dropped packets by reason")->parse_complete_callback([&] {
    action = show_drops;
  });
  CLI::App* events = app.add_subcommand("events", "what happens, a line each, until interrupted");
  events->add_option("--types", given.events.types, "only these, such as divert,config.changed");
  events->add_option("--after", given.events.after, "begin behind the event with this id");
  events->parse_complete_callback(
      [&] { action = [&](const Context& context) { follow_events(context, given.events); }; });
  CLI::App* raw = app.add_subcommand("get", "print any resource as it comes");
  raw->add_option("PATH", given.path, "such as net/ip_masquerade, or /healthz")->required();
  raw->parse_complete_callback(
      [&] { action = [&](const Context& context) { get(context, given.path); }; });
}

void add_rules(CLI::App& app, Arguments& given, Action& action) {
  CLI::App* rules = app.add_subcommand("rules", "firewall rules with their counters and last hits");
  rules->require_subcommand(0, 1);
  rules->add_flag("--unused", given.unused, "only those that no packet has matched");
  rules->parse_complete_callback([rules, &given, &action] {
    if (!rules->get_subcommands().empty()) return;
    action = [&given](const Context& context) {
      show_document(context, given.unused ? "rules?unused=1" : "rules");
    };
  });
  RuleArguments& rule = given.rule;
  const auto command = [&rule, rules, &action](const char* name, const char* summary,
                                               void (*run)(const Context&, const RuleArguments&)) {
    CLI::App* one = rules->add_subcommand(name, summary);
    one->add_option("CHAIN", rule.chain, "of the firewall")->required();
    one->parse_complete_callback([&rule, &action, run] {
      action = [&rule, run](const Context& context) { run(context, rule); };
    });
    return one;
  };
  const auto rejudges = [&rule](CLI::App* one) {
    one->add_option("--rejudge", rule.rejudge,
                    "list (and change nothing) or end the connections that would not be admitted")
        ->check(CLI::IsMember({"list", "end"}));
    return one;
  };
  const char* const what = "the rule as JSON, or a file that has it; \"-\" is the standard input";
  command("show", "a chain's rules, or one of them, as they are written", show_rules)
      ->add_option("ID", rule.id, "of the rule");
  CLI::App* addition =
      rejudges(command("add", "a rule at the end of a chain, or elsewhere", add_rule));
  addition->add_option("RULE", rule.rule, what)->required();
  CLI::Option* before = addition->add_option("--before", rule.before, "in front of this rule");
  addition->add_option("--after", rule.after, "behind this rule")->excludes(before);
  CLI::App* change =
      rejudges(command("replace", "a rule by another one in its place", replace_rule));
  change->add_option("ID", rule.id, "of the rule")->required();
  change->add_option("RULE", rule.rule, what)->required();
  rejudges(command("delete", "take a rule away", delete_rule))
      ->add_option("ID", rule.id, "of the rule")
      ->required();
}

void add_sets(CLI::App& app, Arguments& given, Action& action) {
  CLI::App* sets = app.add_subcommand("sets", "the named sets of which rules ask");
  sets->require_subcommand(0, 1);
  sets->parse_complete_callback([sets, &action] {
    if (sets->get_subcommands().empty()) action = list_sets;
  });
  SetArguments& set = given.set;
  const auto command = [&set, sets, &action](const char* name, const char* summary,
                                             void (*run)(const Context&, const SetArguments&)) {
    CLI::App* one = sets->add_subcommand(name, summary);
    one->add_option("SET", set.set, "name of the set")->required();
    one->add_option("ELEMENT", set.element, "an address, network, range, port or MAC")->required();
    one->parse_complete_callback([&set, &action, run] {
      action = [&set, run](const Context& context) { run(context, set); };
    });
    return one;
  };
  command("add", "an element, or its time anew", add_element)
      ->add_option("--timeout", set.timeout, "seconds that it stays; 0: for ever");
  command("delete", "take an element away", delete_element);
}

// The tools of the kernels' times, which read their words by their own rules.
bool is_historic(std::string_view name) {
  return name == "ipmasqadm" || is_old_tool(name);
}

int run_historic(std::string_view name, const std::string& socket,
                 const std::vector<std::string>& words) {
  if (name == "ipmasqadm") return ipmasqadm(socket, words, std::cout, std::cerr);
  return old_tool(name, socket, words, {std::cin, std::cout, std::cerr});
}

// Where the words of a historic tool begin: nothing of this program's own is looked for in them.
// argc if it is another command.
int historic_words(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (is_historic(word)) return i + 1;
    if (word == "--socket")
      ++i;
    else if (word != "--json" && !word.starts_with("--socket="))
      break;
  }
  return argc;
}

void add_historic(CLI::App& app, Arguments& given, int& status, Action& action) {
  for (const auto& [name, summary] :
       {std::pair{"ipmasqadm", "the historic command: portfw, autofw or mfw, and their arguments"},
        std::pair{"ipchains", "the rules, as Linux 2.2's command changed and listed them"},
        std::pair{"ipchains-save", "the same as lines"},
        std::pair{"ipchains-restore", "such lines from the standard input become the rules"},
        std::pair{"ipfwadm", "the rules, as Linux 2.0's command changed them"},
        std::pair{"iptables", "the rules, as Linux 2.4's command changed and listed them"},
        std::pair{"iptables-save", "the same as lines"},
        std::pair{"iptables-restore", "such lines from the standard input become the rules"}})
    app.add_subcommand(name, summary)->parse_complete_callback([&, name = std::string{name}] {
      action = [&, name](const Context&) {
        status = run_historic(name, given.socket, given.historic);
      };
    });
}

// How a historic command is called: by its name alone.
int run_by_name(const std::string& name, int argc, char** argv) {
  const char* socket = std::getenv("MASQGATE_SOCKET");
  const int status =
      run_historic(name, socket == nullptr ? kSocket : socket, {argv + 1, argv + argc});
  std::cout.flush();
  return std::cout ? status : static_cast<int>(Exit::usage);
}

int run(int argc, char** argv) {
  const std::string name = std::filesystem::path{argv[0]}.filename();
  if (is_historic(name)) return run_by_name(name, argc, argv);
  Arguments given;
  int status = static_cast<int>(Exit::done);
  Action action;
  CLI::App app{"Looks into a running masqgated and changes it."};
  app.require_subcommand(1);
  app.fallthrough();
  app.set_version_flag("--version", "masqctl " MASQGATE_VERSION);
  app.add_option("--socket", given.socket, "socket of the router")
      ->envname("MASQGATE_SOCKET")
      ->capture_default_str();
  app.add_flag("--json", given.json, "print what the router says instead of tables");
  add_views(app, given, action);
  add_rules(app, given, action);
  add_sets(app, given, action);
  add_connections(app, given, action);
  add_nat(app, given, action);
  add_config(app, given, action);
  add_historic(app, given, status, action);
  const int words = historic_words(argc, argv);
  given.historic.assign(argv + words, argv + argc);
  try {
    app.parse(words, argv);
  } catch (const CLI::ParseError& error) {
    const bool asked = error.get_exit_code() == 0;  // --help, --version
    app.exit(error);
    return static_cast<int>(asked ? Exit::done : Exit::usage);
  }
  action(Context{.socket = given.socket, .json = given.json, .out = std::cout});
  std::cout.flush();
  return std::cout ? status : static_cast<int>(Exit::usage);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const Failure& failure) {
    std::cout.flush();
    std::cerr << "masqctl: " << failure.what() << '\n';
    return static_cast<int>(failure.code());
  } catch (const std::exception& error) {
    std::cerr << "masqctl: " << error.what() << '\n';
    return static_cast<int>(Exit::refused);
  }
}
