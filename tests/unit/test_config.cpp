// Unit tests of daemon/control/config: what every document becomes, and where bad ones are refused.

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "daemon/control/config.hpp"
#include "daemon/state/json_text.hpp"
#include "tests/support/source_files.hpp"
#include "tests/unit/config_document.hpp"

using namespace masqgate;
using namespace masqgate::control;
using namespace masqgate::test;

TEST_CASE("config: every bad member is refused where it stands, and the sentence says why") {
  struct Case {
    const char* patch;
    const char* pointer;
    const char* says;
  };
  static constexpr Case kCases[] = {
      // The document.
      {R"({"port": {}})", "/port", "known here: runtime, ports, routes"},
      {R"({"a/b~": 1})", "/a~1b~0", "unknown member"},
      {R"({"ports": null})", "", "at least one"},
      {R"({"ports": {"lan": null, "wan": null}})", "", "at least one"},
      {R"({"runtime": 7})", "/runtime", "text in quotes, and is the number 7"},
      {R"({"runtime": "run"})", "/runtime", "no absolute path"},
      {R"({"runtime": ""})", "/runtime", "no absolute path"},
      {R"({"runtime": "/a\u0000b"})", "/runtime", "no absolute path"},
      {R"({"ip_forward": 1})", "/ip_forward", "true or false, and is the number 1"},
      {R"({"ip_always_defrag": "no"})", "/ip_always_defrag", "true or false"},
      {R"({"ip_dynaddr": 8})", "/ip_dynaddr", "7"},
      {R"({"ip_masq_udp_dloose": 1})", "/ip_masq_udp_dloose", "true or false"},
      {R"({"syn_proxy": [{"in": "van"}]})", "/syn_proxy/0/in", "van"},
      {R"({"syn_proxy": [{"destination_port": 80}]})", "/syn_proxy/0", "in"},
      {R"({"syn_proxy": [{"in": "wan", "protocol": "tcp"}]})", "/syn_proxy/0/protocol", ""},
      {R"({"syn_proxy": [{"in": "wan", "destination_port": 0}]})", "/syn_proxy/0/destination_port",
       "1 to 65535"},
      {R"({"helpers": {"fpt": {}}})", "/helpers/fpt", "known here: denied_ports, ftp"},
      {R"({"helpers": {"ftp": {"ports": []}}})", "/helpers/ftp/ports", "1 to 12"},
      {R"({"helpers": {"ftp": {"ports": [21, 21]}}})", "/helpers/ftp/ports/1", "twice"},
      {R"({"helpers": {"irc": {"networks": ["10.0.0.1/8"]}}})", "/helpers/irc/networks/0",
       "10.0.0.0/8"},
      {R"({"helpers": {"sip": {"enabled": true}}})", "/helpers/sip", "needs \"networks\""},
      {R"({"helpers": {"ftp": {"wide": true}}})", "/helpers/ftp/wide", "known here"},
      {R"({"helpers": {"h323": {"enabled": true, "networks": []}}})", "/helpers/h323",
       "needs \"networks\""},
      {R"({"helpers": {"denied_ports": ["9-8"]}})", "/helpers/denied_ports/0", "no range"},
      {R"({"tree": true})", "/tree", "a path, or false"},
      {R"({"tree": "tree"})", "/tree", "no absolute path"},
      {R"({"tree": 5})", "/tree", "text in quotes"},
      {R"({"tree": "/run/masqgate"})", "/tree", "would hide /run/masqgate;"},
      {R"({"tree": "/run"})", "/tree", "would hide /run/masqgate;"},
      {R"({"tree": "/"})", "/tree", "would hide"},
      {R"({"tree": "/srv/t", "api": {"socket": "/srv/t/api"}})", "/tree", "would hide /srv/t/"},
      // Names of ports.
      {R"({"ports": []})", "/ports", "object in { }, and is a list"},
      {R"({"ports": {"": {"tap": "a"}}})", "/ports/", "1 to 12 letters"},
      {R"({"ports": {"thirteenchars": {"tap": "a"}}})", "/ports/thirteenchars", "1 to 12"},
      {R"({"ports": {"a/b": {"tap": "a"}}})", "/ports/a~1b", "1 to 12"},
      {R"({"ports": {"a b": {"tap": "a"}}})", "/ports/a b", "1 to 12"},
      {R"({"ports": {"..": {"tap": "a"}}})", "/ports/..", "first a letter or digit"},
      {R"({"ports": {"é": {"tap": "a"}}})", "/ports/é", "1 to 12"},
      {R"({"ports": {"lo": {"tap": "a"}}})", "/ports/lo", "belongs to Linux"},
      {R"({"ports": {"all": {"tap": "a"}}})", "/ports/all", "belongs to Linux"},
      // What a port is made of.
      {R"({"ports": {"dmz": 1}})", "/ports/dmz", "object in { }"},
      {R"({"ports": {"dmz": {}}})", "/ports/dmz", "say what the port is made of"},
      {R"({"ports": {"dmz": {"nic": "eth2"}}})", "/ports/dmz/nic", "known here: nics, bridge"},
      {R"({"ports": {"dmz": {"nics": 7}}})", "/ports/dmz/nics", "list in [ ]"},
      {R"({"ports": {"dmz": {"nics": "eth2"}}})", "/ports/dmz/nics", "list in [ ]"},
      {R"({"ports": {"dmz": {"nics": []}}})", "/ports/dmz/nics", "at least one NIC"},
      {R"({"ports": {"dmz": {"nics": [2]}}})", "/ports/dmz/nics/0", "text in quotes"},
      {R"({"ports": {"dmz": {"nics": ["a/b"]}}})", "/ports/dmz/nics/0", "name of an interface"},
      {R"({"ports": {"dmz": {"nics": ["e:1"]}}})", "/ports/dmz/nics/0", "name of an interface"},
      {R"({"ports": {"dmz": {"nics": ["eth%d"]}}})", "/ports/dmz/nics/0", "name of an"},
      {R"({"ports": {"dmz": {"nics": [""]}}})", "/ports/dmz/nics/0", "name of an interface"},
      {R"({"ports": {"dmz": {"nics": [".."]}}})", "/ports/dmz/nics/0", "name of an interface"},
      {R"({"ports": {"dmz": {"nics": ["lo"]}}})", "/ports/dmz/nics/0", "name of an interface"},
      {R"({"ports": {"dmz": {"nics": ["sixteen-letters-"]}}})", "/ports/dmz/nics/0", "name of"},
      {R"({"ports": {"dmz": {"nics": ["e"], "tap": "t"}}})", "/ports/dmz/tap", "keep one"},
      {R"({"ports": {"dmz": {"tun": "t", "bridge": "b"}}})", "/ports/dmz/tun", "keep one"},
      {R"({"ports": {"dmz": {"bridge": ["br0"]}}})", "/ports/dmz/bridge", "text in quotes"},
      // Two that want the same.
      {R"({"ports": {"dmz": {"nics": ["eth1"]}}})", "/ports/dmz/nics/0",
       "eth1 is taken by /ports/lan/nics/0 already"},
      {R"({"ports": {"dmz": {"nics": ["eth2", "eth2"]}}})", "/ports/dmz/nics/1", "is taken by"},
      {R"({"ports": {"dmz": {"tap": "eth1"}}})", "/ports/dmz/tap", "is taken by /ports/lan"},
      {R"({"ports": {"dmz": {"tap": "dmz"}}})", "/ports/dmz/tap", "is taken by /ports/dmz"},
      {R"({"ports": {"dmz": {"tap": "lan"}}})", "/ports/dmz/tap", "is taken by /ports/lan "},
      {R"({"ports": {"dmz": {"bridge": "br-lan"}}})", "/ports/dmz/bridge", "is taken by"},
      {R"({"ports": {"dmz": {"tun": "mg-lan"}}})", "/ports/dmz/tun", "is taken by /ports/lan"},
      {R"({"ports": {"a": {"bridge": "br0"}, "b": {"bridge": "br0"}}})", "/ports/b/bridge",
       "is taken by /ports/a/bridge"},
      {R"({"ports": {"dmz": {"tap": "t", "addresses": ["192.168.0.1/16"]}}})",
       "/ports/dmz/addresses/0", "192.168.0.1 is taken by /ports/lan/addresses/0"},
      {R"({"ports": {"lan": {"addresses": ["10.0.0.1/8", "10.0.0.1/24"]}}})",
       "/ports/lan/addresses/1", "is taken by /ports/lan/addresses/0"},
      {R"({"ports": {"lan": {"mac": "02:00:00:00:00:01"}, "wan": {"mac": "02:00:00:00:00:01"}}})",
       "/ports/wan/mac", "is taken by /ports/lan/mac"},
      // The rest of a port.
      {R"({"ports": {"lan": {"addresses": "10.0.0.1/8"}}})", "/ports/lan/addresses", "list in"},
      {R"({"ports": {"lan": {"addresses": ["10.0.0.1"]}}})", "/ports/lan/addresses/0",
       "with the length of its network"},
      {R"({"ports": {"lan": {"addresses": ["10.0.0.1/33"]}}})", "/ports/lan/addresses/0",
       "no address"},
      {R"({"ports": {"lan": {"addresses": ["10.0.0.1/240"]}}})", "/ports/lan/addresses/0",
       "no address"},
      {R"({"ports": {"lan": {"addresses": ["10.0.0.256/8"]}}})", "/ports/lan/addresses/0",
       "no address"},
      {R"({"ports": {"lan": {"addresses": ["10.0.0.0/8"]}}})", "/ports/lan/addresses/0",
       "the network itself"},
      {R"({"ports": {"lan": {"addresses": ["10.255.255.255/8"]}}})", "/ports/lan/addresses/0",
       "broadcast"},
      {R"({"ports": {"lan": {"addresses": ["127.0.0.1/8"]}}})", "/ports/lan/addresses/0",
       "cannot be an interface's"},
      {R"({"ports": {"lan": {"addresses": ["224.0.0.1/8"]}}})", "/ports/lan/addresses/0",
       "cannot be an interface's"},
      {R"({"ports": {"lan": {"addresses": ["::/64"]}}})", "/ports/lan/addresses/0",
       "cannot be an interface's"},
      {R"({"ports": {"lan": {"mac": "02:00:00:00:00"}}})", "/ports/lan/mac", "no MAC address"},
      {R"({"ports": {"lan": {"mac": "03:00:00:00:00:01"}}})", "/ports/lan/mac", "of one host"},
      {R"({"ports": {"lan": {"mac": "00:00:00:00:00:00"}}})", "/ports/lan/mac", "of one host"},
      {R"({"ports": {"p": {"tun": "t", "mac": "02:00:00:00:00:01"}}})", "/ports/p/mac",
       "TUN device has no MAC"},
      {R"({"ports": {"wan": {"mtu": 67}}})", "/ports/wan/mtu", "68 to 65535"},
      {R"({"ports": {"wan": {"mtu": 65536}}})", "/ports/wan/mtu", "68 to 65535"},
      {R"({"ports": {"wan": {"mtu": "1500"}}})", "/ports/wan/mtu", "and is a text"},
      {R"({"ports": {"wan": {"source_validation": "on"}}})", "/ports/wan/source_validation",
       "off, loose, strict"},
      {R"({"ports": {"wan": {"mtu": 1500.5}}})", "/ports/wan/mtu", "whole number"},
      {R"({"ports": {"lan": {"mtu": 1279}}})", "/ports/lan/mtu", "at least 1280"},
      {R"({"ports": {"lan": {"queues": 0}}})", "/ports/lan/queues", "1 to 256"},
      {R"({"ports": {"lan": {"queues": 257}}})", "/ports/lan/queues", "1 to 256"},
      {R"({"ports": {"lan": {"inherit": "yes"}}})", "/ports/lan/inherit", "true or false"},
      {R"({"ports": {"p": {"tap": "t", "inherit": true}}})", "/ports/p/inherit",
       "only a port with \"nics\""},
      // Routes.
      {R"({"routes": {}})", "/routes", "list in [ ]"},
      {R"({"routes": [{}]})", "/routes/0", "\"to\" is missing"},
      {R"({"routes": [{"to": "default", "via": "203.0.113.1"}]})", "/routes/0/to", "no address"},
      {R"({"routes": [{"to": "10.1.0.0/8", "via": "203.0.113.1"}]})", "/routes/0/to",
       "the network is 10.0.0.0/8"},
      {R"({"routes": [{"to": "10.0.0.0/8"}]})", "/routes/0", "\"via\", the address of a router"},
      {R"({"routes": [{"to": "10.0.0.0/8", "via": "203.0.113.256"}]})", "/routes/0/via",
       "no address"},
      {R"({"routes": [{"to": "10.0.0.0/8", "via": "fd00:1::2"}]})", "/routes/0/via",
       "another address family"},
      {R"({"routes": [{"to": "::/0", "via": "203.0.113.1"}]})", "/routes/0/via",
       "another address family"},
      {R"({"routes": [{"to": "::/0", "via": "fe80::1"}]})", "/routes/0/via", "link-local"},
      {R"({"routes": [{"to": "::/0", "via": "ff02::1", "port": "lan"}]})", "/routes/0/via",
       "no address of a router"},
      {R"({"routes": [{"to": "0.0.0.0/0", "via": "0.0.0.0"}]})", "/routes/0/via",
       "no address of a router"},
      {R"({"routes": [{"to": "0.0.0.0/0", "via": "203.0.113.2"}]})", "/routes/0/via",
       "this router's own address on port \"wan\""},
      {R"({"routes": [{"to": "10.0.0.0/8", "port": "eth0"}]})", "/routes/0/port",
       "no port \"eth0\""},
      {R"({"routes": [{"to": "10.0.0.0/8", "port": "lan", "metric": -1}]})", "/routes/0/metric",
       "0 to 4294967295"},
      {R"({"routes": [{"to": "10.0.0.0/8", "port": "lan", "table": 0}]})", "/routes/0/table",
       "1 to 4294967295"},
      {R"({"routes": [{"to": "10.0.0.0/8", "port": "lan", "table": 4294967296}]})",
       "/routes/0/table", "1 to 4294967295"},
      {R"({"routes": [{"to": "10.0.0.0/8", "port": "lan"}, {"to": "10.0.0.0/8", "port": "wan"}]})",
       "/routes/1", "the same as route 0"},
      {R"({"routes": [{"to": "10.0.0.0/8", "dev": "lan"}]})", "/routes/0/dev", "known here"},
      // Masquerading.
      {R"({"nat": {}})", "/nat", "list in [ ]"},
      {R"({"nat": [{}]})", "/nat/0", "exactly one of masquerade, snat"},
      {R"({"nat": [{"masquerade": "wan", "snat": "wan"}]})", "/nat/0", "exactly one of"},
      {R"({"nat": [{"masquerade": "nowhere"}]})", "/nat/0/masquerade", "no port \"nowhere\""},
      {R"({"nat": [{"masquerade": "wan", "source": "192.168.0.0/33"}]})", "/nat/0/source",
       "no address or network"},
      {R"({"nat": [{"masquerade": "wan", "source": "!192.168.0.0/24"}]})", "/nat/0/source",
       "no address or network"},
      {R"({"nat": [{"masquerade": "wan", "to": "203.0.113.5"}]})", "/nat/0/to", "known here"},
      {R"({"nat": [{"masquerade": "wan", "protocol": "tpc"}]})", "/nat/0/protocol", "no protocol"},
      {R"({"nat": [{"masquerade": "wan", "destination_port": 80}]})", "/nat/0/destination_port",
       "needs \"protocol\""},
      {R"({"nat": [{"masquerade": "wan", "to_ports": "0-5"}]})", "/nat/0/to_ports", "no port from"},
      {R"({"nat": [{"masquerade": "wan", "to_ports": "9-5"}]})", "/nat/0/to_ports", "no port from"},
      {R"({"nat": [{"masquerade": "wan", "to_ports": 65536}]})", "/nat/0/to_ports", "1 to 65535"},
      {R"({"nat": [{"masquerade": "wan", "profile": "cone"}]})", "/nat/0/profile",
       "none of: rfc, linux, classic-2.2"},
      {R"({"nat": [{"masquerade": "wan", "profile": {"mapping": "any"}}]})",
       "/nat/0/profile/mapping", "endpoint-independent"},
      {R"({"nat": [{"masquerade": "wan", "profile": {"parity": 1}}]})", "/nat/0/profile/parity",
       "true or false"},
      {R"({"nat": [{"snat": "wan"}]})", "/nat/0", "\"to\" is missing"},
      {R"({"nat": [{"snat": "wan", "to": []}]})", "/nat/0/to", "is empty"},
      {R"({"nat": [{"snat": "wan", "to": "198.51.100.9-198.51.100.3"}]})", "/nat/0/to", "is empty"},
      {R"({"nat": [{"snat": "wan", "to": "198.51.100.9-2001:db8::1"}]})", "/nat/0/to", "mixes"},
      {R"({"nat": [{"snat": "wan", "to": ["198.51.100.9", "2001:db8::1"]}]})", "/nat/0/to/1",
       "mixes"},
      {R"({"nat": [{"snat": "wan", "to": ["198.51.100.1-198.51.100.9", "198.51.100.5"]}]})",
       "/nat/0/to/1", "overlaps"},
      {R"({"nat": [{"snat": "wan", "to": "10.0.0.0-10.2.0.0"}]})", "/nat/0/to", "more than 65536"},
      {R"({"nat": [{"snat": "wan", "to": "2001:db8::1", "source": "10.0.0.0/8"}]})", "/nat/0/to",
       "another family"},
      {R"({"nat": [{"snat": "wan", "to": "203.0.113.5"}]})", "/nat/0/to",
       "add it to /ports/wan/addresses"},
      {R"({"nat": [{"netmap": "wan", "to": "198.51.100.0/24"}]})", "/nat/0",
       "\"source\" is missing"},
      {R"({"nat": [{"netmap": "wan", "source": "10.0.0.0/24", "to": "198.51.100.0/25"}]})",
       "/nat/0/to", "as many bits"},
      {R"({"nat": [{"netmap": "wan", "source": "10.0.0.0/24", "to": "10.0.0.0/24"}]})", "/nat/0/to",
       "overlaps"},
      {R"({"nat": [{"dnat": "wan", "to": "10.0.0.2", "to_port": 80}]})", "/nat/0/to_port",
       "needs \"protocol\""},
      {R"({"nat": [{"dnat": "wan", "to": "203.0.113.2"}]})", "/nat/0/to", "use \"redirect\""},
      {R"({"nat": [{"dnat": "wan", "destination": "2001:db8::1", "to": "10.0.0.2"}]})", "/nat/0/to",
       "another family"},
      {R"({"nat": [{"dnat": "wan", "to": "10.0.0.2"}, {"dnat": "wan", "protocol": "tcp",
           "destination_port": "80", "to": "10.0.0.3"}]})",
       "/nat/1", "rule 0 covers it"},
      {R"({"nat": [{"masquerade": "wan"}, {"masquerade": "wan", "source": "10.0.0.0/8"}]})",
       "/nat/1", "rule 0 covers it"},
      {R"({"nat": [{"masquerade": "lan", "source": "10.0.0.0/8"},
                        {"masquerade": "wan", "source": "10.0.0.0/8"},
                        {"masquerade": "wan", "source": "10.1.0.0/16"}]})",
       "/nat/2", "rule 1 covers it"},
      // The firewall has a table of its own; here: the pointer leads there.
      {R"({"firewall": {"forward": {"rules": [{"in": "dmz", "action": "drop"}]}}})",
       "/firewall/forward/rules/0/in", "no port \"dmz\""},
      {R"({"firewall": {"forward": {"policy": "perhaps"}}})", "/firewall/forward/policy",
       "none of"},
      // The rest.
      {R"({"conntrack": 7})", "/conntrack", "object in { }"},
      {R"({"conntrack": {"maximum": 7}})", "/conntrack/maximum", "known here: max"},
      {R"({"conntrack": {"max": -1}})", "/conntrack/max", "64 to 16777216"},
      {R"({"conntrack": {"max": 63}})", "/conntrack/max", "64 to 16777216"},
      {R"({"conntrack": {"max": 1e3}})", "/conntrack/max", "whole number"},
      {R"({"conntrack": {"profile": "bsd"}})", "/conntrack/profile", "linux, classic-2.2, rfc"},
      {R"({"conntrack": {"timeouts": {"tcp": 5}}})", "/conntrack/timeouts/tcp", "tcp_syn_sent"},
      {R"({"conntrack": {"timeouts": {"udp": 0}}})", "/conntrack/timeouts/udp", "1 to 31536000"},
      {R"({"conntrack": {"tcp": true}})", "/conntrack/tcp", "object in { }"},
      {R"({"conntrack": {"tcp": {"lose": true}}})", "/conntrack/tcp/lose", "loose"},
      {R"({"conntrack": {"tcp": {"loose": 1}}})", "/conntrack/tcp/loose", "true"},
      {R"({"conntrack": {"timeouts": {"udp": "5s"}}})", "/conntrack/timeouts/udp", "a text"},
      {R"({"shard": {"spin_us": "fast"}})", "/shard/spin_us", "whole number"},
      {R"({"shard": {"spin_us": 1000001}})", "/shard/spin_us", "0 to 1000000"},
      {R"({"shard": {"frames": 255}})", "/shard/frames", "256 to 65536"},
      {R"({"shard": {"count": 2}})", "/shard/count", "known here: spin_us, frames, nice"},
      {R"({"shard": {"nice": -21}})", "/shard/nice", "-20 to 19"},
      {R"({"shard": {"nice": 20}})", "/shard/nice", "-20 to 19"},
      {R"({"shard": {"nice": 18446744073709551615}})", "/shard/nice", "-20 to 19"},
      {R"({"shard": {"nice": 0.5}})", "/shard/nice", "whole number"},
      {R"({"api": {"socket": "api.sock"}})", "/api/socket", "no absolute path"},
      {R"({"api": {"tcp": 8080}})", "/api/tcp", "text in quotes"},
      {R"({"api": {"tcp": "8080"}})", "/api/tcp", "no address with a port"},
      {R"({"api": {"tcp": "127.0.0.1"}})", "/api/tcp", "no address with a port"},
      {R"({"api": {"tcp": "127.0.0.1:0"}})", "/api/tcp", "no address with a port"},
      {R"({"api": {"tcp": "127.0.0.1:1-2"}})", "/api/tcp", "no address with a port"},
      {R"({"api": {"tcp": "127.0.0.1:65536"}})", "/api/tcp", "no address with a port"},
      {R"({"api": {"tcp": "[127.0.0.1]:80"}})", "/api/tcp", "no address with a port"},
      {R"({"api": {"tcp": "::1:80"}})", "/api/tcp", "no address with a port"},
      {R"({"api": {"tcp": "0.0.0.0:80"}})", "/api/tcp", "must be a loopback address"},
      {R"({"api": {"tcp": "192.168.0.1:80"}})", "/api/tcp", "must be a loopback address"},
      {R"({"api": {"port": 1}})", "/api/port", "known here: socket, tcp"}};
  for (const Case& c : kCases) {
    CAPTURE(std::string{c.patch});
    const Json whole = document(c.patch);
    const Refusal refused = refusal_of([&] { from_json(whole, kRuntime); });
    CAPTURE(refused.sentence);
    CHECK(refused.problem == Problem::invalid);
    CHECK(refused.pointer == c.pointer);
    CHECK(contains(refused.sentence, c.says));
    CHECK(whole.contains(Json::json_pointer{refused.pointer}));
  }
}

