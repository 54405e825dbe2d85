#include "masqctl/old_tools.hpp"

#include <algorithm>
#include <array>
#include <ctime>
#include <set>
#include <span>

#include "daemon/language/ipfwadm.hpp"
#include "masqctl/http_client.hpp"
#include "masqctl/old_listings.hpp"
#include "masqctl/old_rules.hpp"
#include "masqctl/system_names.hpp"

namespace masqgate::ctl {
namespace {

using language::Ipchains;
using language::IpchainsOutcome;
using language::Iptables;
using language::Mistake;
using Words = std::vector<std::string>;

struct Session {
  const std::string& socket;
  const OldStreams& streams;
  SystemNames names{};
};

// Asked for when somebody lists, and only then.
class LateCounts {
 public:
  explicit LateCounts(const std::string& socket) : socket_{socket} {}
  const language::RuleCounts& get() {
    if (!counts_) counts_ = rule_counts(socket_);
    return *counts_;
  }

 private:
  const std::string& socket_;
  std::optional<language::RuleCounts> counts_;
};

// -M -S: of all connections, as the kernel's were.
bool set_timeouts(Json& document, const language::MasqueradeTimeouts& timeouts) {
  Json& words = document["conntrack"]["timeouts"];
  const auto set = [&](const char* name, std::uint32_t seconds) {
    if (seconds != 0) words[name] = seconds;
  };
  set("tcp_established", timeouts.tcp);
  set("tcp_fin_wait", timeouts.tcp_fin);
  set("udp", timeouts.udp);
  set("udp_stream", timeouts.udp);
  return true;
}

void list_masquerading(const Session& call, const IpchainsOutcome::MasqueradeListing& options) {
  const Reply reply =
      send(call.socket, {.target = "/v1/net/ip_masquerade", .accept = "text/plain"});
  if (reply.status != 200)
    throw Mistake{1, "the router answered with status " + std::to_string(reply.status)};
  call.streams.out << masquerade_listing(reply.body, options, call.names);
}

// -Z: the chains begin at zero; what is listed is what they had until then.
std::string zero(const Session& call, Ipchains rules, const Words& words,
                 const IpchainsOutcome& outcome) {
  Words chains;
  for (const language::IpchainsChain& chain : rules.chains)
    if (outcome.zeroes->empty() || chain.name == *outcome.zeroes)
      for (std::string& name : language::chains_of_ipchains(chain.name))
        chains.push_back(std::move(name));
  const language::RuleCounts before = zero_counts(call.socket, chains);
  if (outcome.output.empty()) return {};
  const language::Counts counts = [&](std::string_view chain, std::size_t rule) {
    return before.ipchains(chain, rule);
  };
  return run_ipchains(rules, words, call.names, counts).output;
}

// Command lines of ipchains, all of which take effect at once.
int run_ipchains_lines(const Session& call, std::span<const Words> lines) {
  std::vector<IpchainsOutcome> outcomes;
  Ipchains rules;
  LateCounts late{call.socket};
  const language::Counts counts = [&](std::string_view chain, std::size_t rule) {
    return late.get().ipchains(chain, rule);
  };
  change_document(call.socket, [&](Json& document) {
    outcomes.clear();
    bool changed = false;
    rules = ipchains_of(document);
    for (const Words& words : lines) {
      outcomes.push_back(run_ipchains(rules, words, call.names, counts));
      if (outcomes.back().changed) changed = true;
      if (outcomes.back().timeouts) changed = set_timeouts(document, *outcomes.back().timeouts);
    }
    if (changed) put(document, rules);
    return changed;
  });
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    IpchainsOutcome& outcome = outcomes[i];
    if (outcome.zeroes) outcome.output = zero(call, rules, lines[i], outcome);
    call.streams.out << outcome.output;
    if (outcome.list_masquerading) list_masquerading(call, *outcome.list_masquerading);
  }
  return 0;
}

int ipchains(const Session& call, const Words& words) {
  return run_ipchains_lines(call, {&words, 1});
}

int ipfwadm(const Session& call, const Words& words) {
  return run_ipchains_lines(call, language::ipfwadm_as_ipchains(words));
}

std::string zero(const Session& call, Iptables rules, const Words& words,
                 const language::IptablesOutcome& outcome) {
  const auto& [table, only] = *outcome.zeroes;
  Words chains;
  for (const language::IptablesChain& chain : rules.find(table)->chains)
    if (only.empty() || chain.name == only)
      chains.push_back(language::chain_of_iptables(table, chain.name));
  const language::RuleCounts before = zero_counts(call.socket, chains);
  if (outcome.output.empty()) return {};
  const language::IptablesCounts counts = [&](std::string_view of, std::string_view chain,
                                              std::size_t rule) {
    return before.iptables(of, chain, rule);
  };
  return run_iptables(rules, words, call.names, counts).output;
}

int iptables(const Session& call, const Words& words) {
  LateCounts late{call.socket};
  Iptables rules;
  language::IptablesOutcome outcome;
  const language::IptablesCounts counts = [&](std::string_view table, std::string_view chain,
                                              std::size_t rule) {
    return late.get().iptables(table, chain, rule);
  };
  change_document(call.socket, [&](Json& document) {
    rules = iptables_of(document);
    outcome = run_iptables(rules, words, call.names, counts);
    if (outcome.changed) put(document, rules);
    return outcome.changed;
  });
  if (outcome.zeroes) outcome.output = zero(call, rules, words, outcome);
  call.streams.out << outcome.output;
  return 0;
}

// The tool took its lines from the standard input.
Words lines_of(std::istream& in) {
  Words lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Hands back what became of these lines; what the router cannot do of it is told with its line.
template <typename Change>
void restore(const Session& call, const Words& lines, Change change) {
  try {
    change_document(call.socket, [&](Json& document) {
      put(document, change(document));
      return true;
    });
  } catch (const Mistake& mistake) {
    const std::size_t line = mistake.place.rule == 0 ? 0 : language::line_of(lines, mistake.place);
    if (line == 0) throw;
    throw Mistake{mistake.status, "line " + std::to_string(line) + ": " + mistake.sentence, line};
  }
}

// Letters of options without arguments; throws Mistake at others.
std::set<char> options_of(const Words& words, std::string_view known, Words& others) {
  std::set<char> given;
  for (const std::string& word : words) {
    if (word.size() < 2 || word.front() != '-') {
      others.push_back(word);
      continue;
    }
    for (const char letter : word.substr(1)) {
      if (known.find(letter) == known.npos) throw Mistake{2, "unknown option `" + word + "'"};
      given.insert(letter);
    }
  }
  return given;
}

int ipchains_save(const Session& call, const Words& words) {
  Words chains;
  const bool verbose = options_of(words, "v", chains).contains('v');
  change_document(call.socket, [&](Json& document) {
    Ipchains rules = ipchains_of(document);
    for (const std::string& name : chains)
      if (rules.find(name) == nullptr) throw Mistake{1, "No chain by that name"};
    if (!chains.empty())
      std::erase_if(rules.chains, [&](const language::IpchainsChain& chain) {
        return std::ranges::find(chains, chain.name) == chains.end();
      });
    for (const language::IpchainsChain& chain : rules.chains)
      call.streams.err << "Saving `" << chain.name << "'.\n";
    for (const std::string& line : write_ipchains(rules)) {
      call.streams.out << line << '\n';
      if (verbose && line.starts_with("-A")) call.streams.err << line << '\n';
    }
    return false;
  });
  return 0;
}

// The chains of the file take the place of those of their names; -f: without asking.
Ipchains restored(const Session& call, Ipchains rules, const Words& lines, bool flushes) {
  std::set<std::string> skipped;
  const auto begin_chain = [&](const std::string& name) {
    language::IpchainsChain* chain = rules.find(name);
    if (chain == nullptr) return;
    if (!rules.is_built_in(name) && !flushes) {
      call.streams.err << "Chain `" << name << "' already exists. Skipping `" << name
                       << "'; -f flushes it.\n";
      skipped.insert(name);
      return;
    }
    chain->rules.clear();
  };
  for (std::size_t i = 0; i < lines.size(); ++i) try {
      const Words words = language::split(lines[i]);
      if (words.empty() || words[0].starts_with('#')) continue;
      if (!words[0].starts_with(':')) {
        if (words.size() > 1 && skipped.contains(words[1])) continue;
        if (!run_ipchains(rules, words, call.names).changed) throw Mistake{2, "it changes no rule"};
        continue;
      }
      const std::string name = words[0].substr(1);
      const bool is_new = rules.find(name) == nullptr;
      begin_chain(name);
      call.streams.err << "Restoring `" << name << "'.\n";
      const Words command =
          is_new ? Words{"-N", name} : Words{"-P", name, words.size() > 1 ? words[1] : ""};
      if (is_new || rules.is_built_in(name)) run_ipchains(rules, command, call.names);
    } catch (const Mistake& mistake) {
      throw Mistake{mistake.status, "line " + std::to_string(i + 1) + ": " + mistake.sentence};
    }
  return rules;
}

int ipchains_restore(const Session& call, const Words& words) {
  Words others;
  const auto options = options_of(words, "vfp", others);
  if (!others.empty())
    throw Mistake{2, "it takes no argument but -v, -f, -p: rules come from the standard input"};
  const Words lines = lines_of(call.streams.in);
  restore(call, lines, [&](const Json& document) {
    return restored(call, ipchains_of(document), lines, options.contains('f'));
  });
  if (options.contains('v'))
    for (const std::string& line : lines) call.streams.err << line << '\n';
  return 0;
}

int iptables_save(const Session& call, const Words& words) {
  bool with_counts = false;
  std::string table;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "-c" || words[i] == "--counters")
      with_counts = true;
    else if ((words[i] == "-t" || words[i] == "--table") && i + 1 < words.size())
      table = words[++i];
    else
      throw Mistake{2, "unknown argument `" + words[i] + "'"};
  }
  const language::RuleCounts counted = rule_counts(call.socket);
  change_document(call.socket, [&](Json& document) {
    const Iptables rules = iptables_of(document);
    if (!table.empty() && rules.find(table) == nullptr)
      throw Mistake{3, "there is no table `" + table + "': there are filter, nat and mangle"};
    call.streams.out << saved_iptables(
        rules, table, with_counts,
        [&](std::string_view t, std::string_view chain, std::size_t rule) {
          return counted.iptables(t, chain, rule);
        },
        std::time(nullptr));
    return false;
  });
  return 0;
}

