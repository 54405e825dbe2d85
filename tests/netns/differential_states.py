"""Rows F2 of the differential test whose answer depends on packets before, on the connection, or on the clock."""
import datetime

import frames as f
from differential import Probe, Row
from differential_matches import rows
from frames import both, ping, tcp, udp

YES, NO = True, False
STATES = {"new": 0x20, "established": 0x40, "related": 0x60, "invalid": 0x80, "untracked": 0xa0}
AT_ONCE = "3/hour"  # nothing comes back while the test runs


def conversation(family):
    """A flow of each protocol, packet by packet, with the state that each is in."""
    def told(packet, state):
        packet = packet if family == 4 else packet.v6()
        return Probe(packet, f"pass tos={STATES[state]:#x}")
    yield told(udp(flow=f"u{family}"), "new")
    yield told(udp(flow=f"u{family}"), "new")
    yield told(tcp("S", flow=f"t{family}"), "new")
    yield told(ping(flow=f"p{family}"), "new")
    lost, code = udp(flow=f"q{family}", family=family, data=40), "icmp 3/3" if family == 4 else "icmp 1/4"
    yield Probe(lost, f"pass tos={STATES['new']:#x} {code}")  # the error below is about it
    yield told(udp(flow=f"u{family}", back=True), "established")
    yield told(tcp("SA", flow=f"t{family}", back=True, sequence=5000, data=0).but(acknowledgement=1001), "established")
    yield told(ping(0, flow=f"p{family}", back=True), "established")
    error = ping(3, 3, back=True, quotes=f"q{family}", source="198.51.100.9" if family == 4 else "fd00:5::9")
    yield told(error if family == 4 else error.v6(icmp=(1, 4)), "related")
    yield told(udp(flow=f"u{family}"), "established")
    yield told(tcp("A", flow=f"t{family}", sequence=1001).but(acknowledgement=5001), "established")
    yield told(tcp("A"), "new")  # joined in the middle
    for flags in ("SA", "R", "RA", "", "SF", "FSRPAU"):
        yield told(tcp(flags), "invalid")
    yield told(ping(0), "invalid")
    yield told(f.Packet(protocol=50), "new")


def states():
    paint = [{"state": state, "action": {"tos": f"{tos:#x}"}} for state, tos in STATES.items()]
    nft = [f"ct state {state} {ip} dscp set {tos >> 2}" for state, tos in STATES.items() for ip in ("ip", "ip6")]
    packets = [*conversation(4), *conversation(6)]
    packets.append(Probe(ping(3, 3, data=40), "drop", "pass tos=0x80", "stray-errors"))
    yield Row("F2 state: every state of a conversation", packets, {"forward": paint}, nft={"forward": nft})
    flow = [(udp(flow="u"), NO), (udp(flow="u", back=True), YES), (udp(flow="u"), YES), (tcp("SA"), NO), (tcp("S"), NO)]
    yield from rows("state established,related", {"state": ["established", "related"]},
                    {"state": ["!established", "!related"]}, flow[:1] + flow[3:],
                    nft=(["ct state established,related"], ["ct state != { established, related }"]))
    yield from rows("state of answers", {"state": "established"}, None, flow,
                    nft=(["ct state established"], []))
    yield Row("F3 notrack", [Probe(udp(1001), "pass tos=0xa0"), Probe(udp(1002), "pass tos=0x20"),
                             Probe(udp(1001).v6(), "pass tos=0xa0"), Probe(tcp("S", 1001), "pass tos=0x20")],
              {"prerouting": [{"protocol": "udp", "destination_port": 1001, "action": "notrack"}], "forward": paint},
              nft={"raw": ["udp dport 1001 notrack"], "forward": nft})


