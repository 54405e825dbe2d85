"""Rows F3 of the differential test: what each target does with a packet, and what its sender and receiver see."""
import frames as f
import lab as l
from differential import Probe, Row
from differential_matches import whole_and_pieces
from frames import both, ping, tcp, udp

ICMP_CODES = {"net": 0, "host": 1, "protocol": 2, "port_unreachable": 3, "net_prohibited": 9, "host_prohibited": 10,
              "prohibited": 13}
NFT_CODES = {0: "net-unreachable", 1: "host-unreachable", 2: "prot-unreachable", 3: "port-unreachable",
             9: "net-prohibited", 10: "host-prohibited", 13: "admin-prohibited"}
ICMP6_CODES = {"net": 0, "prohibited": 1, "host": 3, "port_unreachable": 4, "policy": 5}
NFT_CODES6 = {0: "no-route", 1: "admin-prohibited", 3: "addr-unreachable", 4: "port-unreachable", 5: "policy-fail",
              6: "reject-route"}


def all_pass(*packets):
    return [Probe(packet, "pass") for packet in packets]


def verdicts():
    """What ends the walk, and what moves it."""
    def ports(answers):
        return [Probe(packet, "pass" if answer else "drop") for port, answer in answers.items()
                for packet in both(udp(port))]

    def to(port, action):
        return {"protocol": "udp", "destination_port": port, "action": action}
    yield Row("F3 accept before drop, and the policy", ports({1: True, 2: False, 3: False}),
              {"forward": {"policy": "drop", "rules": [to(1, "accept"), to(2, "drop"), to("1-2", "accept")]}},
              nft={"forward": ["udp dport 1 accept", "udp dport 2 drop", "udp dport 1-2 accept"]},
              policies={"forward": "drop"})
    yield Row("F3 drop in each chain", ports({1: False, 2: False, 3: False, 4: True}),
              {"prerouting": [to(1, "drop")], "forward": [to(2, "drop")], "postrouting": [to(3, "drop")]},
              nft={"prerouting": ["udp dport 1 drop"], "forward": ["udp dport 2 drop"],
                   "postrouting": ["udp dport 3 drop"]})
    yield Row("F3 accept ends one chain only", ports({1: False, 2: True}),
              {"prerouting": [to("1-2", "accept"), to("1-2", "drop")], "forward": [to(1, "drop")]},
              nft={"prerouting": ["udp dport 1-2 accept", "udp dport 1-2 drop"], "forward": ["udp dport 1 drop"]})
    yield Row("F3 jump and return", ports({1: False, 2: True, 3: False, 4: True, 5: False}),
              {"forward": [to("1-3", {"jump": "own"}), to(3, "drop"), to(5, {"jump": "outer"})],
               "own": [to(1, "drop"), to(2, "accept"), to(3, "return"), to(3, "accept")],
               "outer": [to(5, {"jump": "inner"}), to(5, "drop")], "inner": [to(5, "return"), to(5, "accept")]},
              nft={"forward": ["udp dport 1-3 jump own", "udp dport 3 drop", "udp dport 5 jump outer"],
                   "own": ["udp dport 1 drop", "udp dport 2 accept", "udp dport 3 return", "udp dport 3 accept"],
                   "outer": ["udp dport 5 jump inner", "udp dport 5 drop"],
                   "inner": ["udp dport 5 return", "udp dport 5 accept"]})
    yield Row("F3 return in a built-in chain goes to its policy", ports({1: False, 2: True}),
              {"forward": {"policy": "drop", "rules": [to(1, "return"), to("1-2", "accept")]}},
              nft={"forward": ["udp dport 1 return", "udp dport 1-2 accept"]}, policies={"forward": "drop"})
    yield Row("F3 continue", ports({1: False, 2: True}), {"forward": [to("1-2", "continue"), to(1, "drop")]},
              nft={"forward": ["udp dport 1-2 counter continue", "udp dport 1 drop"]})


