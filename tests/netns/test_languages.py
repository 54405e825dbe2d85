#!/usr/bin/env python3
"""The rule languages of four generations, end to end: the rule sets of their time are loaded through the commands of
their time, and probed with nmap, hping3, curl and ping from both sides (requirement K-20, history 3, 7)."""
import os
import shutil

import lab as l
import router as r
import rule_sets
import servers
from story import check, check_equal, main, story

TOOLS = ["ipchains", "ipchains-save", "ipchains-restore", "ipfwadm", "iptables", "iptables-save", "iptables-restore"]


class OldTools:
    """The compatibility directory, first in the path of whoever runs in the router's namespace."""

    def __init__(self, lab):
        self.lab, self.directory = lab, lab.directory / "compat"
        self.directory.mkdir()
        for tool in TOOLS:
            (self.directory / tool).symlink_to(shutil.which(lab.masqgate.control))

    def run(self, *words, check=True, text=""):
        done = self.lab.router.run(self.directory / words[0], *words[1:], check=check, input=text)
        return done.stdout if check else done

    def script(self, text):
        """Ends at the first command that fails."""
        path = f"PATH={self.directory}:{os.environ['PATH']}"
        self.lab.router.run("env", path, "sh", "-e", "-c", text)


def start(lab):
    config = r.configuration()
    config["nat"], config["firewall"] = [], {}
    lab.masqgate.start(config)
    return OldTools(lab)


def log_of(lab):
    return lab.masqgate.process.output()


def scan(host, target, *options):
    """What nmap finds of ports 22, 80 and 81: {80: "open", …}."""
    text = host.run("nmap", "-n", "-Pn", "--max-retries", "2", "-p", "22,80,81", *options, target).stdout
    lines = [line.split() for line in text.splitlines() if "/tcp" in line]
    return {int(words[0].split("/")[0]): words[1] for words in lines}


class Probes:
    """A web server outside, one on the router, and one inside whom nobody outside may ask."""

    def __init__(self, lab):
        self.lab = lab
        self.outside, self.here = servers.Http(lab.server), servers.Http(lab.router, 80, b"the router\n")
        self.inside = servers.Http(lab.alice, 80, b"a secret\n")
        lab.server.ip(f"route add {l.LAN} via {l.ROUTER_WAN}")

    def from_inside(self):
        page = self.lab.alice.run("curl", "-sS", "--max-time", "20", f"http://{l.INTERNET}/").stdout
        check_equal((page, self.outside.addresses()), ("hello from outside\n", {l.ROUTER_WAN}), "page and client")
        self.lab.bob.run("ping", "-c", "2", "-i", "0.2", "-W", "5", l.INTERNET)
        check_equal(scan(self.lab.alice, l.INTERNET), {22: "closed", 80: "open", 81: "closed"}, "scan of the outside")
        check_equal(scan(self.lab.alice, l.ROUTER_LAN), {22: "closed", 80: "open", 81: "closed"}, "scan of the router")

    def from_outside(self, own, hidden):
        """own: what a scan of the router tells; hidden: of hosts inside."""
        check_equal(scan(self.lab.server, l.ROUTER_WAN), own, "scan of the router from outside")
        check_equal(scan(self.lab.server, l.ALICE), hidden, "scan of alice from outside")
        refused = self.lab.server.run("curl", "-sS", "--max-time", "2", f"http://{l.ALICE}/", check=False)
        check(refused.returncode != 0, f"alice answered: {refused.stdout}")
        check_equal(self.inside.addresses(), set(), "who asked alice")

    def spoof(self):
        """TCP to the router in the name of a host inside, from outside; the witness must not see that."""
        self.lab.witness.testify()
        self.lab.witness.captures.clear()
        self.lab.server.run("hping3", "-S", "-p", "80", "-a", l.BOB, "-c", "3", "-i", "u100000", l.ROUTER_WAN,
                            check=False)

    def carol_stays_out(self):
        """Another network, of which the rules do not speak."""
        carol = self.lab.carol.run("ping", "-c", "1", "-W", "2", l.INTERNET, check=False)
        check(carol.returncode != 0, "carol came through")


OPEN, CLOSED = {22: "closed", 80: "open", 81: "closed"}, {22: "filtered", 80: "filtered", 81: "filtered"}


def tell_simple(kernel):
    @story(f"K-20: the simple rule set of Linux {kernel} masquerades, and lets nobody in", needs_masqgate=True)
    def simple(lab):
        tools = start(lab)
        probes = Probes(lab)
        tools.script(rule_sets.SIMPLE[kernel])
        probes.from_inside()
        probes.from_outside(OPEN, CLOSED)
        if kernel != "2.4":  # there MASQUERADE means who comes by another port, too, but FORWARD stops him
            probes.carol_stays_out()


