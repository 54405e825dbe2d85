"""Two routers with the same hosts around them: masqgate, and Linux with the nearest rules of its own.

                inside 192.168.0.10 ── lan │ masqgate │ wan ── outside 203.0.113.1
                inside 192.168.0.10 ── lan │  Linux   │ wan ── outside 203.0.113.1

Addresses and MAC addresses are the same on both sides, so the same frames go into both. Behind the host inside lies
10.0.0.0/8 (fd00:a::/32), where every packet has a sender of its own; behind the host outside everything else. Neither
host answers anything by itself. After each batch a marker, which every rule set lets through, goes both ways:
when it has arrived, so has everything else that ever will.
"""
import copy
import dataclasses
import select
import socket
import struct
import subprocess
import time

import frames as f
import lab as l
import router as r
from differential_reasons import SOMETIMES
from story import check

SOL_PACKET, PACKET_IGNORE_OUTGOING, SO_RCVBUFFORCE = 263, 23, 33
MARKER_CLIENT, MARKER_SERVER = "10.9.255.254", "198.51.100.254"
ATTEMPTS = 3


@dataclasses.dataclass(frozen=True)
class Probe:
    """A packet, and what is to become of it: "drop", "pass", "pass tos=0x10", "icmp 3/13", "rst …", "answer" …
    kernel: what Linux does instead, for the reason of that name (differential_reasons.py)."""
    packet: f.Packet
    expected: str
    kernel: str = ""
    reason: str = ""


@dataclasses.dataclass
class Row:
    """One rule set in both languages, and packets.

    firewall: chain of masqgate to its rules, or to {"policy", "rules"}; nft: chain to rules of nftables; iptables:
    family to lines of iptables-restore with their table: "filter -A FORWARD …". Without either, reason says why."""
    name: str
    probes: list
    firewall: dict = dataclasses.field(default_factory=dict)
    nat: list = dataclasses.field(default_factory=list)
    sets: dict = dataclasses.field(default_factory=dict)
    nft: dict = None
    nft_sets: str = ""
    iptables: dict = None
    policies: dict = dataclasses.field(default_factory=dict)  # nft chain to "drop"
    reason: str = ""
    answered: bool = False  # what arrives outside is answered, and that answer must come home as to its sender


class Lacks(Exception):
    """This kernel, or its tools, have no such rule."""


class Wire:
    """A host's NIC: frames out of it and into it."""

    def __init__(self, host, device="eth0"):
        with host.inside():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            try:
                self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 23)
            except PermissionError:  # not the machine's root: as much as there is
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 23)
            self.socket.bind((device, 0))
        self.socket.setblocking(False)
        self.seen = []

    def read(self):
        """Takes what has arrived."""
        while True:
            try:
                frame = self.socket.recv(65536)
            except BlockingIOError:
                return
            if (packet := f.of_frame(frame)) is not None:
                self.seen.append(packet)


class Side:
    """One of the routers between its two hosts."""

    def __init__(self, name, router, inside, outside):
        self.name, self.router = name, router
        self.inside, self.outside = Wire(inside), Wire(outside)

    def clear(self):
        for wire in (self.inside, self.outside):
            wire.read()
            wire.seen.clear()

    def send(self, ip, back, mac):
        wire = self.outside if back else self.inside
        wire.socket.send(f.ethernet(ip, f.OUTSIDE_MAC if back else mac, f.WAN_MAC if back else f.LAN_MAC))

    def wait(self, condition, again, timeout=30.0):
        """Reads until the condition holds; does `again` now and then."""
        end, wires = time.monotonic() + timeout, [self.inside.socket, self.outside.socket]
        while not condition():
            if time.monotonic() > end:
                return False
            if not select.select(wires, [], [], 0.5)[0]:
                again()
            self.inside.read()
            self.outside.read()
        return True

    def synchronize(self, number):
        """Returns when a marker has gone each way."""
        for back, wire in ((False, self.outside), (True, self.inside)):
            source, destination = (MARKER_SERVER, MARKER_CLIENT) if back else (MARKER_CLIENT, MARKER_SERVER)
            packet = f.Packet(protocol=f.MARKER, back=back, source=source, destination=destination)
            ip = f.ip_packet(packet, f.Ends(packet, 0), number)

            def send(ip=ip, back=back):
                self.send(ip, back, f.INSIDE_MAC)
            send()
            arrived = self.wait(lambda wire=wire: any(s.key == (4, number, 0) and s.fields["protocol"] == f.MARKER
                                                      for s in wire.seen), send)
            check(arrived, f"{self.name}: the marker did not arrive {'inside' if back else 'outside'}")