def connection_marks():
    """The second packet of a flow is asked for what the first has left."""
    leave = {"protocol": "udp", "destination_port": 1001, "action": {"connmark": "0x15"}}
    both_ways = [Probe(udp(1001, flow="a"), "pass"), Probe(udp(1002, flow="b"), "pass")]
    for asked, nft, marked in (("0x5/0xf", "& 0xf == 0x5", "drop"), ("0x6/0xf", "& 0xf == 0x6", "pass")):
        yield Row(f"F2 mark of the connection {asked}",
                  [*both_ways, Probe(udp(1001, flow="a"), marked), Probe(udp(1002, flow="b"), "pass"),
                   Probe(udp(1001, flow="a", back=True), marked)],
                  {"forward": [{"connmark": asked, "action": "drop"}, leave]},
                  nft={"forward": [f"ct mark {nft} drop", "udp dport 1001 ct mark set 0x15"]})
    yield Row("F2 mark of the connection negated",
              [*both_ways, Probe(udp(1001, flow="a"), "pass tos=0x20"), Probe(udp(1002, flow="b"), "pass"),
               Probe(tcp("SA"), "pass", "pass", "")],
              {"forward": [{"connmark": "!0", "action": {"tos": "0x20"}}, leave]},
              nft={"forward": ["ct mark != 0 ip dscp set 8", "udp dport 1001 ct mark set 0x15"]})
    yield Row("F2 mark 0 of no connection", [Probe(tcp("SA"), "drop", "pass", "no-connection-mark")],
              {"forward": [{"connmark": "0", "action": "drop"}]}, nft={"forward": ["ct mark 0 drop"]})
    # The mark of the packet, by what the connection has.
    show = {"mark": "0x15", "action": {"tos": "0x20"}}
    yield Row("F3 connmark save and restore",
              [Probe(udp(1001, flow="a"), "pass tos=0x20"), Probe(udp(1002, flow="a", source_port=7), "pass"),
               Probe(udp(1001, flow="a"), "pass tos=0x20"), Probe(udp(1001, flow="a", back=True), "pass tos=0x20")],
              {"prerouting": [{"connmark": "!0", "action": {"connmark": "restore"}},
                              {"protocol": "udp", "destination_port": 1001, "action": {"mark": "0x15"}},
                              {"mark": "!0", "action": {"connmark": "save"}}], "forward": [show]},
              nft={"prerouting": ["ct mark != 0 meta mark set ct mark", "udp dport 1001 meta mark set 0x15",
                                  "meta mark != 0 ct mark set meta mark"], "forward": ["meta mark 0x15 ip dscp set 8"]})
    yield Row("F3 connmark without restore",
              [Probe(udp(1001, flow="a"), "pass"),
               Probe(udp(1001, flow="a"), "pass tos=0x20", "pass", "mark-of-connection")],
              {"forward": [show, leave]},
              nft={"forward": ["meta mark 0x15 ip dscp set 8", "udp dport 1001 ct mark set 0x15"]})


def limits():
    def of(count, matched, packet):
        return [Probe(packet, "drop" if (i < matched) else "pass") for i in range(count)]

    def opposite(probes):
        return [Probe(p.packet, {"drop": "pass", "pass": "drop"}[p.expected]) for p in probes]
    for name, limit, burst in (("limit", {"rate": AT_ONCE, "burst": 3}, 3),
                               ("limit of one", {"rate": AT_ONCE, "burst": 1}, 1), ("limit as it is", AT_ONCE, 5)):
        packets = of(8, burst, udp())
        negated = {**limit, "rate": "!" + AT_ONCE} if isinstance(limit, dict) else "!" + AT_ONCE
        text = f"{AT_ONCE} burst {burst} packets"
        yield Row(f"F2 {name}", packets, {"forward": [{"limit": limit, "action": "drop"}]},
                  nft={"forward": [f"limit rate {text} drop"]})
        yield Row(f"F2 {name} (iptables)", packets, {"forward": [{"limit": limit, "action": "drop"}]},
                  iptables={4: [f"filter -A FORWARD -m limit --limit {AT_ONCE} --limit-burst {burst} -j DROP"]})
        yield Row(f"F2 {name} negated", opposite(packets), {"forward": [{"limit": negated, "action": "drop"}]},
                  nft={"forward": [f"limit rate over {text} drop"]})
    yield Row("F2 limit counts what the rest lets through", of(3, 0, tcp("A")) + of(4, 2, udp()),
              {"forward": [{"protocol": "udp", "limit": {"rate": AT_ONCE, "burst": 2}, "action": "drop"}]},
              nft={"forward": [f"meta l4proto udp limit rate {AT_ONCE} burst 2 packets drop"]})
    sources = ["10.2.3.1", "10.2.3.200", "10.2.4.1", "10.2.3.7", "10.2.4.2", "10.2.4.3"]
    verdicts = [YES, YES, YES, NO, YES, NO]
    sources6 = ["fd00:a:1:2::1", "fd00:a:1:2:ffff::1", "fd00:a:1:3::1", "fd00:a:1:2::7"]
    verdicts6 = [YES, YES, YES, NO]
    packets = [(udp(source=source), answer) for source, answer in zip(sources, verdicts)]
    packets += [(udp(family=6, source=source), answer) for source, answer in zip(sources6, verdicts6)]
    shape = {"burst": 2, "length": 24, "length6": 64}

    def hashed(option, mask):
        return (f"-m hashlimit --hashlimit-{option} {AT_ONCE} --hashlimit-burst 2 --hashlimit-mode srcip "
                f"--hashlimit-srcmask {mask} --hashlimit-name {option}{mask}")
    yield from rows("hashlimit per source", {"source_limit": {"rate": AT_ONCE, **shape}},
                    {"source_limit": {"rate": "!" + AT_ONCE, **shape}}, packets,
                    iptables=({4: [hashed("upto", 24)], 6: [hashed("upto", 64)]},
                              {4: [hashed("above", 24)], 6: [hashed("above", 64)]}))


