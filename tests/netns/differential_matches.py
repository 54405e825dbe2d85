"""Rows F2 of the differential test: each match that looks at one packet, with the values at, below and above, and
its negation.

A row drops what matches. YES: it matches, NO: its negation matches, NEVER: neither does, because the question
makes no sense for the packet.
"""
import frames as f
from differential import Probe, Row
from frames import both, ping, tcp, udp

YES, NO, NEVER = True, False, None


class Otherwise:
    """masqgate's answer, and that of Linux where it is another one, with the name of the reason."""

    def __init__(self, answer, linux, reason):
        self.answer, self.linux, self.reason = answer, linux, reason


def probes(packets, negated):
    def verdict(answer):
        return "drop" if answer is not NEVER and answer != negated else "pass"
    made = []
    for packet, answer in packets:
        if isinstance(answer, Otherwise):
            made.append(Probe(packet, verdict(answer.answer), verdict(answer.linux), answer.reason))
            if made[-1].expected == made[-1].kernel:
                made[-1] = Probe(packet, made[-1].expected)
        else:
            made.append(Probe(packet, verdict(answer)))
    return made


def rows(name, match, negated, packets, nft=None, iptables=None, chain="forward", before=(), **more):
    """The match and its negation. nft: the questions of both in nftables, or iptables: those of the two families for
    both in iptables. before: rules in front, as (chain, masqgate's rule, nft's rule)."""
    made = []
    for is_negated, asked in enumerate((match, negated)):
        if asked is None:
            continue
        firewall, rules = {}, {}
        for hook, rule, text in before:
            firewall.setdefault(hook, []).append(rule)
            rules.setdefault(hook, []).append(text)
        firewall.setdefault(chain, []).append({**asked, "action": "drop"})
        row = Row(f"F2 {name}{' negated' if is_negated else ''}", probes(packets, bool(is_negated)), firewall, **more)
        if nft is not None:
            rules.setdefault(chain, []).extend(f"{question} drop" for question in nft[is_negated])
            row.nft = rules
        if iptables is not None:
            row.iptables = {family: [f"filter -A FORWARD {question} -j DROP" for question in questions]
                            for family, questions in iptables[is_negated].items()}
        made.append(row)
    return made


def same(question):
    """An iptables question of both families."""
    return {4: [question], 6: [question]}


def each(answers, make):
    """A packet of both families for each value."""
    return [(packet, answer) for value, answer in answers.items() for packet in both(make(value))]


def whole_and_pieces(family, group, **more):
    """A datagram of 1008 bytes behind the IP header, in three pieces."""
    packet = udp(family=family, data=1000, group=group, **more)
    return [packet.but(piece=piece) for piece in ((0, 504), (504, 800), (800, 1008))]


def addresses():
    lower, upper = "fd00:a:0:5::", "fd00:a:0:5:ffff:ffff:ffff:ffff"
    for name, member, keyword, four, six in (
            ("source", "source", "saddr", lambda a: udp(source=a), lambda a: udp(family=6, source=a)),
            ("destination", "destination", "daddr", lambda a: udp(destination=a),
             lambda a: udp(family=6, destination=a))):
        network = {"10.2.2.255": NO, "10.2.3.0": YES, "10.2.3.255": YES, "10.2.4.0": NO}
        network6 = {"fd00:a:0:4:ffff:ffff:ffff:ffff": NO, lower: YES, upper: YES, "fd00:a:0:6::": NO}
        if member == "destination":  # by the default route
            network = {a.replace("10.2", "198.18"): answer for a, answer in network.items()}
            network6 = {a.replace("fd00:a", "fd00:c"): answer for a, answer in network6.items()}
        net, net6 = list(network)[1] + "/24", list(network6)[1] + "/64"
        yield from rows(f"addresses: {name} network", {member: net}, {member: f"!{net}"},
                        [(four(a), answer) for a, answer in network.items()] + [(six(list(network6)[1]), NEVER)],
                        nft=([f"ip {keyword} {net}"], [f"ip {keyword} != {net}"]))
        yield from rows(f"addresses: {name} network of IPv6", {member: net6}, {member: f"!{net6}"},
                        [(six(a), answer) for a, answer in network6.items()] + [(four(list(network)[1]), NEVER)],
                        nft=([f"ip6 {keyword} {net6}"], [f"ip6 {keyword} != {net6}"]))
        host = list(network)[1][:-1] + "9"
        yield from rows(f"addresses: {name} host", {member: host}, {member: f"!{host}"},
                        [(four(host[:-1] + d), answer) for d, answer in {"8": NO, "9": YES, "10": NO}.items()],
                        nft=([f"ip {keyword} {host}"], [f"ip {keyword} != {host}"]))