TEST_CASE("config: text that is no document is refused with its place") {
  struct Case {
    const char* text;
    const char* pointer;
  };
  for (const Case& c :
       {Case{"", "line 1, column 1"}, Case{"{\n  \"ports\": {,}\n}", "line 2, column 13"},
        Case{R"({"ports": {}} {})", "line 1, column 15"},
        Case{R"({"ports": {},})", "line 1, column 14"},
        Case{R"({"ports": {"a": {"tap": "x"}, "a": {"tap": "y"}}})", "/ports/a"},
        Case{R"({"firewall": {"input": {"rules": [{}, {"id": "x", "id": "x"}]}}})",
             "/firewall/input/rules/1/id"}}) {
    CAPTURE(std::string{c.text});
    const Refusal refused = refusal_of([&] { parse_config(c.text, kRuntime); });
    CHECK(refused.problem == Problem::malformed);
    CHECK(refused.pointer == c.pointer);
  }
  for (const char* text : {"[]", "7", "null", "\"ports\""}) {
    CAPTURE(std::string{text});
    const Refusal refused = refusal_of([&] { parse_config(text, kRuntime); });
    CHECK(refused.problem == Problem::invalid);
    CHECK(refused.pointer.empty());
  }
}

TEST_CASE("config: the longest socket path that Linux takes, and one byte more") {
  const std::string fits = "/" + std::string(106, 'a');
  Json whole = document();
  whole["api"]["socket"] = fits;
  CHECK(from_json(whole, kRuntime).api.socket == fits);
  whole["api"]["socket"] = fits + "a";
  CHECK(refusal_of([&] { from_json(whole, kRuntime); }).pointer == "/api/socket");
  whole.erase("api");
  whole["runtime"] = "/" + std::string(97, 'a');
  CHECK(from_json(whole, kRuntime).api.socket.size() == 107);
  whole["runtime"] = "/" + std::string(98, 'a');
  CHECK(refusal_of([&] { from_json(whole, kRuntime); }).pointer == "/runtime");
}