def quotas():
    def sized(*sizes):
        return [udp(length=size) for size in sizes]
    for name, packets in (("the packet that does not fit ends it",
                           [*zip(sized(400, 400, 300, 100), (YES, YES, NO, NO))]),
                          ("to the last byte", [*zip(sized(500, 500, 30), (YES, YES, NO))])):
        yield from rows(f"quota: {name}", {"quota": 1000}, {"quota": "!1000"}, packets,
                        iptables=({4: ["-m quota --quota 1000"]}, {4: ["-m quota ! --quota 1000"]}))


def connections():
    """Two of a source, and no third; what was refused does not count."""
    def asked(source, ports, verdicts):
        return [Probe(udp(source=source, source_port=port), verdict) for port, verdict in zip(ports, verdicts)]
    for name, length, mask, network in (("of a host", {}, 32, 7), ("of a network", {"length": 24}, 24, 8)):
        same_host = asked(f"10.2.{network}.1", (5001, 5002, 5001), ("pass", "pass", "pass"))
        neighbour = asked(f"10.2.{network}.9", (5001,), ("drop" if length else "pass",))
        refused = asked(f"10.2.{network}.1", (5003, 5004), ("drop", "drop"))
        again = [Probe(udp(source=f"10.2.{network}.1", source_port=5001), "pass", "drop", "refused-connections")]
        packets = [*same_host, *neighbour, *refused, Probe(udp(source="10.2.9.1"), "pass"), *again]
        option = f"--connlimit-mask {mask} --connlimit-saddr"
        yield Row(f"F2 connection count {name}", packets,
                  {"forward": [{"connections": {"above": 2, **length}, "action": "drop"}]},
                  iptables={4: [f"filter -A FORWARD -m connlimit --connlimit-above 2 {option} -j DROP"]})
        yield Row(f"F2 connection count {name} negated", packets,
                  {"forward": [{"connections": {"up_to": 2, **length}, "action": "accept"}, {"action": "drop"}]},
                  iptables={4: [f"filter -A FORWARD -m connlimit --connlimit-upto 2 {option} -j ACCEPT",
                                "filter -A FORWARD -j DROP"]})