def sets():
    elements = ["10.2.3.0/24", "10.2.5.7", "10.2.6.1-10.2.6.9"]
    inside = {"10.2.2.255": NO, "10.2.3.0": YES, "10.2.3.255": YES, "10.2.5.6": NO, "10.2.5.7": YES, "10.2.6.0": NO,
              "10.2.6.1": YES, "10.2.6.9": YES, "10.2.6.10": NO}
    inside6 = {"fd00:a:4:ffff::1": NO, "fd00:a:5::": YES, "fd00:a:5:ffff::9": YES, "fd00:a:6::": NO}

    def at(text, old, new):
        return text.replace(old, new)
    for member, keyword, old4, new4, old6, new6 in (
            ("source", "saddr", "10.2.", "10.2.", "fd00:a:", "fd00:a:"),
            ("destination", "daddr", "10.2.", "198.18.", "fd00:a:", "fd00:c:")):
        four, six = [at(e, old4, new4) for e in elements], at("fd00:a:5::/48", old6, new6)
        packets = [(udp(**{member: at(a, old4, new4)}), answer) for a, answer in inside.items()]
        packets += [(udp(family=6, **{member: at(a, old6, new6)}), answer) for a, answer in inside6.items()]
        yield from rows(f"sets: {member}", {f"{member}_set": "some"}, {f"{member}_set": "!some"}, packets,
                        sets={"some": {"addresses": [*four, six]}},
                        nft=([f"ip {keyword} @four", f"ip6 {keyword} @six"],
                             [f"ip {keyword} != @four", f"ip6 {keyword} != @six"]),
                        nft_sets=f"set four {{ type ipv4_addr; flags interval; elements = {{ {', '.join(four)} }} }}\n"
                                 f"set six {{ type ipv6_addr; flags interval; elements = {{ {six} }} }}")
    ports = {21: NO, 22: YES, 23: NO, 7999: NO, 8000: YES, 8080: YES, 8081: NO}
    for member, keyword, name in (("source_port", "sport", "source_port"), ("destination_port", "dport", "port")):
        packets = [(packet, answer) for port, answer in ports.items()
                   for make in (udp, tcp) for packet in both(make(**{name: port}))]
        yield from rows(f"sets: {member}", {f"{member}_set": "some"}, {f"{member}_set": "!some"},
                        packets + [(packet, NEVER) for packet in both(ping())],
                        sets={"some": {"ports": [22, "8000-8080"]}},
                        nft_sets="set some { type inet_service; flags interval; elements = { 22, 8000-8080 } }",
                        nft=([f"meta l4proto {{ tcp, udp }} th {keyword} @some"],
                             [f"meta l4proto {{ tcp, udp }} th {keyword} != @some"]))
    yield from rows("sets: link-layer addresses", {"mac_set": "some"}, {"mac_set": "!some"},
                    each({"02:00:00:00:0e:01": YES, "02:00:00:00:0e:02": YES, "02:00:00:00:0e:03": NO},
                         lambda mac: udp(mac=mac)),
                    sets={"some": {"macs": ["02:00:00:00:0e:01", "02:00:00:00:0e:02"]}},
                    nft_sets="set some { type ether_addr; elements = { 02:00:00:00:0e:01, 02:00:00:00:0e:02 } }",
                    nft=(["ether saddr @some"], ["ether saddr != @some"]))


def interfaces():
    for member, keyword, name, pattern, answer in (
            ("in", "iifname", "lan", "lan", YES), ("in", "iifname", "la+", "la*", YES),
            ("in", "iifname", "wan", "wan", NO), ("out", "oifname", "wan", "wan", YES),
            ("out", "oifname", "w+", "w*", YES), ("out", "oifname", "+", "*", NEVER)):
        opposite = {YES: NO, NO: YES, NEVER: YES}[answer]
        packets = [(packet, YES if answer is NEVER else answer) for packet in both(udp())]
        packets += [(packet, opposite) for packet in both(udp(back=True))]
        negated = None if pattern == "*" else {member: f"!{name}"}
        question = "" if pattern == "*" else f'{keyword} "{pattern}"'
        yield from rows(f"interfaces: {member} {name}", {member: name}, negated, packets,
                        nft=([question], [f'{keyword} != "{pattern}"']))