def rejects():
    """Every code, by its name and by its number."""
    asked = (udp(), tcp(), ping(), f.Packet(protocol=50))
    for how, code in [*ICMP_CODES.items(), *((code, code) for code in range(16))]:
        nft = f"reject with icmp type {NFT_CODES.get(code, code)}"
        yield Row(f"F3 reject {how}", [Probe(packet, f"icmp 3/{code}") for packet in asked],
                  {"forward": [{"source": "0.0.0.0/0", "action": {"reject": how}}]},
                  nft={"forward": [f"meta nfproto ipv4 {nft}"]})
    for how, code in [*ICMP6_CODES.items(), *((code, code) for code in range(7))]:
        nft = f"reject with icmpv6 type {NFT_CODES6.get(code, code)}"
        yield Row(f"F3 reject {how} over IPv6", [Probe(packet.v6(), f"icmp 1/{code}") for packet in asked],
                  {"forward": [{"source": "::/0", "action": {"reject": how}}]},
                  nft={"forward": [f"meta nfproto ipv6 {nft}"]})
    yield Row("F3 reject alone", [Probe(udp(), "icmp 3/3"), Probe(udp().v6(), "icmp 1/4")],
              {"forward": [{"action": "reject"}]}, nft={"forward": ["reject"]})
    pieces = whole_and_pieces(4, "g")
    yield Row("F3 reject of what nobody may be told about",
              [Probe(pieces[0], "icmp 3/3", "drop", "reject-pieces"), Probe(pieces[1], "drop"),
               Probe(pieces[2], "drop"), Probe(udp(broken=True), "drop"), Probe(tcp(broken=True), "drop"),
               Probe(ping(0), "icmp 3/3")],
              {"forward": [{"action": "reject"}]}, nft={"forward": ["meta nfproto ipv4 reject"]})
    classic = [Probe(udp(), "icmp 3/1"), Probe(udp().v6(), "icmp 1/3")]
    yield Row("F3 reject as Linux 2.2 in its forward chain", classic, {"forward": [{"action": {"reject": "classic"}}]},
              nft={"forward": ["meta nfproto ipv4 reject with icmp type host-unreachable",
                               "meta nfproto ipv6 reject with icmpv6 type addr-unreachable"]})


def resets():
    """The number that the receiver of the reset expects; none about resets, pieces and wrong checksums."""
    packets = []
    for packet, expected in ((tcp("S"), "rst RA seq=0 ack=1001"), (tcp("S", data=10), "rst RA seq=0 ack=1011"),
                             (tcp("A"), "rst R seq=2000 ack=0"), (tcp("PA", data=100), "rst R seq=2000 ack=0"),
                             (tcp("FA"), "rst R seq=2000 ack=0"), (tcp("F"), "rst RA seq=0 ack=1001"),
                             (tcp("SA"), "rst R seq=2000 ack=0"), (tcp("", data=7), "rst RA seq=0 ack=1007"),
                             (tcp("R"), "drop"), (tcp("RA"), "drop"), (tcp("S", broken=True), "drop")):
        packets += [Probe(one, expected) for one in both(packet)]
    yield Row("F3 reject with a TCP reset", packets,
              {"forward": [{"protocol": "tcp", "action": {"reject": "tcp_reset"}}]},
              nft={"forward": ["meta l4proto tcp reject with tcp reset"]})


def mirror():
    swapped = "back src=server dst=client"  # the ports stay, as with Linux 2.4
    yield Row("F3 mirror", [Probe(udp(), swapped), Probe(udp(ttl=2), swapped), Probe(udp(ttl=1), "icmp 11/0"),
                            Probe(udp().v6(), swapped)],
              {"forward": [{"action": "mirror"}]}, reason="no-mirror")


def marks():
    """Marks are shown by a rule behind, as a type of service."""
    def show(mark, tos):
        return {"mark": f"{mark:#x}", "action": {"tos": f"{tos:#x}"}}
    shown = {0x5: 0x20, 0xf5: 0x40, 0xffffffff: 0x60}
    paint = [show(mark, tos) for mark, tos in shown.items()]
    nft = [f"meta mark {mark:#x} {ip} dscp set {tos >> 2}" for mark, tos in shown.items() for ip in ("ip", "ip6")]
    yield Row("F3 mark, whole and under a mask",
              [Probe(packet, words) for port, words in
               {1: "pass tos=0x20", 2: "pass tos=0x40", 3: "pass tos=0x60", 4: "pass"}.items()
               for packet in both(udp(port))],
              {"prerouting": [{"protocol": "udp", "destination_port": "1-2", "action": {"mark": "0x5"}},
                              {"protocol": "udp", "destination_port": 2, "action": {"mark": "0xf0/0xf0"}},
                              {"protocol": "udp", "destination_port": 3, "action": {"mark": "0xffffffff"}}],
               "forward": paint},
              nft={"prerouting": ["udp dport 1-2 meta mark set 0x5",
                                  "udp dport 2 meta mark set meta mark & 0xffffff0f | 0xf0",
                                  "udp dport 3 meta mark set 0xffffffff"], "forward": nft})