def tell_stronger(kernel):
    @story(f"K-20: the stronger rule set of Linux {kernel} masquerades, refuses, and logs what it refuses",
           needs_masqgate=True)
    def stronger(lab):
        tools = start(lab)
        probes = Probes(lab)
        tools.script(rule_sets.STRONGER[kernel])
        probes.from_inside()
        probes.from_outside(CLOSED if kernel == "2.4" else OPEN, CLOSED)
        probes.carol_stays_out()
        probes.spoof()
        spoofed = f"SRC={l.BOB} DST={l.ROUTER_WAN} LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=" if kernel == "2.4" else \
            "Packet log: input REJECT wan0 PROTO=6 192.168.0.11:"
        l.wait_until(lambda: spoofed in log_of(lab), f"{spoofed!r} in the log")
        line = next(line for line in log_of(lab).splitlines() if spoofed in line)
        if kernel == "2.4":
            check("IN=wan0 OUT= MAC=" in line and "PROTO=TCP SPT=" in line and " DPT=80 WINDOW=512 RES=0x00 SYN URGP=0" in line, line)
        else:
            check(f"{l.ROUTER_WAN}:80 L=40 S=0x00 I=" in line and " F=0x0000 T=64 SYN (#" in line, line)


for generation in ("2.0", "2.2", "2.4"):
    tell_simple(generation)
    tell_stronger(generation)


@story("K-20: ipchains -L -n -v and -M -L look as they did, and count", needs_masqgate=True)
def listings(lab):
    tools = start(lab)
    tools.script(rule_sets.SIMPLE["2.2"])
    echo = servers.TcpEcho(lab.server)
    connection = servers.connect(lab.alice, (l.INTERNET, 7))
    check(servers.answers(connection), "no echo")
    check_equal(tools.run("ipchains", "-L", "forward", "-n").splitlines(), [
        "Chain forward (policy DENY):",
        "target     prot opt     source                destination           ports",
        "MASQ       all  ------  192.168.0.0/24       0.0.0.0/0             n/a"], "listing")
    verbose = tools.run("ipchains", "-L", "forward", "-n", "-v").splitlines()
    check(verbose[0].startswith("Chain forward (policy DENY: 0 packets, 0 bytes):"), verbose[0])
    check_equal(verbose[1], " pkts bytes target     prot opt    tosa tosx  ifname     mark        source"
                "                destination           ports", "head")
    words = verbose[2].split()
    check(int(words[0]) >= 2 and words[2:8] == ["MASQ", "all", "------", "0xFF", "0x00", "wan0"], verbose[2])
    masquerading = tools.run("ipchains", "-M", "-L", "-n").splitlines()
    check_equal(masquerading[:2], ["IP masquerading entries",
                                   "prot expire   source               destination          ports"], "head")
    check(len(masquerading) == 3, f"entries: {masquerading}")
    words = masquerading[2].split()
    check_equal((words[0], words[2:4], words[6:]), ("TCP", [l.ALICE, l.INTERNET], ["->", "7"]), "entry")
    check(words[1].startswith(("119:", "120:")), f"two hours, of which {words[1]} are left")
    check(61000 <= int(words[5].strip("()")) <= 65095, f"port {words[5]}")
    connection.close()


