// Fuzz target: whatever is written in the old rule languages, it is understood whole or refused, and
// what was understood can be written and read again.
//
// The first byte chooses the language, the rest is a text of lines.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "daemon/language/document.hpp"
#include "daemon/language/ipchains.hpp"
#include "daemon/language/ipfwadm.hpp"
#include "daemon/language/iptables.hpp"

using namespace masqgate::language;

namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines(1);
  for (const char c : text)
    if (c == '\n')
      lines.emplace_back();
    else
      lines.back() += c;
  return lines;
}

void check(bool holds) {
  if (!holds) std::abort();
}

std::vector<PortNames> ports() {
  return {{"lan", {"eth0"}}, {"wan", {"eth1"}}};
}

void try_ipchains(const std::vector<std::string>& lines) {
  const Ipchains rules = read_ipchains(lines);
  check(read_ipchains(write_ipchains(rules)) == rules);
  for (const IpchainsChain& chain : rules.chains) {
    list_chain(rules, chain, {true, true, false, true}, {}, {});
    judge(rules, chain.name, {});
  }
  ipchains_document(rules, ports());
}

void try_iptables(const std::vector<std::string>& lines) {
  const Iptables rules = read_iptables(lines);
  check(read_iptables(write_iptables(rules)) == rules);
  for (const IptablesTable& table : rules.tables)
    for (const IptablesChain& chain : table.chains)
      list_chain(table, chain, {false, true, true, false}, {}, {});
  iptables_document(rules, ports());
}

void try_ipfwadm(const std::vector<std::string>& lines) {
  Ipchains rules;
  for (const std::string& line : lines)
    for (const auto& words : ipfwadm_as_ipchains(split(line))) run_ipchains(rules, words);
  check(read_ipchains(write_ipchains(rules)) == rules);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto lines = lines_of(std::string{data + 1, data + size});
  try {
    if (data[0] % 3 == 0) try_ipchains(lines);
    if (data[0] % 3 == 1) try_iptables(lines);
    if (data[0] % 3 == 2) try_ipfwadm(lines);
  } catch (const Mistake& mistake) {
    check(!mistake.sentence.empty() && mistake.status != 0);
  }
  return 0;
}