def tos():
    values = {0x00: 0x10, 0x03: 0x11, 0xe0: 0xf0, 0xff: 0xf1, 0x10: None}
    packets = [Probe(packet, "pass" + (f" tos={after:#x}" if after is not None else ""))
               for before, after in values.items() for packet in both(udp(tos=before))]
    lines = ["mangle -A FORWARD -j TOS --set-tos 0x10/0x1e"]
    yield Row("F3 TOS under a mask", packets, {"forward": [{"action": {"tos": "0x10/0x1e"}}]},
              iptables={4: lines, 6: lines})
    pieces = [Probe(piece, "pass tos=0x8") for family in (4, 6) for piece in whole_and_pieces(family, f"g{family}")]
    lines = ["mangle -A FORWARD -j TOS --set-tos 0x08/0xff"]
    whole = [Probe(packet, "pass tos=0x8") for packet in both(tcp(tos=0x13), ping(tos=0xff))]
    yield Row("F3 TOS of everything", pieces + whole,
              {"forward": [{"action": {"tos": "0x08"}}]}, iptables={4: lines, 6: lines})
    packets = [Probe(packet, f"pass tos={after:#x}") for before, after in {0: 0xb8, 3: 0xbb, 0xe1: 0xb9}.items()
               for packet in both(udp(tos=before))]
    yield Row("F3 DSCP keeps the bits of congestion", packets, {"forward": [{"action": {"dscp": 46}}]},
              nft={"forward": ["ip dscp set 46", "ip6 dscp set 46"]})


def ttl():
    """Behind the hop that forwarding takes: what is sent with 10 is 9 there."""
    def row(action, option, answers):
        exceeded = {4: "icmp 11/0", 6: "icmp 3/0"}
        packets = [Probe(packet, expected or exceeded[packet.family], *other)
                   for before, (expected, *other) in answers.items() for packet in both(udp(ttl=before))]
        lines = {family: [f"mangle -A POSTROUTING -o wan -j {target} --{target.lower()}-{option}"]
                 for family, target in ((4, "TTL"), (6, "HL"))}
        return Row(f"F3 TTL {action}", packets, {"postrouting": [{"out": "wan", "action": {"ttl": action}}]},
                   iptables=lines)
    yield row(64, "set 64", {10: ("pass ttl=64",), 65: ("pass",), 255: ("pass ttl=64",), 2: ("pass ttl=64",),
                             1: (None,)})
    yield row("+1", "inc 1", {10: ("pass ttl=10",), 255: ("pass ttl=255",)})
    yield row("+200", "inc 200", {10: ("pass ttl=209",), 100: ("pass ttl=255",)})
    yield row("-1", "dec 1", {10: ("pass ttl=8",), 3: ("pass ttl=1",), 2: ("pass", "pass ttl=0", "ttl-zero")})