TEST_CASE("config: what a document leaves out") {
  const Config c = config();
  CHECK(c.runtime == "/run/masqgate");
  CHECK(c.api.socket == "/run/masqgate/api.sock");
  CHECK_FALSE(c.api.tcp);
  CHECK(c.tree == "/run/masqgate/tree");
  CHECK(c.ip_forward);
  CHECK_FALSE(c.ip_always_defrag);
  CHECK(c.routes.empty());
  CHECK(c.nat.empty());
  CHECK(c.firewall->is_empty(firewall::Hook::forward));
  CHECK(c.conntrack.max == 262144);
  CHECK(c.shard.spin_us == 0);
  CHECK(c.shard.nice == -10);
  CHECK(port_names(c) == std::vector<std::string>{"lan", "wan"});
  CHECK(c.ports[0].queues == 1);
  CHECK_FALSE(c.ports[0].mtu);
  CHECK(bridge_of(c.ports[0]) == "br-lan");
  CHECK(network_side_of(c.ports[0]) == "mg-lan");
}

TEST_CASE("config: everything arrives in its place") {
  const Config c = config(R"({
    "runtime": "/tmp/m", "tree": false, "ip_forward": false, "ip_always_defrag": true,
    "ip_dynaddr": 7, "ip_masq_debug": 2, "ip_masq_udp_dloose": true,
    "ports": {"lan": {"mtu": 9000, "queues": 4, "inherit": true, "mac": "02:AA:00:00:00:01",
                      "source_validation": "strict"},
              "vm": {"tap": "vm1"}, "tunnel": {"tun": "tun5", "mtu": 68}, "old": {"bridge": "br0"}},
    "routes": [{"to": "0.0.0.0/0", "via": "203.0.113.1", "metric": 5},
               {"to": "::/0", "via": "fe80::1", "port": "wan", "table": 100},
               {"to": "10.0.0.0/8", "port": "tunnel"}],
    "nat": [{"masquerade": "wan", "source": "192.168.0.0/24", "profile": "classic-2.2"},
            {"masquerade": "wan"}],
    "firewall": {"forward": {"policy": "drop", "rules": [{"in": "vm", "action": "accept"}]}},
    "conntrack": {"max": 64, "profile": "classic-2.2",
                  "timeouts": {"tcp_established": 7, "udp": 8, "tcp_close": 9},
                  "tcp": {"loose": false, "liberal": true}},
    "shard": {"spin_us": 50, "frames": 256, "nice": 19},
    "api": {"socket": "/tmp/s", "tcp": "[::1]:8080"}})");
  CHECK(c.runtime == "/tmp/m");
  CHECK_FALSE(c.tree);
  CHECK_FALSE(c.ip_forward);
  CHECK(c.ip_always_defrag);
  CHECK(c.ip_dynaddr == 7);
  CHECK(c.ip_masq_debug == 2);
  CHECK(c.ip_masq_udp_dloose);
  CHECK(nat_rules(c).loose_udp);
  CHECK(port_names(c) == std::vector<std::string>{"lan", "wan", "vm", "tunnel", "old"});
  CHECK(c.ports[0].mtu == 9000);
  CHECK(c.ports[0].queues == 4);
  CHECK(c.ports[0].inherit);
  CHECK(c.ports[0].source_validation == path::SourceValidation::strict);
  CHECK_FALSE(c.ports[1].source_validation);
  CHECK(c.ports[0].mac->text() == "02:aa:00:00:00:01");
  CHECK(c.ports[0].addresses[1].text() == "fd00:1::1/64");
  CHECK(c.ports[2].attachment == Attachment::tap);
  CHECK(network_side_of(c.ports[2]) == "vm1");
  CHECK(c.ports[3].attachment == Attachment::tun);
  CHECK(bridge_of(c.ports[4]) == "br0");
  CHECK(network_side_of(c.ports[4]) == "mg-old");
  CHECK(c.routes[0].metric == 5u);
  CHECK(c.routes[0].via->text() == "203.0.113.1");
  CHECK(c.routes[1].port == PortIndex{1});
  CHECK(c.routes[1].table == 100u);
  CHECK_FALSE(c.routes[2].via);
  CHECK(c.nat[0].behaviour == nat::kClassic22);
  CHECK(c.nat[1].behaviour == nat::kRfc);
  CHECK_FALSE(c.firewall->is_empty(firewall::Hook::forward));
  CHECK(c.conntrack.max == 64);
  CHECK_FALSE(c.conntrack.tcp_loose);
  CHECK(c.conntrack.tcp_liberal);
  CHECK(c.shard.spin_us == 50);
  CHECK(c.shard.frames == 256);
  CHECK(c.shard.nice == 19);
  CHECK(c.api.socket == "/tmp/s");
  CHECK(c.api.tcp->text() == "[::1]:8080");
}