def protocols():
    other = f.Packet(protocol=50)
    for name, keyword, answers in (
            ("udp", "udp", (YES, NO, NO, NO)), ("tcp", "tcp", (NO, YES, NO, NO)), ("50", "50", (NO, NO, NO, YES))):
        packets = [(packet, answer) for one, answer in zip((udp(), tcp(), ping(), other), answers)
                   for packet in both(one)]
        packets.append((udp(family=6, extended=True), YES if name == "udp" else NO))
        yield from rows(f"protocol {name}", {"protocol": name}, {"protocol": f"!{name}"}, packets,
                        nft=([f"meta l4proto {keyword}"], [f"meta l4proto != {keyword}"]))
    yield from rows("protocol icmp", {"protocol": "icmp"}, {"protocol": "!icmp"},
                    [(ping(), YES), (ping().v6(), NO), (udp(), NO)],
                    nft=(["meta l4proto icmp"], ["meta l4proto != icmp"]))


def ports():
    ranges = {1023: NO, 1024: YES, 2048: YES, 2049: NO}
    listed = {21: NO, 22: YES, 80: YES, 81: NO, 7999: NO, 8000: YES, 8080: YES, 8081: NO}
    unseen = Otherwise(NEVER, NO, "piece-ports")
    pieces = [(piece, answer) for family in (4, 6)
              for piece, answer in zip(whole_and_pieces(family, f"g{family}", port=1024, source_port=1024),
                                       (YES, unseen, unseen))]
    only = "meta l4proto { tcp, udp } th "
    for name, keyword, member in (("source_port", "sport", "source_port"), ("port", "dport", "destination_port")):
        packets = [(packet, answer) for port, answer in ranges.items()
                   for make in (udp, tcp) for packet in both(make(**{name: port}))]
        packets += [(packet, NEVER) for packet in both(ping(), f.Packet(protocol=50))]
        yield from rows(f"port: {member}", {member: "1024-2048"}, {member: "!1024-2048"}, packets,
                        nft=([f"{only}{keyword} 1024-2048"], [f"{only}{keyword} != 1024-2048"]))
        yield from rows(f"port of pieces: {member}", {member: "1024-2048"}, {member: "!1024-2048"}, pieces,
                        nft=([f"udp {keyword} 1024-2048"], [f"udp {keyword} != 1024-2048"]))
        packets = [(packet, answer) for port, answer in listed.items()
                   for make in (udp, tcp) for packet in both(make(**{name: port}))]
        packets += [(packet, NEVER) for packet in both(ping())]
        yield from rows(f"multiport: {member}", {member: ["22", "80", "8000-8080"]},
                        {member: ["!22", "!80", "!8000-8080"]}, packets,
                        nft=([f"{only}{keyword} {{ 22, 80, 8000-8080 }}"],
                             [f"{only}{keyword} != {{ 22, 80, 8000-8080 }}"]))
    packets = [(packet, answer) for (source, to), answer in {(80, 5): YES, (5, 80): YES, (79, 81): NO}.items()
               for make in (udp, tcp) for packet in both(make(source_port=source, port=to))]
    questions = {sign: [f"-p {protocol} -m multiport {sign}--ports 80,443" for protocol in ("tcp", "udp")]
                 for sign in ("", "! ")}
    yield from rows("multiport: either port", {"port": ["80", "443"]}, {"port": ["!80", "!443"]}, packets,
                    iptables=[{4: question, 6: question} for question in questions.values()])