def tcp_mss():
    def offer(mss, **more):
        return tcp(options=f.mss_option(mss), **more)
    scale = b"\3\3\7\1"
    lines = ["mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1400"]
    packets = []
    for packet, *expected in (
            (offer(1460), "pass mss=1400"), (offer(1401), "pass mss=1400"), (offer(1400), "pass"),
            (offer(1399), "pass mss=1400", "pass", "mss-raised"), (tcp("A", options=f.mss_option(1460)), "pass"),
            (tcp("SA", options=b"\1" + f.mss_option(1460) + scale), "pass mss=1400", "pass checksum=bad mss=1400",
             "mss-odd"),
            (tcp("SA", options=b"\1\1" + f.mss_option(1460)), "pass mss=1400"), (tcp(data=10), "pass"),
            (offer(1460, data=10), "pass mss=1400")):
        packets += [Probe(one, *expected) for one in both(packet)]
    for one, smallest in ((tcp(), 536), (tcp().v6(), 1220), (tcp(options=scale), 536)):
        packets.append(Probe(one, "pass mss=1400", f"pass mss={smallest}", "mss-inserted"))
    yield Row("F3 TCPMSS set", packets,
              {"forward": [{"protocol": "tcp", "tcp_flags": "syn/syn,rst", "action": {"tcp_mss": 1400}}]},
              iptables={4: lines, 6: lines})
    lines = ["mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu"]
    narrow = "198.51.100.130"  # by a route with an MTU of 1400
    packets = []
    for packet, expected in ((offer(1461), "pass mss=1460"), (offer(1460), "pass"), (offer(500), "pass"),
                             (offer(1460, destination=narrow), "pass mss=1360"),
                             (offer(1361, destination=narrow), "pass mss=1360"),
                             (offer(1360, destination=narrow), "pass"), (tcp(), "pass mss=536"),
                             (offer(1441).v6(), "pass mss=1440"), (offer(1440).v6(), "pass"),
                             (tcp().v6(), "pass mss=1220"), (offer(1461, flags="SA"), "pass mss=1460"),
                             (offer(1461, flags="SA", back=True), "pass mss=1460")):
        packets.append(Probe(packet, expected))
    yield Row("F3 TCPMSS clamp", packets,
              {"forward": [{"protocol": "tcp", "tcp_flags": "syn/syn,rst", "action": {"tcp_mss": "clamp"}}]},
              iptables={4: lines, 6: lines})


def sources():
    """Translated sources, and the answers to them."""
    inside, inside6 = "10.1.0.0/16", "fd00:a:1::/48"
    sent = (udp(), tcp(), ping())
    shown = [Probe(packet, f"pass src={l.ROUTER_WAN}") for packet in sent]
    yield Row("F3 masquerade", [*shown, Probe(udp(source="10.2.3.4"), "pass")],
              nat=[{"masquerade": "wan", "source": inside}], answered=True,
              nft={"snat": [f'oifname "wan" ip saddr {inside} masquerade']})
    shown = [Probe(packet.v6(), f"pass src={l.ROUTER_WAN_6}") for packet in sent]
    yield Row("F3 masquerade over IPv6", shown, nat=[{"masquerade": "wan", "source": inside6}], answered=True,
              nft={"snat": [f'oifname "wan" ip6 saddr {inside6} masquerade']})
    shown = [Probe(packet, "pass src=192.0.2.50") for packet in sent]
    yield Row("F3 snat", [*shown, Probe(udp(source="10.2.3.4"), "pass")], answered=True,
              nat=[{"snat": "wan", "to": ["192.0.2.50"], "source": inside}],
              nft={"snat": [f'oifname "wan" ip saddr {inside} snat to 192.0.2.50']})
    shown = [Probe(packet.v6(), "pass src=fd00:d::50") for packet in sent]
    yield Row("F3 snat over IPv6", shown, answered=True,
              nat=[{"snat": "wan", "to": ["fd00:d::50"], "source": inside6}],
              nft={"snat": [f'oifname "wan" ip6 saddr {inside6} snat to fd00:d::50']})
    shown = [Probe(one(source_port=5000), "pass src=192.0.2.50 sport=7000") for one in (udp, tcp)]
    yield Row("F3 snat to a port", shown, answered=True,
              nat=[{"snat": "wan", "to": ["192.0.2.50"], "to_ports": "7000", "source": inside}],
              nft={"snat": [f'oifname "wan" ip saddr {inside} meta l4proto {{ tcp, udp }} snat to 192.0.2.50:7000']})
    yield Row("F3 netmap",
              [Probe(one(source="10.2.3.7"), "pass src=192.0.2.135") for one in (udp, tcp, ping)]
              + [Probe(udp(source="10.2.3.127"), "pass src=192.0.2.255"), Probe(udp(source="10.2.3.128"), "pass")],
              answered=True, nat=[{"netmap": "wan", "source": "10.2.3.0/25", "to": "192.0.2.128/25"}],
              iptables={4: ["nat -A POSTROUTING -o wan -s 10.2.3.0/25 -j NETMAP --to 192.0.2.128/25"]})
    yield Row("F3 netmap from outside",
              [Probe(one(back=True, destination="192.0.2.135"), "pass dst=10.2.3.7") for one in (udp, tcp, ping)],
              answered=True, nat=[{"netmap": "wan", "source": "10.2.3.0/25", "to": "192.0.2.128/25"}],
              iptables={4: ["nat -A PREROUTING -i wan -d 192.0.2.128/25 -j NETMAP --to 10.2.3.0/25"]})