@story("V1: rules and chains stand in the files of their kernels, with their counters", needs_masqgate=True)
def files(lab):
    tools = start(lab)
    check_equal(lab.masqgate.text("net/ip_fwnames"), "input ACCEPT 1 0 0 0 0\nforward ACCEPT 1 0 0 0 0\n"
                "output ACCEPT 1 0 0 0 0\n", "ip_fwnames")
    check_equal(lab.masqgate.text("net/ip_tables_names"), "", "ip_tables_names")
    tools.script(rule_sets.SIMPLE["2.2"])
    lab.alice.run("ping", "-c", "1", "-W", "5", l.INTERNET)
    check_equal(lab.masqgate.text("net/ip_fwchains"), "  forward C0A80000/FFFFFF00->00000000/00000000 wan0 0 0 0 "
                "0         1         0         84        0-65535 0-65535 AFF X00 00000000 0 0      MASQ\n", "ip_fwchains")
    rules = {(rule["chain"], rule["rule"]): rule for rule in lab.masqgate.rest.get("/v1/rules")["rules"]}
    check(rules["forward", "1"]["idle_s"] is not None and rules["forward", "policy"]["idle_s"] is None, f"{rules}")
    unused = lab.masqgate.rest.get("/v1/rules", unused=1)["rules"]
    check({(rule["chain"], rule["rule"]) for rule in unused} == set(rules) - {("forward", "1")}
          - {("forward", "demasqueraded")}, f"unused: {unused}")
    firewall = lab.masqgate.rest.get("/v1/firewall")
    check_equal(firewall, lab.masqgate.rest.get("/v1/config")["firewall"], "/v1/firewall")
    lab.masqgate.rest.put("/v1/firewall", {"mine": {"rules": []}, "forward": {"rules": []}})
    lab.masqgate.rest.delete("/v1/firewall/mine")
    check_equal(list(lab.masqgate.rest.get("/v1/firewall")), ["forward"], "chains")
    tools.script(rule_sets.SIMPLE["2.4"])
    check_equal(lab.masqgate.text("net/ip_tables_names"), "nat\nfilter\n", "ip_tables_names")
    check("state\n" in lab.masqgate.text("net/ip_tables_matches"), "no state in ip_tables_matches")
    check("MASQUERADE\n" in lab.masqgate.text("net/ip_tables_targets"), "no MASQUERADE in ip_tables_targets")


@story("K-20: what is saved is restored, by both generations", needs_masqgate=True)
def save_and_restore(lab):
    tools = start(lab)
    tools.script(rule_sets.STRONGER["2.2"])
    saved = tools.run("ipchains-save")
    check(":input REJECT\n" in saved and "-A forward -s 192.168.0.0/255.255.255.0 -d 0.0.0.0/0.0.0.0 -i wan0 -j MASQ\n"
          in saved, saved)
    tools.script("ipchains -P input ACCEPT; ipchains -P output ACCEPT; ipchains -P forward ACCEPT; ipchains -F")
    check_equal(lab.masqgate.rest.get("/v1/config")["firewall"], {}, "firewall that says nothing")
    tools.run("ipchains-restore", text=saved)
    check_equal(tools.run("ipchains-save"), saved, "saved again")
    check_equal(lab.masqgate.rest.get("/v1/config")["firewall"]["ipchains"], saved.splitlines(), "the document")
    tools.script("ipchains -P input ACCEPT; ipchains -P output ACCEPT; ipchains -P forward ACCEPT; ipchains -F")

    tools.script(rule_sets.STRONGER["2.4"])
    saved = tools.run("iptables-save")
    check("# Generated by iptables-save v1.2.6a on " in saved and ":FORWARD DROP [" in saved
          and "-A POSTROUTING -o wan0 -j SNAT --to-source 203.0.113.2\n" in saved, saved)
    restored = tools.run("iptables-restore", text=saved)
    check_equal(restored, "", "what iptables-restore says")

    def rules(text):
        return [line for line in text.splitlines() if line[0] not in "#:"]
    check_equal(rules(tools.run("iptables-save")), rules(saved), "saved again")


@story("K-20: a mistake is refused with its line, and nothing of it is half there", needs_masqgate=True)
def mistakes(lab):
    tools = start(lab)
    tools.script(rule_sets.SIMPLE["2.2"])
    before = lab.masqgate.rest.get("/v1/config")

    def refused(words, status, sentence, text=""):
        done = tools.run(*words, check=False, text=text)
        check_equal((done.returncode, done.stdout), (status, ""), f"{words}: status and output")
        check(sentence in done.stderr, f"{words}: {done.stderr!r}")
        check_equal(lab.masqgate.rest.get("/v1/config"), before, "the document")
    refused(["ipchains", "-A", "nowhere", "-j", "DENY"], 1, "ipchains: No chain by that name")
    refused(["ipchains", "-A", "input", "-p", "nonsense", "-j", "DENY"], 2, "nonsense")
    refused(["ipchains", "-A", "input", "-i", "eth7", "-j", "DENY"], 1, "eth7")
    refused(["ipchains-restore"], 1, "line 2: No target by that name", ":input DENY\n-A input -j NOWHERE\n")
    refused(["iptables", "-A", "INPUT", "-j", "DROP"], 1, "the rules in force are ipchains's")
    refused(["iptables-restore"], 1, "the rules in force are ipchains's", "*filter\n:INPUT DROP [0:0]\nCOMMIT\n")
    for lines, place in (([":input DENY", "-A input -p 6 -y -q"], 1),
                         ([":input DENY", "-A input -j DENY", "-A output -j DENY", "-A input -i eth7 -j DENY"], 3)):
        try:
            lab.masqgate.rest.put("/v1/config", {**before, "firewall": {"ipchains": lines}})
            raise l.Failed("taken")
        except r.Refused as refusal:
            check_equal((refusal.status, refusal.problem["pointer"]), (422, f"/firewall/ipchains/{place}"), "place")
    refused(["ipchains-restore"], 1, "line 3: chain output, rule 1", "# mine\n-A input -j DENY\n-A output -i eth7 -j DENY\n")
    tools.script("ipchains -F; ipchains -P forward ACCEPT")
    before = lab.masqgate.rest.get("/v1/config")
    text = "*filter\n:INPUT DROP [0:0]\n-A INPUT -j ACCEPT\nCOMMIT\n*nat\n-A PREROUTING -j RETURN\nCOMMIT\n"
    refused(["iptables-restore"], 1, "line 6: table nat, chain PREROUTING, rule 1: RETURN", text)