TEST_CASE("config: what the parts of the router are given") {
  using nat::SourceRule;
  const nat::Rules rules = nat_rules(config(R"({"nat": [
    {"masquerade": "wan", "source": "10.0.0.0/8", "profile": "classic-2.2"},
    {"exclude": "wan", "source": "0.0.0.0/4", "protocol": "udp"},
    {"netmap": "wan", "source": "172.16.9.0/24", "to": "198.51.100.0/24"},
    {"dnat": "wan", "protocol": "tcp", "destination_port": "80-81", "to": "10.0.0.2", "to_port": 8080},
    {"dnat": "wan", "destination": "198.51.100.9", "to": "10.0.0.3-10.0.0.5"},
    {"redirect": "lan", "protocol": "tcp", "destination_port": 80, "to_port": "3128"},
    {"snat": "wan", "to": ["198.51.100.7", "198.51.100.10-198.51.100.11"], "to_ports": "1024-2047",
     "profile": {"preset": "symmetric", "filtering": "address-dependent", "parity": true}}]})"));
  REQUIRE(rules.source.size() == 4);
  CHECK(rules.source[0].egress == 1);
  CHECK(rules.source[0].behaviour == nat::kClassic22);
  CHECK(rules.source[1].kind == SourceRule::Kind::none);
  CHECK(rules.source[2].network.text() == "198.51.100.0/24");
  CHECK(rules.source[3].pool.size() == 2);
  CHECK(rules.source[3].ports == net::PortRange{1024, 2047});
  CHECK(rules.source[3].behaviour.mapping == nat::Scope::connection);
  CHECK(rules.source[3].behaviour.filtering == nat::Scope::address);
  CHECK(rules.source[3].behaviour.parity);
  REQUIRE(rules.destination.size() == 4);
  CHECK(rules.destination[0].network.text() == "172.16.9.0/24");
  CHECK(rules.destination[0].selector.destination->text() == "198.51.100.0/24");
  CHECK(rules.destination[1].owner == 1);
  CHECK(rules.destination[1].ports == net::PortRange{8080, 8080});
  CHECK(rules.destination[2].owner == kNoPort);
  CHECK(rules.destination[2].to.size() == 3);
  CHECK(rules.destination[3].ingress == 0);
  const net::Endpoint outside{*net::IpAddress::parse("203.0.113.2"), 81};
  CHECK(rules.is_forwarded(1, net::Protocol::tcp, outside));
  CHECK_FALSE(rules.is_forwarded(1, net::Protocol::udp, outside));

  using conntrack::TcpState;
  const auto seconds = [](int n) { return Duration{std::chrono::seconds{n}}; };
  const auto timeouts = timeouts_of(config(R"({"conntrack": {"profile": "classic-2.2", "timeouts": {
    "tcp_syn_sent": 1, "tcp_syn_recv": 2, "tcp_established": 3, "tcp_fin_wait": 4,
    "tcp_close_wait": 5, "tcp_last_ack": 6, "tcp_time_wait": 7, "tcp_close": 8, "tcp_reset": 9, "udp": 10,
    "udp_stream": 11, "icmp": 12, "icmpv6": 13, "generic": 14},
    "tcp": {"loose": false, "liberal": true}}})")
                                        .conntrack);
  int expected = 0;
  for (const TcpState state :
       {TcpState::syn_sent, TcpState::syn_recv, TcpState::established, TcpState::fin_wait,
        TcpState::close_wait, TcpState::last_ack, TcpState::time_wait, TcpState::close})
    CHECK(timeouts.tcp[static_cast<std::size_t>(state)] == seconds(++expected));
  for (const Duration one : {timeouts.tcp_reset, timeouts.udp, timeouts.udp_stream, timeouts.icmp,
                             timeouts.icmpv6, timeouts.generic})
    CHECK(one == seconds(++expected));
  CHECK(timeouts.profile == conntrack::Profile::classic_22);
  CHECK_FALSE(timeouts.tcp_loose);
  CHECK(timeouts.tcp_liberal);

  const auto untouched = timeouts_of(config().conntrack);
  const auto rfc = conntrack::Timeouts::of(conntrack::Profile::rfc);
  CHECK(untouched.tcp == rfc.tcp);
  CHECK(untouched.udp == rfc.udp);
  CHECK(untouched.tcp_reset == seconds(240));
  CHECK(untouched.tcp_loose);
  CHECK_FALSE(untouched.tcp_liberal);
}