def destinations():
    """Translated destinations, and the answers to them."""
    home = l.ROUTER_WAN
    yield Row("F3 dnat", [Probe(one(back=True, destination=home, source_port=8080), "pass dst=10.2.3.4 dport=80")
                          for one in (udp, tcp)]
              + all_pass(udp(back=True, source_port=8080), udp(back=True, source_port=8081)), answered=True,
              nat=[{"dnat": "wan", "protocol": protocol, "destination_port": 8080, "to": "10.2.3.4", "to_port": 80}
                   for protocol in ("tcp", "udp")],
              nft={"dnat": [f"ip daddr {home} meta l4proto {{ tcp, udp }} th dport 8080 dnat ip to 10.2.3.4:80"]})
    yield Row("F3 dnat over IPv6",
              [Probe(one(family=6, back=True, destination=l.ROUTER_WAN_6, source_port=8080),
                     "pass dst=fd00:a::1:4 dport=80")
               for one in (udp, tcp)], answered=True,
              nat=[{"dnat": "wan", "protocol": protocol, "destination_port": 8080, "to": "fd00:a::1:4", "to_port": 80}
                   for protocol in ("tcp", "udp")],
              nft={"dnat": [f"ip6 daddr {l.ROUTER_WAN_6} meta l4proto {{ tcp, udp }} th dport 8080 "
                            "dnat ip6 to [fd00:a::1:4]:80"]})
    yield Row("F3 dnat of a host outside, for those inside",
              [Probe(udp(7), "pass dst=198.51.100.99"), Probe(tcp("S", 7), "pass dst=198.51.100.99"),
               Probe(udp(8), "pass")],
              answered=True,
              nat=[{"dnat": "lan", "destination": f.SERVER[4], "destination_port": 7, "protocol": protocol,
                    "to": "198.51.100.99"} for protocol in ("tcp", "udp")],
              nft={"dnat": [f"ip daddr {f.SERVER[4]} meta l4proto {{ tcp, udp }} th dport 7 dnat ip to 198.51.100.99"]})
    yield Row("F3 redirect", [Probe(udp(53), "answer"), Probe(udp(54), "pass"),
                              Probe(udp(53, destination="198.51.100.3"), "answer")],
              nat=[{"redirect": "lan", "protocol": "udp", "destination_port": 53, "to_port": 7000}],
              nft={"dnat": ['iifname "lan" udp dport 53 redirect to :7000']})


def queues():
    """Nobody listens: the packet is dropped, or passes if the rule says so."""
    for name, action, option, expected in (("divert", {"divert": 2222}, "", "drop"),
                                           ("divert, or pass", {"divert": {"port": 2222, "nobody": "pass"}},
                                            " --queue-bypass", "pass")):
        lines = [f"filter -A FORWARD -p udp -j NFQUEUE --queue-num 22{option}"]
        yield Row(f"F3 {name}", [Probe(packet, expected) for packet in both(udp())] + all_pass(*both(tcp())),
                  {"forward": [{"protocol": "udp", "action": action}]}, iptables={4: lines, 6: lines})
    yield Row("F3 tee leaves the packet as it is", all_pass(*both(udp(), tcp())),
              {"forward": [{"protocol": "udp", "action": {"tee": 2222}}]},
              iptables={4: [f"mangle -A FORWARD -p udp -j TEE --gateway {l.BOB}"],
                        6: [f"mangle -A FORWARD -p udp -j TEE --gateway {l.BOB_6}"]})


def all_rows():
    for group in (verdicts, rejects, resets, mirror, marks, tos, ttl, tcp_mss, sources, destinations, queues):
        yield from group()