// Tables of the file take the place of those in force; with -n their rules come behind these.
Iptables restored(Iptables rules, const Words& lines, bool adds) {
  Words all;
  std::set<std::string> named;
  for (const std::string& line : lines)
    if (line.starts_with('*')) named.insert(line.substr(1, line.find_last_not_of(" \t\r")));
  if (!adds) {
    const Iptables read = language::read_iptables(lines, SystemNames{});
    for (const std::string& name : named) *rules.find(name) = *read.find(name);
    return rules;
  }
  // Chains that are there already are not made again.
  std::string table;
  for (const std::string& line : lines) {
    if (line.starts_with('*')) table = line.substr(1);
    const std::string chain = line.starts_with(':') ? line.substr(1, line.find(' ') - 1) : "";
    const auto* known = rules.find(table);
    const bool is_there = !chain.empty() && known != nullptr && known->find(chain) != nullptr &&
                          !known->is_built_in(chain);
    all.push_back(is_there ? std::string{} : line);
  }
  const Words before = write_iptables(rules);
  Words together = before;
  together.insert(together.end(), all.begin(), all.end());
  try {
    return language::read_iptables(together, SystemNames{});
  } catch (const Mistake& mistake) {
    const std::size_t line = mistake.line - std::min(mistake.line, before.size());
    const std::size_t colon = mistake.sentence.find(": ");
    throw Mistake{mistake.status,
                  "line " + std::to_string(line) +
                      (colon == std::string::npos ? "" : mistake.sentence.substr(colon)),
                  line};
  }
}

