#!/usr/bin/env python3
"""V1, V2: the virtual files while real connections exist, byte for byte as history section 1 says."""
import re

import lab as l
import servers
from story import check, check_equal, main, story

SILENT = "198.51.100.200"  # nobody: what is sent there stays unanswered
HEX, PORT = "[0-9A-F]{8}", "[0-9A-F]{4}"

MASQUERADE_HEAD = (r"Prc FromIP   FPrt ToIP     TPrt Masq Init-seq  Delta PDelta Expires "
                   r"\(free=(\d+),(\d+),(\d+)\) *")
MASQUERADE_ROW = (rf"(TCP|UDP|ICMP) ({HEX}:{PORT}) ({HEX}:{PORT}) ({PORT}) ({HEX}) "
                  r"([ \d-]{6}) ([ \d-]{6}) ( *\d+) *")
MASQ_HEAD = (r"Prot SrcIP    SPrt DstIP    DPrt MAddr    MPrt State        Flgs Ref Ctl Expires "
             r"\(free=(\d+),(\d+),(\d+)\) *")
MASQ_ROW = (rf"(\S+) +({HEX}:{PORT}) ({HEX}:{PORT}) ({HEX}:{PORT}) ([A-Z_ ]{{12}}) "
            r"([ 0-9A-F]{3}) ([ \d]{4}) ([ \d-]{3}) ( *\d+) *")
TUPLE = r"src=\S+ dst=\S+ sport=\d+ dport=\d+ "
CONNTRACK = {
    "tcp": rf"tcp      6 \d+ [A-Z_]+ {TUPLE}(\[UNREPLIED\] )?{TUPLE}(\[ASSURED\] )?use=\d+ ",
    "udp": rf"udp      17 \d+ {TUPLE}(\[UNREPLIED\] )?{TUPLE}(\[ASSURED\] )?use=\d+ ",
    "icmp": r"icmp     1 \d+ (src=\S+ dst=\S+ type=\d+ code=\d+ id=\d+ (\[UNREPLIED\] )?){2}use=\d+ ",
}
COUNTS = r"(packets=\d+ bytes=\d+ )?"
QUERY = rf"src=\S+ dst=\S+ type=\d+ code=\d+ id=\d+ {COUNTS}(\[UNREPLIED\] )?"
NF_CONNTRACK = {
    "tcp": rf"(ipv4     2|ipv6     10) tcp      6 \d+ [A-Z_]+ {TUPLE}{COUNTS}(\[UNREPLIED\] )?{TUPLE}{COUNTS}"
           r"(\[ASSURED\] )?mark=\d+ use=\d+",
    "udp": rf"(ipv4     2|ipv6     10) udp      17 \d+ {TUPLE}{COUNTS}(\[UNREPLIED\] )?{TUPLE}{COUNTS}"
           r"(\[ASSURED\] )?mark=\d+ use=\d+",
    "icmp": rf"ipv4     2 icmp     1 \d+ {QUERY}{QUERY}mark=\d+ use=\d+",
    "icmpv6": rf"ipv6     10 icmpv6   58 \d+ {QUERY}{QUERY}mark=\d+ use=\d+",
}


def hexadecimal(address, port):
    """192.168.0.10, 80 -> C0A8000A:0050"""
    return "".join(f"{int(part):02X}" for part in address.split(".")) + f":{port:04X}"


class Traffic:
    """A TCP connection, a UDP flow and a ping that nobody answers, all from alice."""

    def __init__(self, lab):
        self.echo, self.udp_echo = servers.TcpEcho(lab.server), servers.UdpEcho(lab.server)
        self.tcp = servers.connect(lab.alice, (l.INTERNET, 7))
        check(servers.answers(self.tcp), "TCP does not work")
        self.udp = servers.udp_socket(lab.alice)
        check(servers.echoed(self.udp, (l.INTERNET, 7)), "UDP does not work")
        lab.alice.run("ping", "-c", "1", "-W", "1", "-e", "4660", SILENT, check=False)
        self.tcp_port, self.udp_port = self.tcp.getsockname()[1], self.udp.getsockname()[1]
        self.tcp_masq, self.udp_masq = self.echo.peers[0][1], self.udp_echo.peers[0][1]