def helpers():
    """An FTP client says PORT; only the connection that this has announced belongs to the helper."""
    def told(packet, words="pass tos=0x40"):
        return Probe(packet, words)
    conversation = [
        told(tcp("S", 21, flow="c")), told(tcp("SA", 21, flow="c", back=True, sequence=5000).but(acknowledgement=1001)),
        told(tcp("A", 21, flow="c", sequence=1001).but(acknowledgement=5001)),
        told(tcp("PA", 21, flow="c", back=True, sequence=5001, text="220 ready\r\n").but(acknowledgement=1001)),
        told(tcp("PA", 21, flow="c", sequence=1001, text="USER anybody\r\n").but(acknowledgement=5012)),
        told(tcp("PA", 21, flow="c", sequence=1015, text="PORT {client},19,137\r\n").but(acknowledgement=5012)),
        told(tcp("S", 20, flow="c", source_port=5002, back=True)),
        told(tcp("S", 20, flow="c", source_port=5001, back=True), "pass tos=0x20"),
        told(tcp("SA", 20, flow="c", source_port=5001).but(acknowledgement=1001), "pass tos=0x20"), told(udp())]
    lines = [f"mangle -A FORWARD -m helper {sign} --helper ftp -j TOS --set-tos {tos}/0xff"
             for sign, tos in (("", "0x20"), ("!", "0x40"))]
    yield Row("F2 helper", conversation,
              {"forward": [{"helper": "ftp", "action": {"tos": "0x20"}},
                           {"helper": "!ftp", "action": {"tos": "0x40"}}]},
              nft_sets='ct helper std { type "ftp" protocol tcp; l3proto ip; }',
              nft={"prerouting": ['tcp dport 21 ct helper set "std"']}, iptables={4: lines})


def times():
    """Times around now, so far away that the test does not reach their ends; Linux has minutes too, and UTC."""
    now = datetime.datetime.now(datetime.timezone.utc)

    def at(hours):
        return (now + datetime.timedelta(hours=hours)).strftime("%H:%M")

    def day(days):
        return (now + datetime.timedelta(days=days)).strftime("%a")
    spans = {"now": (at(-1), at(1), YES), "later": (at(1), at(2), NO), "earlier": (at(-3), at(-1), NO),
             "all day but the last hours": (at(-1), at(-2), YES), "all day but now": (at(1), at(-1), NO)}
    for name, (start, stop, answer) in spans.items():
        question = f"-m time --timestart {start} --timestop {stop}"
        yield Row(f"F2 time: {name}", [Probe(packet, "drop" if answer else "pass") for packet in both(udp())],
                  {"forward": [{"time": {"from": start, "to": stop}, "action": "drop"}]},
                  iptables={family: [f"filter -A FORWARD {question} -j DROP"] for family in (4, 6)})
        yield Row(f"F2 time: {name} negated", [Probe(packet, "pass" if answer else "drop") for packet in both(udp())],
                  {"forward": [{"time": {"from": start, "to": stop, "negated": True}, "action": "drop"}]},
                  iptables={family: [f"filter -A FORWARD {question} -j ACCEPT", "filter -A FORWARD -j DROP"]
                            for family in (4, 6)})
    for name, days, answer in (("these days", [day(0), day(1)], YES), ("other days", [day(3), day(4)], NO)):
        yield Row(f"F2 time: {name}", [Probe(udp(), "drop" if answer else "pass")],
                  {"forward": [{"time": {"days": [d.lower() for d in days]}, "action": "drop"}]},
                  iptables={4: [f"filter -A FORWARD -m time --weekdays {','.join(days)} -j DROP"]})


def without_counterpart():
    """What no kernel of today has: only what history says is asked."""
    scan = [(tcp("S", port, source="10.2.9.1"), answer)
            for port, answer in zip((21, 22, 22, 23, 25, 80, 110, 443), (NO, NO, NO, NO, NO, NO, NO, YES))]
    yield from rows("port-scan", {"port_scan": True}, None,
                    scan + [(tcp("A", 21, source="10.2.9.1"), NO), (tcp("S", 21, source="10.2.9.1"), YES),
                            (tcp("S", 21, source="10.2.9.2"), NO)], reason="no-psd")
    broken = [(tcp("SF"), YES), (tcp(""), YES), (udp(0), YES), (tcp("S", 0), YES), (udp(broken=True), YES),
              (tcp("S", broken=True), YES), (tcp("S", options=b"\2\x09\1\1"), YES), (udp(), NO), (tcp("S"), NO),
              (ping(), NO), (tcp("S", options=f.mss_option(1460)), NO)]
    yield from rows("unclean", {"unclean": True}, {"unclean": False}, broken, reason="no-unclean")


def all_rows():
    for group in (states, connection_marks, limits, quotas, connections, helpers, times, without_counterpart):
        yield from group()