def icmp_types():
    for asked, nft, answers in (
            ("8", "8", {(8, 0): YES, (8, 1): YES, (0, 0): NO, (13, 0): NO, (17, 0): NO}),
            (["13", "17"], "{ 13, 17 }", {(8, 0): NO, (13, 0): YES, (17, 0): YES})):
        negated = f"!{asked}" if isinstance(asked, str) else [f"!{one}" for one in asked]
        yield from rows(f"ICMP type {nft}", {"protocol": "icmp", "icmp_type": asked},
                        {"protocol": "icmp", "icmp_type": negated},
                        [(ping(*kind), answer) for kind, answer in answers.items()]
                        + [(udp(), NEVER), (ping().v6(), NEVER)],
                        nft=([f"icmp type {nft}"], [f"icmp type != {nft}"]))
    yield from rows("ICMP code", {"protocol": "icmp", "icmp_type": "8/1"}, None,
                    [(ping(8, 1), YES), (ping(8, 0), NO), (ping(8, 2), NO), (ping(13, 1), NO)],
                    nft=(["icmp type 8 icmp code 1"], []))
    yield from rows("ICMPv6 type", {"protocol": "icmpv6", "icmp_type": 128},
                    {"protocol": "icmpv6", "icmp_type": "!128"},
                    [(ping().v6(), YES), (ping().v6(icmp=(129, 0)), NO), (ping(), NEVER)],
                    nft=(["icmpv6 type 128"], ["icmpv6 type != 128"]))
    yield from rows("ICMP type of errors about nothing", {"protocol": "icmp", "icmp_type": "8"}, None,
                    [(ping(3, 3, data=40), Otherwise(YES, NO, "stray-errors")),
                     (ping(11, 0, data=40), Otherwise(YES, NO, "stray-errors"))], nft=(["icmp type 8"], []))


def tcp_flags():
    sent = ["S", "SA", "A", "R", "RA", "FA", "PA", "F", "", "FPU", "FSRPAU", "SF", "SP"]
    for asked, nft, iptables, yes in (
            ("syn/syn,ack,rst,fin", "(syn|ack|rst|fin) == syn", "SYN,ACK,RST,FIN SYN", ("S", "SP")),
            ("syn", None, "ALL SYN", ("S",)), ("none", None, "ALL NONE", ("",)), ("all", None, "ALL ALL", ("FSRPAU",)),
            ("none/ack", None, "ACK NONE", tuple(flags for flags in sent if "A" not in flags)),
            ("syn,fin/syn,fin", None, "SYN,FIN SYN,FIN", ("SF", "FSRPAU"))):
        packets = [(packet, YES if flags in yes else NO) for flags in sent for packet in both(tcp(flags))]
        packets += [(packet, NEVER) for packet in both(udp())]
        match, negated = ({"protocol": "tcp", "tcp_flags": sign + asked} for sign in ("", "!"))
        if nft:
            yield from rows(f"TCP flags {asked} (nftables)", match, negated, packets,
                            nft=([f"tcp flags & {nft}"], [f"tcp flags & {nft.replace('==', '!=')}"]))
        yield from rows(f"TCP flags {asked}", match, negated, packets,
                        iptables=(same(f"-p tcp --tcp-flags {iptables}"), same(f"-p tcp ! --tcp-flags {iptables}")))


def fragments():
    def pieces(answers):
        return [(piece, answer) for family in (4, 6)
                for piece, answer in zip(whole_and_pieces(family, f"g{family}"), answers)]
    questions = (["ip frag-off & 0x1fff != 0", "frag frag-off != 0"],
                 ["ip frag-off & 0x1fff == 0", "frag frag-off == 0", "meta nfproto ipv6 exthdr frag missing"])
    yield from rows("fragment", {"fragment": True}, {"fragment": False},
                    [(packet, NO) for packet in both(udp(), tcp(), ping())] + pieces((NO, YES, YES)), nft=questions)
    late = [piece for family in (4, 6) for piece in whole_and_pieces(family, f"g{family}")]
    yield from rows("fragment, the first piece last", {"fragment": True}, None,
                    [(late[i], NO if i % 3 == 0 else YES) for i in (2, 1, 0, 5, 4, 3)], nft=questions)
    yield from rows("fragment without its first piece", {"protocol": "tcp"}, None,
                    [(late[i], Otherwise(YES, NO, "lone-fragments")) for i in (1, 4)], nft=(["meta l4proto tcp"], []))


