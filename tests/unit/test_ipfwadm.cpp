// Unit tests of daemon/language: ipfwadm's command lines in ipchains' words.

#include <doctest/doctest.h>

#include "daemon/language/ipchains.hpp"
#include "daemon/language/ipfwadm.hpp"

using namespace masqgate;
using namespace masqgate::language;

namespace {

// The lines, each ended by ";".
std::string translated(std::string_view line) {
  std::string text;
  for (const auto& words : ipfwadm_as_ipchains(split(line))) {
    for (const std::string& word : words) text += (word == words.front() ? "" : " ") + word;
    text += ";";
  }
  return text;
}

}  // namespace

TEST_CASE("F6 ipfwadm: each command in ipchains' words") {
  struct Case {
    const char *ipfwadm, *ipchains;
  };
  for (const Case& c : {
           Case{"-F -p deny", "-P forward DENY;"},
           Case{"-F -a m -S 192.168.0.0/24 -D 0.0.0.0/0",
                "-A forward -s 192.168.0.0/24 -d 0.0.0.0/0 -j MASQ;"},
           Case{"-F -a accept -m -S 192.168.0.0/24",
                "-A forward -s 192.168.0.0/24 -d 0.0.0.0/0 -j MASQ;"},
           Case{"-I -i accept -P tcp -D 0/0 80 -r 3128",
                "-I input -s 0.0.0.0/0 -d 0/0 80 -p tcp -j REDIRECT 3128;"},
           Case{"-I -a deny -P tcp -S 10.0.0.0/8 -W ppp0 -y -o",
                "-A input -s 10.0.0.0/8 -d 0.0.0.0/0 -p tcp -i ppp0 -y -l -j DENY;"},
           Case{"-O -d reject -P udp -D 1.2.3.4 53",
                "-D output -s 0.0.0.0/0 -d 1.2.3.4 53 -p udp -j "
                "REJECT;"},
           Case{"-I -a a -P tcp -k -t 01 10",
                "-A input -s 0.0.0.0/0 -d 0.0.0.0/0 -p tcp ! -y -t 01 10 -j ACCEPT;"},
           Case{"-F -l -n -e", "-L forward -n -v;"},
           Case{"-F -l -z", "-L forward -Z;"},
           Case{"-A -z -l -n", "-L input -Z -n;-L output -Z -n;"},
           Case{"-I -z", "-Z input;"},
           Case{"-F -f", "-F forward;"},
           Case{"-M -s 7200 10 160", "-M -S 7200 10 160;"},
           Case{"-M -l -n", "-M -L -n;"},
           Case{"-A in -i -S 10.0.0.0/8", "-I input 1 -s 10.0.0.0/8 -d 0.0.0.0/0;"},
           Case{"-A -i -P tcp",
                "-I input 1 -s 0.0.0.0/0 -d 0.0.0.0/0 -p tcp;-I output 1 -s 0.0.0.0/0 "
                "-d 0.0.0.0/0 -p tcp;"},
       }) {
    CAPTURE(c.ipfwadm);
    CHECK(translated(c.ipfwadm) == c.ipchains);
  }
}

TEST_CASE("F6 ipfwadm: several ports become a rule for each pair") {
  const std::string text = translated("-I -a accept -P tcp -S 0/0 1024:65535 99 -D 1.2.3.4 80 443");
  CHECK(text ==
        "-A input -s 0/0 1024:65535 -d 1.2.3.4 80 -p tcp -j ACCEPT;"
        "-A input -s 0/0 1024:65535 -d 1.2.3.4 443 -p tcp -j ACCEPT;"
        "-A input -s 0/0 99 -d 1.2.3.4 80 -p tcp -j ACCEPT;"
        "-A input -s 0/0 99 -d 1.2.3.4 443 -p tcp -j ACCEPT;");
}

TEST_CASE("F6 ipfwadm: the simple rule set of 2.0 makes the one of 2.2") {
  Ipchains rules;
  for (const char* line : {"-F -p deny", "-F -a m -S 192.168.0.0/24 -D 0.0.0.0/0"})
    for (const auto& words : ipfwadm_as_ipchains(split(line))) run_ipchains(rules, words);
  Ipchains expected;
  for (const char* line : {"-P forward DENY", "-A forward -s 192.168.0.0/24 -j MASQ"})
    run_ipchains(expected, split(line));
  CHECK(rules == expected);
}

TEST_CASE("F6 ipfwadm: what is refused, and why") {
  struct Case {
    const char *line, *sentence;
  };
  for (const Case& c :
       {Case{"", "one of -A, -I, -O, -F and -M is missing"}, Case{"-F", "no command specified"},
        Case{"-F -I -f", "can't use `-I' with -F"}, Case{"-F -f -l", "can't use `-l' with -f"},
        Case{"-F -a", "a policy is missing"}, Case{"-F -a maybe", "invalid policy"},
        Case{"-F -p", "a policy is missing"}, Case{"-M -f", "-M goes with -l or with -s"},
        Case{"-F -s 1 2 3", "-s goes with -M"}, Case{"-M -s 1 2", "a time-out is missing"},
        Case{"-I -a accept -m", "-m goes with -F"}, Case{"-F -a accept -r", "-r goes with -I"},
        Case{"-I -a deny -V 1.2.3.4", "say -W"}, Case{"-I -a deny -Q", "unknown option `-Q'"},
        Case{"-I -a deny stray", "unknown option `stray'"}, Case{"-A -f", "one by one"},
        Case{"-I -a deny -P tcp -D 0/0 1 2 3 4 5 6 7 8 9 10 11", "at most 10"}}) {
    CAPTURE(c.line);
    try {
      FAIL("taken: " << translated(c.line));
    } catch (const Mistake& mistake) {
      CHECK(mistake.status == 2);
      CHECK(mistake.sentence.find(c.sentence) != std::string::npos);
    }
  }
}