def counts(listing):
    """Packets of the rows of a verbose listing, by target."""
    rows = [line.split() for line in listing.splitlines() if line[:1] == " " and "pkts" not in line]
    return {row[2]: int(row[0]) for row in rows}


@story("K-20: -Z lets counters begin at zero, -L -Z lists them first, and table nat counts connections", needs_masqgate=True)
def zeroing(lab):
    tools = start(lab)

    def ping(times):
        lab.alice.run("ping", "-c", str(times), "-i", "0.2", "-W", "5", l.INTERNET)
    tools.script("iptables -t nat -A POSTROUTING -o wan0 -j MASQUERADE; iptables -A FORWARD -i lan -j ACCEPT;"
                 "iptables -A FORWARD -i wan -j ACCEPT; iptables -A INPUT -p icmp -j ACCEPT")
    lab.alice.run("ping", "-c", "1", "-W", "5", l.ROUTER_LAN)
    ping(3)
    ping(2)
    nat = counts(tools.run("iptables", "-t", "nat", "-L", "POSTROUTING", "-n", "-v"))
    check_equal(nat, {"MASQUERADE": 2}, "connections that table nat has counted")
    listed = tools.run("iptables", "-L", "FORWARD", "-n", "-v", "-Z")
    check_equal([line.split()[0] for line in listed.splitlines()[2:4]], ["5", "5"], f"packets in {listed}")
    check_equal(counts(tools.run("iptables", "-L", "FORWARD", "-n", "-v"))["ACCEPT"], 0, "after -Z")
    check(counts(tools.run("iptables", "-L", "INPUT", "-n", "-v"))["ACCEPT"] > 0, "another chain begins at zero, too")
    check_equal(counts(tools.run("iptables", "-t", "nat", "-L", "POSTROUTING", "-n", "-v")), nat, "another table, too")
    check(f"[{2}:" in tools.run("iptables-save", "-c", "-t", "nat"), "iptables-save -c of table nat")
    tools.run("iptables", "-t", "nat", "-Z")
    check_equal(counts(tools.run("iptables", "-t", "nat", "-L", "POSTROUTING", "-n", "-v")), {"MASQUERADE": 0}, "nat after -Z")
    tools.script("iptables -F; iptables -t nat -F")

    tools.script("ipchains -A forward -i wan0 -s 192.168.0.0/24 -j MASQ; ipchains -A input -p icmp -j ACCEPT")
    ping(3)
    listed = tools.run("ipchains", "-L", "input", "-n", "-v", "-Z")
    check_equal(counts(listed)["ACCEPT"], 6, f"packets in {listed}")
    check_equal(counts(tools.run("ipfwadm", "-I", "-l", "-n", "-e", "-z"))["ACCEPT"], 0, "after -Z")
    check_equal(counts(tools.run("ipchains", "-L", "forward", "-n", "-v"))["MASQ"], 3, "another chain")
    ping(1)
    tools.run("ipchains", "-Z")
    check_equal(set(counts(tools.run("ipchains", "-L", "-n", "-v")).values()), {0}, "all")
    done = tools.run("iptables", "-Z", "NOWHERE", check=False)
    check_equal(done.returncode, 1, "a chain that is not there")


@story("K-20: twenty commands at once all take effect", needs_masqgate=True)
def together(lab):
    tools = start(lab)
    running = [lab.router.start(tools.directory / "ipchains", "-A", "input", "-s", f"10.0.0.{i}", "-j", "DENY")
               for i in range(1, 21)]
    for one in running:
        check_equal((one.wait(60), one.output()), (0, ""), "status and output")
    lines = [line for line in tools.run("ipchains-save").splitlines() if "10.0.0." in line]
    check_equal(len(lines), 20, "rules")


if __name__ == "__main__":
    main()