def records(lab, path, head, row, size=128):
    """The rows of a file of fixed-size records as match objects; head and rows keep to their formats."""
    text = lab.masqgate.text(path)
    lines = text.split("\n")
    check_equal(lines.pop(), "", f"what follows the last line of {path}")
    check_equal({len(line) + 1 for line in lines}, {size}, f"record sizes of {path}")
    check(re.fullmatch(head, lines[0]), f"{path}: head {lines[0]!r}")
    rows = [re.fullmatch(row, line) for line in lines[1:]]
    check(all(rows), f"{path}: {[line for line, good in zip(lines[1:], rows) if not good]}")
    return rows


@story("V1: net/ip_masquerade lists what is masqueraded, in records of 128 bytes", needs_masqgate=True)
def ip_masquerade(lab):
    lab.masqgate.start()
    check_equal(records(lab, "net/ip_masquerade", MASQUERADE_HEAD, MASQUERADE_ROW), [], "rows at first")
    traffic = Traffic(lab)
    rows = {row[1]: row for row in records(lab, "net/ip_masquerade", MASQUERADE_HEAD, MASQUERADE_ROW)}
    check_equal(set(rows), {"TCP", "UDP", "ICMP"}, "protocols")
    for protocol, inside, outside, masq in (
            ("TCP", (l.ALICE, traffic.tcp_port), (l.INTERNET, 7), traffic.tcp_masq),
            ("UDP", (l.ALICE, traffic.udp_port), (l.INTERNET, 7), traffic.udp_masq)):
        got = rows[protocol].group(2, 3, 4)
        check_equal(got, (hexadecimal(*inside), hexadecimal(*outside), f"{masq:04X}"), protocol)
    check_equal(rows["ICMP"].group(2, 3), (hexadecimal(l.ALICE, 4660), hexadecimal(SILENT, 0x0800)), "ICMP")


@story("V1: net/ip_masq/{tcp,udp,icmp} list states and masquerading addresses", needs_masqgate=True)
def ip_masq(lab):
    lab.masqgate.start()
    traffic = Traffic(lab)
    for protocol, port, masq, state in (("tcp", traffic.tcp_port, traffic.tcp_masq, "ESTABLISHED"),
                                        ("udp", traffic.udp_port, traffic.udp_masq, "UDP")):
        rows = records(lab, f"net/ip_masq/{protocol}", MASQ_HEAD, MASQ_ROW)
        check_equal(len(rows), 1, f"rows for {protocol}")
        check_equal(rows[0].group(1, 2, 3, 4, 5),
                    (protocol.upper(), hexadecimal(l.ALICE, port), hexadecimal(l.INTERNET, 7),
                     hexadecimal(l.ROUTER_WAN, masq), f"{state:12}"), protocol)
    icmp = records(lab, "net/ip_masq/icmp", MASQ_HEAD, MASQ_ROW)
    check_equal([row.group(1, 2) for row in icmp], [("ICMP", hexadecimal(l.ALICE, 4660))], "icmp")


def check_lines(text, forms, protocol_column):
    """Every line is of the form of its protocol; returns the protocols seen."""
    seen = set()
    for line in text.splitlines():
        protocol = line.split()[protocol_column]
        check(protocol in forms and re.fullmatch(forms[protocol], line), f"not as it should be: {line!r}")
        seen.add(protocol)
    return seen