def quiet(host, mac):
    """This host answers nothing but who it is; its wire is read in front of its firewall."""
    host.ip(f"link set dev eth0 address {mac}")
    host.run("nft", "-f", "-", input="""
        table inet quiet {
          chain hush {
            type filter hook prerouting priority -400; policy drop
            icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
          }
        }
        """)
    host.run("ethtool", "-K", "eth0", "tx", "off", "gro", "off", check=False)


class Twins:
    """masqgate of the laboratory, and Linux beside it."""

    def __init__(self, lab):
        self.lab, self.number, self.loads = lab, 0, 0
        lab.witness.dismiss()
        for host, mac in ((lab.alice, f.INSIDE_MAC), (lab.server, f.OUTSIDE_MAC)):
            quiet(host, mac)
        self.masqgate = Side("masqgate", lab.router, lab.alice, lab.server)
        self.kernel = self._make_kernel(lab)
        self._start_masqgate(lab)
        for side in (self.masqgate, self.kernel):
            self._make_routes(side.router)
        self.document = lab.masqgate.rest.get("/v1/config")
        self.load(Row("nothing", []))
        for side in (self.masqgate, self.kernel):
            side.synchronize(self._next())

    @staticmethod
    def _make_kernel(lab):
        inside, router, outside = (lab.host(f"linux-{name}") for name in ("inside", "router", "outside"))
        lab.link(inside, "eth0", router, "lan")
        lab.link(outside, "eth0", router, "wan")
        for host, mac in ((inside, f.INSIDE_MAC), (outside, f.OUTSIDE_MAC)):
            quiet(host, mac)
        for name in ("ipv4/conf/all/rp_filter", "ipv4/conf/default/rp_filter", "ipv4/conf/all/send_redirects"):
            router.sysctl(name, 0)
        for device, mac, addresses in (("lan", f.LAN_MAC, (f"{l.ROUTER_LAN}/24", f"{l.ROUTER_LAN_6}/64")),
                                       ("wan", f.WAN_MAC, (f"{l.ROUTER_WAN}/24", f"{l.ROUTER_WAN_6}/64"))):
            router.run("ethtool", "-K", device, "tx", "off", "gro", "off", check=False)
            router.ip(f"link set dev {device} address {mac}", *(f"addr add {one} dev {device}" for one in addresses))
        router.sysctl("ipv4/ip_forward", 1)
        router.sysctl("ipv6/conf/all/forwarding", 1)
        router.ip(f"route add default via {l.SERVER}", f"route add default via {l.SERVER_6}")
        return Side("linux", router, inside, outside)

    @staticmethod
    def _start_masqgate(lab):
        config = r.configuration()
        config.update(nat=[], firewall={})
        config["ports"]["lan"]["mac"], config["ports"]["wan"]["mac"] = f.LAN_MAC, f.WAN_MAC
        lab.masqgate.start(config)

    @staticmethod
    def _make_routes(router):
        """The networks behind the two hosts, and the hosts' MAC addresses: nothing has to be asked for."""
        router.ip(*(f"neigh replace {address} lladdr {mac} dev {device} nud permanent"
                    for device, mac, addresses in (("lan", f.INSIDE_MAC, (l.ALICE, l.ALICE_6)),
                                                   ("wan", f.OUTSIDE_MAC, (l.SERVER, l.SERVER_6)))
                    for address in addresses),
                  f"route add 10.0.0.0/8 via {l.ALICE}", f"route add fd00:a::/32 via {l.ALICE_6}",
                  f"route add 198.51.100.128/26 via {l.SERVER} mtu 1400")

    def _next(self):
        self.number += 1
        return self.number

    # Rules

    def load(self, row):
        """Gives both routers the rules of the row; raises Lacks where Linux has no such rule."""
        self.loads += 1
        self._load_masqgate(row)
        if not row.reason or row.nft is not None or row.iptables is not None:
            self._load_kernel(row)

    def _load_masqgate(self, row):
        firewall = {}
        for chain, rules in row.firewall.items():
            shape = dict(rules) if isinstance(rules, dict) else {"rules": rules}
            # Another name each time, so that nobody goes on with what another row has counted.
            named = [{"id": f"r{self.loads}-{i}", **rule} for i, rule in enumerate(shape.get("rules", []))]
            if chain in ("prerouting", "input", "forward", "output", "postrouting", "leaving"):
                named.insert(0, {"id": "marker", "protocol": str(f.MARKER), "action": "accept"})
            firewall[chain] = {**shape, "rules": named}
        self.lab.masqgate.rest.put("/v1/config", {**self.document, "firewall": firewall, "nat": row.nat,
                                                  "sets": row.sets})

    CHAINS = {"raw": "type filter hook prerouting priority -300",
              "prerouting": "type filter hook prerouting priority -150",
              "dnat": "type nat hook prerouting priority -100", "forward": "type filter hook forward priority 0",
              "postrouting": "type filter hook postrouting priority -150",
              "snat": "type nat hook postrouting priority 100", "late": "type filter hook postrouting priority 300"}

    def _load_kernel(self, row):
        chains = []
        for chain, rules in (row.nft or {}).items():
            head = [f"{self.CHAINS[chain]}; policy {row.policies.get(chain, 'accept')};",
                    f"meta l4proto {f.MARKER} accept"] if chain in self.CHAINS else []
            name = f"on_{chain}" if head else chain  # some of the names are words of nftables
            chains.append(f"chain {name} {{\n" + "\n".join([*head, *rules]) + "\n}")
        chains.sort(key=lambda text: "hook" in text.split("\n")[1])  # own chains are jumped to, so they come first
        table = f"table inet diff {{\n{row.nft_sets}\n" + "\n".join(chains) + "\n}\n"
        text = "flush ruleset\n" + (table if chains else "")
        self._run(row, ["nft", "-f", "-"], text)
        for family, lines in (row.iptables or {}).items():
            self._run(row, [{4: "iptables-nft-restore", 6: "ip6tables-nft-restore"}[family]], restored(lines))

    def _run(self, row, command, text):
        try:
            done = subprocess.run(self.kernel.router.command(*command), input=text, text=True, capture_output=True,
                                  timeout=60, check=False, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TZ": "UTC"})
        except FileNotFoundError as missing:
            raise Lacks(str(missing)) from None
        if done.returncode == 0:
            return
        error = (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}").replace("\n", " ")
        signs = ("Could not process rule", "missing kernel module", "failed (No such file", "RULE_APPEND failed",
                 "not supported", "No such file or directory")
        if any(sign in error for sign in signs):
            raise Lacks(error[:200])
        raise l.Failed(f"{row.name}: {' '.join(command)} refuses:\n{error}\n{text}")

    # Packets

    def send(self, row, side, sent):
        """Sends the packets of a row; the other direction only after what was sent before has arrived."""
        side.clear()
        direction = False
        for one in sent:
            if one.packet.back != direction:
                side.synchronize(self._next())
                direction = one.packet.back
            side.send(one.ip, direction, one.packet.mac)
        side.synchronize(self._next())
        waiting = [one for one in sent if one.is_answered]
        if waiting:
            side.wait(lambda: all(verdict(side, one, sent) != "pass" and "answer" in verdict(side, one, sent)
                                  for one in waiting), lambda: None, 5)
        if row.answered:
            self._answer(side, sent)

    def _answer(self, side, sent):
        """The other host answers all that has reached it."""
        for one in sent:
            got = arrival(side, one)
            if got is None:
                continue
            one.answer = self._next()
            answer = one.packet.but(back=not one.packet.back, icmp=(129, 0) if one.packet.family == 6 else (0, 0),
                                    flags="SA" if one.packet.flags == "S" else "A", sequence=2000, tos=0, ttl=64,
                                    acknowledgement=one.packet.sequence + 1, options=b"", data=16, length=0, piece=())
            ends = f.Ends(answer, one.flow)
            ends.source, ends.source_port, ends.destination, ends.destination_port = got.reversed_ends()
            ends.identifier = got.fields.get("ident", 0)
            side.send(f.ip_packet(answer, ends, one.answer), answer.back, f.INSIDE_MAC)
        side.synchronize(self._next())

    def prepare(self, row):
        """The row's packets with numbers, as bytes."""
        sent, flows, groups = [], {}, {}
        for probe in row.probes:
            packet = probe.packet
            number = groups.setdefault(packet.group, self._next()) if packet.group else self._next()
            flow = flows.setdefault(packet.flow or packet.group or str(number), number)
            quote = b""
            if packet.quotes:
                quote = next(one.ip for one in sent if one.packet.flow == packet.quotes)[:576 - 28]
                flow = flows[packet.quotes]
            sent.append(Sent(probe, number, flow, quote))
        return sent


class Sent:
    """A probe with its number and its bytes."""

    def __init__(self, probe, number, flow, quote):
        self.probe, self.packet, self.number, self.flow = probe, probe.packet, number, flow
        self.ends = f.Ends(self.packet, flow)
        self.ip = f.ip_packet(self.packet, self.ends, number, quote)
        self.form = f.Seen(self.ip)
        self.answer = 0  # number of what was answered

    @property
    def is_answered(self):
        return "answer" in self.probe.expected.split()


def restored(lines):
    """iptables-restore's text of lines with their table in front."""
    tables = {}
    for line in lines:
        table, rule = line.split(" ", 1)
        tables.setdefault(table, []).append(rule)
    hooks = {"filter": ["FORWARD"], "mangle": ["PREROUTING", "FORWARD", "POSTROUTING"],
             "nat": ["PREROUTING", "POSTROUTING"], "raw": ["PREROUTING"]}
    text = ""
    for table, rules in tables.items():
        text += f"*{table}\n" + "".join(f":{hook} ACCEPT\n" for hook in hooks[table])
        text += "".join(f"-A {hook} -p {f.MARKER} -j ACCEPT\n" for hook in hooks[table])
        text += "\n".join(rules) + "\nCOMMIT\n"
    return text


def arrival(side, one):
    """The probe's packet on the other side of the router, or None."""
    wire = side.inside if one.packet.back else side.outside
    return next((s for s in wire.seen if s.key == one.form.key), None)


def tells_of(seen, one):
    """What a packet that came back to the sender of a probe says about it; None if nothing."""
    if seen.is_error():
        about = seen.quoted_key() == one.form.key
        return f"icmp {seen.fields['type']}/{seen.fields['code']}" if about else None
    if "R" in seen.fields.get("flags", "") and seen.reversed_ends() == one.form.ends() and seen.key != one.form.key:
        return f"rst {seen.fields['flags']} seq={seen.fields['seq']} ack={seen.fields['ack']}"
    if seen.key == one.form.key:
        words = f.changes(one.form, seen, one.ends)
        return " ".join(["back", *words])
    data = seen.fields.get("data", b"")
    if one.is_answered and data[:2] == struct.pack("!H", one.number) and seen.key[1] != one.number:
        return "answer" if seen.reversed_ends() == one.form.ends() else f"answer from {seen.fields['src']}"
    return None


def verdict(side, one, sent):
    """What became of a probe, in words."""
    words = []
    got = arrival(side, one)
    if got is not None:
        words += ["pass", *f.changes(one.form, got, one.ends)]
        far = side.inside if one.packet.back else side.outside
        copies = sum(s.key == one.form.key for s in far.seen)
        words += [f"({copies} times)"] if copies > 1 and not one.packet.group else []
    near = side.outside if one.packet.back else side.inside
    words += [told for seen in near.seen if (told := tells_of(seen, one))]
    if one.answer and got is not None:
        home = next((s for s in near.seen if s.key == (one.packet.family, one.answer, 0)), None)
        came = home is not None and home.reversed_ends() == one.form.ends()
        words.append("answered" if came else "not answered" if home is None else f"answered as {home.ends()}")
    return " ".join(words) or "drop"


class Result:
    """What one row has shown: packets judged, and lines of what is wrong and what differs."""

    def __init__(self):
        self.packets, self.wrong, self.lost = 0, [], True
        self.differences = {}  # reason to how many packets

    def judge(self, row, one, masqgate, linux):
        self.packets += 1
        expected = one.probe.expected + (" answered" if row.answered and one.probe.expected.startswith("pass") else "")
        if masqgate != expected:
            self.wrong.append(f"{one.packet}\n    masqgate: {masqgate}, not {expected}")
            self.lost &= masqgate == "drop"
        if linux is None:
            return
        theirs = expected
        if one.probe.reason and not (one.probe.reason in SOMETIMES and linux == expected):
            theirs = one.probe.kernel
            self.differences[one.probe.reason] = self.differences.get(one.probe.reason, 0) + 1
        if linux != theirs:
            self.wrong.append(f"{one.packet}\n    linux: {linux}, not {theirs}")
            self.lost &= linux == "drop"


def attempt(twins, row):
    """Runs a row once: (Result, why Linux was not asked)."""
    lacks = ""
    try:
        twins.load(row)
    except Lacks as missing:
        lacks = str(missing)
    asked = not lacks and (row.nft is not None or row.iptables is not None)
    told, prepared = [], twins.prepare(row)
    for side in (twins.masqgate, twins.kernel) if asked else (twins.masqgate,):
        sent = [copy.copy(one) for one in prepared]
        twins.send(row, side, sent)
        told.append([(one, verdict(side, one, sent)) for one in sent])
    result = Result()
    for i, (one, words) in enumerate(told[0]):
        result.judge(row, one, words, told[1][i][1] if asked else None)
    return result, lacks


def run(twins, row):
    """Runs a row, again where packets were merely lost: queues of the devices overflow on a busy machine."""
    for _ in range(ATTEMPTS):
        result, lacks = attempt(twins, row)
        if not result.wrong or not result.lost:
            break
        print(f"# {row.name}: again, as packets are missing")
    return result, lacks