TEST_CASE("config: helpers") {
  CHECK(config().helpers == helper::Settings::defaults());
  const auto c = config(R"({"helpers": {"ftp": {"ports": [21, 2121], "networks": ["10.0.0.0/8"]},
                                        "irc": {"enabled": false}, "denied_ports": [3306, "6000-6063"]}})");
  const Json written = to_json(c)["helpers"];
  CHECK(written["ftp"] ==
        Json::parse(R"({"enabled": true, "ports": [21, 2121], "networks": ["10.0.0.0/8"]})"));
  CHECK(written["irc"]["enabled"] == false);
  CHECK(written["denied_ports"] == Json::parse(R"(["3306", "6000-6063"])"));
  CHECK(to_json(from_json(to_json(c), "/elsewhere")) == to_json(c));
}

TEST_CASE("config: the canonical form is read back to itself") {
  const Json written = to_json(parse_config(test::example_document(), kRuntime));
  CHECK(to_json(from_json(written, "/elsewhere")) == written);
  CHECK(written.dump().find("/elsewhere") == std::string::npos);

  Json expected = document(R"({"ports": {"lan": {"queues": 1, "inherit": false},
                                          "wan": {"queues": 1, "inherit": false}}})");
  expected.merge_patch(Json::parse(R"({
    "runtime": "/run/masqgate", "routes": [], "nat": [], "sets": {}, "firewall": {},
    "conntrack": {"max": 262144, "profile": "rfc", "timeouts": {},
                  "tcp": {"loose": true, "liberal": false}},
    "limits": {"sessions_per_host": 65536, "ports_per_host": 16384, "new_per_second_per_host": 0,
               "half_open_per_destination": 1024, "half_open": 16384, "reserve": 1024,
               "ipv6_host_prefix": 64, "except": [], "refusal": "host"}, "syn_proxy": [],
    "shard": {"spin_us": 0, "frames": 1024, "nice": -10}, "api": {"socket": "/run/masqgate/api.sock"},
    "divert": {"packets": 4096, "bytes": 33554432, "hops": 8, "access": [], "management": [22], "at_stop": "drop"},
    "tree": "/run/masqgate/tree", "ip_forward": true, "ip_always_defrag": false,
    "ip_dynaddr": 5, "ip_masq_debug": 0, "ip_masq_udp_dloose": false})"));
  expected["helpers"] = to_json(config())["helpers"];  // below
  // Without the order of members: merge_patch() keeps its own.
  CHECK(nlohmann::json(to_json(config())) == nlohmann::json(expected));

  const Json full =
      to_json(config(R"({"tree": false, "nat": [{"masquerade": "wan", "protocol": "tcp",
      "destination_port": "80", "to_ports": "1024-2047", "profile": {"overload": true}},
      {"snat": "wan", "source": "10.0.0.0/8", "to": "198.51.100.1", "profile": "open"},
      {"netmap": "wan", "source": "172.16.0.0/24", "to": "198.51.100.0/24"},
      {"exclude": "lan"}, {"redirect": "lan", "protocol": "udp", "to_port": 53},
      {"dnat": "wan", "destination": "198.51.100.7", "to": "10.0.0.1-10.0.0.9"}],
    "routes": [{"to": "::/0", "via": "fe80::1", "port": "wan", "metric": 0, "table": 7}],
    "ports": {"t": {"tun": "tun0", "mtu": 68}, "b": {"bridge": "br0", "mac": "02:00:00:00:00:01"}},
    "conntrack": {"timeouts": {"udp": 3}}, "api": {"tcp": "127.0.0.1:80"}})"));
  CHECK(to_json(from_json(full, kRuntime)) == full);
  CHECK(full["routes"][0] ==
        Json::parse(R"({"to":"::/0","via":"fe80::1","port":"wan","metric":0,"table":7})"));
  CHECK(full["ports"]["b"]["bridge"] == "br0");
}