@story("V1: net/ip_conntrack and net/nf_conntrack list every connection with both tuples", needs_masqgate=True)
def conntrack(lab):
    lab.masqgate.start()
    traffic = Traffic(lab)
    lab.alice.run("ping", "-c", "1", "-W", "5", l.INTERNET_6)
    old, new = lab.masqgate.text("net/ip_conntrack"), lab.masqgate.text("net/nf_conntrack")
    check_equal(check_lines(old, CONNTRACK, 0) >= {"tcp", "udp", "icmp"}, True, f"protocols in:\n{old}")
    check_equal(check_lines(new, NF_CONNTRACK, 2) >= {"tcp", "udp", "icmp"}, True, f"protocols in:\n{new}")
    tcp = (f"src={l.ALICE} dst={l.INTERNET} sport={traffic.tcp_port} dport=7 "
           f"src={l.INTERNET} dst={l.ROUTER_WAN} sport=7 dport={traffic.tcp_masq} [ASSURED] ")
    check(tcp in old, f"no {tcp!r} in:\n{old}")
    check(f"dst={SILENT} type=8 code=0 id=4660 [UNREPLIED] src={SILENT}" in old, f"the ping in:\n{old}")


@story("V1: netstat -M and netstat-nat, unmodified, can scan the old files", needs_masqgate=True)
def readers(lab):
    lab.masqgate.start()
    Traffic(lab)
    head, *rows = lab.masqgate.text("net/ip_masquerade").splitlines()
    check("PDelta" in head and len(head) < 256, "netstat -M looks for PDelta in at most 256 bytes")
    check(all(len(re.split("[ :]+", row.strip())) == 10 for row in rows), f"netstat -M scans ten fields: {rows}")
    for line in lab.masqgate.text("net/ip_conntrack").splitlines():
        check(len(line) < 200, f"netstat-nat reads lines of less than 200 bytes: {line}")
        check_equal((line.count("src="), line.count("dst=")), (2, 2), line)


@story("V2: sys/net/ipv4/ip_forward switches forwarding; bad values are refused", needs_masqgate=True)
def ip_forward(lab):
    lab.masqgate.start()
    file = lab.masqgate.tree / "sys/net/ipv4/ip_forward"
    servers.UdpEcho(lab.server)
    flow = servers.udp_socket(lab.alice, timeout=0.3)
    check(servers.echoed(flow, (l.INTERNET, 7)), "no answer at first")
    check_equal(file.read_text(), "1\n", "the file")
    lab.router.run("sh", "-c", f"echo 0 > {file}")
    check_equal(file.read_text(), "0\n", "the file")
    # Its own words: a late answer to the first question would be taken for one to this.
    check(not servers.echoed(flow, (l.INTERNET, 7), b"and now?", tries=2), "still forwarding")
    lab.alice.run("ping", "-c", "1", "-W", "5", l.ROUTER_LAN)
    lab.router.run("sh", "-c", f"echo 1 > {file}")
    l.wait_until(lambda: servers.echoed(flow, (l.INTERNET, 7), tries=1), "forwarding again")
    for bad in ("2x", "maybe", ""):
        done = lab.router.run("bash", "-c", f"echo '{bad}' > {file}", check=False)
        check(done.returncode != 0 and "Invalid argument" in done.stderr, f"{bad!r}: {done.stderr or 'accepted'}")
    check_equal(file.read_text(), "1\n", "the file")


@story("V3: path and drops can be read as text, and say what REST says", needs_masqgate=True)
def own_files(lab):
    lab.masqgate.start()
    Traffic(lab)
    path, drops = lab.masqgate.text("path"), lab.masqgate.text("drops")
    words = [line.split() for line in path.splitlines()]
    stages = [word[1] for word in words if word[0] == "forward"]
    check_equal(stages, ["defragment", "syn_proxy", "track", "prerouting", "dnat", "route", "ttl", "forward", "postrouting",
                         "snat", "leaving", "help", "confirm", "show", "fit", "resolve", "transmit"], "stages")
    check(all(int(word[2]) > 0 for word in words if word[0] == "forward"), f"a stage without packets:\n{path}")
    for reason, count in lab.masqgate.rest.get("/v1/drops")["drops"].items():
        check(count == 0 or reason in drops, f"{reason} in:\n{drops}")


if __name__ == "__main__":
    main()