int iptables_restore(const Session& call, const Words& words) {
  bool adds = false;
  for (const std::string& word : words)
    if (word == "-n" || word == "--noflush")
      adds = true;
    else if (word != "-c" && word != "--counters" && word != "-v" && word != "--verbose")
      throw Mistake{2, "unknown argument `" + word + "'"};
  const Words lines = lines_of(call.streams.in);
  restore(call, lines,
          [&](const Json& document) { return restored(iptables_of(document), lines, adds); });
  return 0;
}

struct Tool {
  std::string_view name;
  int (*run)(const Session&, const Words&);
};
constexpr std::array<Tool, 7> kTools{{{"ipchains", ipchains},
                                      {"ipchains-save", ipchains_save},
                                      {"ipchains-restore", ipchains_restore},
                                      {"ipfwadm", ipfwadm},
                                      {"iptables", iptables},
                                      {"iptables-save", iptables_save},
                                      {"iptables-restore", iptables_restore}}};

}  // namespace

bool is_old_tool(std::string_view name) {
  return std::ranges::find(kTools, name, &Tool::name) != kTools.end();
}

int old_tool(std::string_view name, const std::string& socket,
             const std::vector<std::string>& words, const OldStreams& streams) {
  const auto tool = std::ranges::find(kTools, name, &Tool::name);
  try {
    return tool->run(Session{socket, streams}, words);
  } catch (const Mistake& mistake) {
    streams.err << name << ": " << printable(mistake.sentence) << '\n';
    return mistake.status;
  } catch (const Failure& failure) {
    streams.err << name << ": " << failure.what() << '\n';
    return 1;
  }
}

}  // namespace masqgate::ctl