TEST_CASE("config: no prefix of a document is one") {
  const std::string text = test::example_document();
  const std::size_t whole = text.rfind('}') + 1;
  for (std::size_t size = 0; size < whole; ++size) {
    CAPTURE(size);
    const Refusal refused =
        refusal_of([&] { parse_config(std::string_view{text}.substr(0, size), kRuntime); });
    REQUIRE(refused.problem == Problem::malformed);
    REQUIRE(refused.pointer.starts_with("line "));
  }
  CHECK_NOTHROW(parse_config(std::string_view{text}.substr(0, whole), kRuntime));
}

TEST_CASE("config: files are named where they are wrong, or cannot be read") {
  const std::string path = "test_config." + std::to_string(::getpid()) + ".json";
  std::ofstream{path} << "{\n  \"ports\": {\"lan\": {\"nics\": 7}}}";
  const Refusal value = refusal_of([&] { load(path, kRuntime); });
  CHECK(value.problem == Problem::invalid);
  CHECK(value.sentence.starts_with(path + ": /ports/lan/nics: must be a list"));
  CHECK(value.pointer == "/ports/lan/nics");

  std::ofstream{path} << "{\n  \"ports\": [";
  CHECK(refusal_of([&] { load(path, kRuntime); }).sentence.starts_with(path + ": line 2, column "));

  std::ofstream{path} << "// a comment\n" << document().dump();
  CHECK(port_names(load(path, kRuntime).config).size() == 2);
  std::remove(path.c_str());

  const Refusal missing = refusal_of([&] { load(path, kRuntime); });
  CHECK(missing.problem == Problem::not_found);
  CHECK(missing.sentence == path + ": cannot be read: No such file or directory");
  CHECK(contains(refusal_of([&] { load("/", kRuntime); }).sentence, "Is a directory"));
  CHECK(contains(refusal_of([&] { load("/dev/zero", kRuntime); }).sentence, "larger than"));
}

TEST_CASE("config: systemd says where the runtime folder is") {
  ::setenv("RUNTIME_DIRECTORY", "/run/a:/run/b", 1);
  CHECK(default_runtime() == "/run/a");
  ::setenv("RUNTIME_DIRECTORY", "", 1);
  CHECK(default_runtime() == "/run/masqgate");
  ::unsetenv("RUNTIME_DIRECTORY");
  CHECK(default_runtime() == "/run/masqgate");
}

TEST_CASE("config: the documents that masqgate brings along are right") {
  CHECK_NOTHROW(parse_config(test::example_document(), kRuntime));
  CHECK_NOTHROW(parse_config(test::source_file("systemd/masqgate.json"), kRuntime));
}