def marks():
    marks = {1001: 0x10, 1002: 0x1f, 1003: 0x110, 1004: 0x20, 1005: 0xffffffff}
    before = [("prerouting", {"protocol": "udp", "destination_port": port, "action": {"mark": f"{mark:#x}"}},
               f"udp dport {port} meta mark set {mark:#x}") for port, mark in marks.items()]
    for asked, nft, yes in (("0x10/0xf0", "& 0xf0 {} 0x10", (1001, 1002, 1003)), ("0x10", "{} 0x10", (1001,)),
                            ("0xffffffff", "{} 0xffffffff", (1005,)), ("0", "{} 0", (9,))):
        packets = each({port: YES if port in yes else NO for port in (*marks, 9)}, udp)
        yield from rows(f"mark {asked}", {"mark": asked}, {"mark": f"!{asked}"}, packets, before=before,
                        nft=([f"meta mark {nft.format('==')}"], [f"meta mark {nft.format('!=')}"]))


def link_layer():
    mac = "02:00:00:00:0e:05"
    packets = each({mac: YES, "02:00:00:00:0e:04": NO, "02:00:00:00:0e:06": NO}, lambda one: udp(mac=one))
    packets += [(packet, NO) for packet in both(udp(back=True))]
    yield from rows("MAC", {"source_mac": mac}, {"source_mac": f"!{mac}"}, packets,
                    nft=([f"ether saddr {mac}"], [f"ether saddr != {mac}"]))


def headers():
    for asked, iptables, answers in (
            ("0x10", "0x10", {0x0f: NO, 0x10: YES, 0x11: NO, 0x14: NO, 0x30: NO}),
            ("0x10/0x1e", "0x10/0x1e", {0x0e: NO, 0x10: YES, 0x11: YES, 0xf1: YES, 0x12: NO})):
        yield from rows(f"TOS {asked}", {"tos": asked}, {"tos": f"!{asked}"}, each(answers, lambda tos: udp(tos=tos)),
                        iptables=(same(f"-m tos --tos {iptables}"), same(f"-m tos ! --tos {iptables}")))
    yield from rows("DSCP", {"dscp": 46}, {"dscp": "!46"},
                    each({0xb4: NO, 0xb7: NO, 0xb8: YES, 0xbb: YES, 0xbc: NO, 0: NO}, lambda tos: udp(tos=tos)),
                    nft=(["ip dscp 46", "ip6 dscp 46"], ["ip dscp != 46", "ip6 dscp != 46"]))
    lengths = {59: NO, 60: YES, 80: YES, 81: NO, 1500: NO}
    yield from rows("length", {"length": "60-80"}, {"length": "!60-80"}, each(lengths, lambda size: udp(length=size)),
                    nft=(["meta length 60-80"], ["meta length != 60-80"]))
    # Chain forward sees what leaves: a hop is taken already.
    questions = (["ip ttl 2-4", "ip6 hoplimit 2-4"], ["ip ttl != 2-4", "ip6 hoplimit != 2-4"])
    yield from rows("TTL", {"ttl": "2-4"}, {"ttl": "!2-4"},
                    each({2: NO, 3: YES, 5: YES, 6: NO, 255: NO}, lambda n: udp(ttl=n)), nft=questions)
    yield from rows("TTL as it came", {"ttl": "2-4"}, {"ttl": "!2-4"},
                    each({2: YES, 4: YES, 5: NO}, lambda n: udp(ttl=n)), chain="prerouting", nft=questions)
    packets = each({535: NO, 536: YES, 1400: YES, 1401: NO}, lambda mss: tcp(options=f.mss_option(mss)))
    packets += each({1400: YES, 1401: NO}, lambda mss: tcp("SA", options=b"\1\1\1" + f.mss_option(mss)))
    packets += [(packet, NO) for packet in both(tcp())] + [(packet, NEVER) for packet in both(udp())]
    packets += [(packet, NEVER) for packet in both(tcp("A", options=f.mss_option(1000)))]
    yield from rows("tcpmss", {"protocol": "tcp", "tcp_mss": "536-1400"},
                    {"protocol": "tcp", "tcp_mss": "!536-1400"}, packets,
                    iptables=(same("-p tcp --tcp-flags SYN,RST SYN -m tcpmss --mss 536:1400"),
                              same("-p tcp --tcp-flags SYN,RST SYN -m tcpmss ! --mss 536:1400")))


def all_rows():
    for group in (addresses, sets, interfaces, protocols, ports, icmp_types, tcp_flags, fragments, marks, link_layer,
                  headers):
        yield from group()
