#!/usr/bin/env python3
"""M8: IPsec through the router: strongSwan with ISAKMP and UDP encapsulation, and ESP of several hosts by its index.

strongSwan's ESP is its own (plugin kernel-libipsec), because kernels without CONFIG_INET_ESP have none, as that of
many test machines. Up to 5.9.10 libipsec knows ESP in UDP only; and behind a translator IKE always goes on by port
4500. So plain ESP comes from the small peers below, which send ISAKMP headers and ESP packets as RFC 2408 3.1 and
RFC 4303 2 draw them, and seal nothing.
"""
import contextlib
import os
import shutil
import socket
import struct
import threading

import lab as l
import router as r
from story import check, check_equal, main, story

GATEWAY_INSIDE = "10.9.0.1"  # what both tunnels lead to
INNER = {"alice": "10.1.0.1", "bob": "10.1.0.2"}

STRONGSWAN = """
charon-systemd {{
  load = random nonce aes sha1 sha2 hmac kdf openssl curve25519 kernel-libipsec kernel-netlink socket-default vici
  plugins {{ vici {{ socket = unix://{folder}/vici }} }}
  filelog {{ log {{ path = {folder}/log
    default = 1
    flush_line = yes }} }}
}}
swanctl {{ load = random nonce aes sha1 sha2 hmac }}
"""
CLIENT = """
connections {{ gateway {{
  version = {version}
  remote_addrs = {server}
  proposals = aes128-sha256-curve25519
  local {{ auth = psk
    id = {name} }}
  remote {{ auth = psk
    id = gateway }}
  children {{ net {{
    local_ts = {inner}/32
    remote_ts = {inside}/32
    esp_proposals = aes128-sha256 }} }}
}} }}
secrets {{ ike-1 {{ secret = "together we stand" }} }}
"""
SERVER = """
connections {{ all {{
  local_addrs = {server}
  proposals = aes128-sha256-curve25519
  local {{ auth = psk
    id = gateway }}
  remote {{ auth = psk }}
  children {{ net {{
    local_ts = {inside}/32
    remote_ts = {inners}
    esp_proposals = aes128-sha256 }} }}
}} }}
secrets {{ ike-1 {{ secret = "together we stand" }} }}
"""


def configuration():
    """Nobody outside may begin a connection, unless a helper has announced it."""
    return {**r.configuration(), "helpers": {"ipsec": {"enabled": True}}}


def ipsec(lab):
    return next(h for h in lab.masqgate.rest.get("/v1/helpers")["helpers"] if h["name"] == "ipsec")


class StrongSwan:
    """charon on a host, with one document of connections."""

    def __init__(self, host, connections):
        self.host, self.folder = host, host.lab.directory / f"swan-{host.name}"
        self.folder.mkdir()
        (self.folder / "strongswan.conf").write_text(STRONGSWAN.format(folder=self.folder))
        (self.folder / "swanctl.conf").write_text(connections)
        with self.environment():
            self.process = host.start("charon-systemd")
        l.wait_until(lambda: (self.folder / "vici").exists() or not self.process.running(), "charon")
        self.control("--load-all")

    @contextlib.contextmanager
    def environment(self):
        """Where strongSwan's programs look instead of /etc."""
        names = {"STRONGSWAN_CONF": str(self.folder / "strongswan.conf"), "SWANCTL_DIR": str(self.folder)}
        os.environ.update(names)
        try:
            yield
        finally:
            for name in names:
                del os.environ[name]

    def control(self, command, *options):
        with self.environment():
            done = self.host.run("swanctl", command, "--uri", f"unix://{self.folder}/vici", *options, check=False)
        log = self.folder / "log"
        check(done.returncode == 0, f"swanctl {command}: {done.stdout}{done.stderr}"
              f"{log.read_text() if log.exists() else ''}{self.process.output()}")
        return done.stdout


@story("M8: two strongSwan clients of a gateway: ISAKMP from port 500 each, then ESP in UDP 4500", needs_masqgate=True)
def strongswan(lab):
    for program in ("charon-systemd", "swanctl"):
        check(shutil.which(program), f"{program} is not installed")
    lab.masqgate.start(configuration())
    lab.server.ip(f"addr add {GATEWAY_INSIDE}/32 dev lo")
    capture = l.Capture(lab.server, "eth0", f"udp and src host {l.ROUTER_WAN}")
    StrongSwan(lab.server, SERVER.format(server=l.SERVER, inside=GATEWAY_INSIDE, inners=",".join(INNER.values())))
    for host in (lab.alice, lab.bob):
        host.ip(f"addr add {INNER[host.name]}/32 dev lo")
        swan = StrongSwan(host, CLIENT.format(version=2, server=l.SERVER, name=host.name, inner=INNER[host.name],
                                              inside=GATEWAY_INSIDE))
        swan.control("--initiate", "--child", "net", "--timeout", "20")
    for host in (lab.alice, lab.bob):
        host.run("ping", "-c", 3, "-i", 0.2, "-W", 5, "-I", INNER[host.name], GATEWAY_INSIDE)
    ports = {line.split(" > ")[0].rsplit(".", 1)[1] for line in capture.packets("udp dst port 500")}
    check_equal(ports, {"500"}, "source ports of ISAKMP")
    exchanges = [c for c in lab.masqgate.rest.pages("/v1/connections", "connections")
                 if c["original"].get("destination_port") == 500]
    check_equal({c["original"]["source"] for c in exchanges}, {l.ALICE, l.BOB}, "who spoke ISAKMP")
    check_equal({c["reply"]["destination_port"] for c in exchanges}, {500}, "outside ports")
    check(capture.packets("udp dst port 4500"), "nothing came in UDP encapsulation")


def isakmp(initiator, responder=0):
    """A header without payloads (RFC 2408 3.1)."""
    return struct.pack(">QQBBBBII", initiator, responder, 0, 0x10, 2, 0, 0, 28)


class Gateway(threading.Thread):
    """Answers ISAKMP with a cookie of its own, and ESP under an index that it keeps for the one that came."""

    def __init__(self, host, address):
        super().__init__(daemon=True)
        with host.inside():
            self.isakmp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.esp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ESP)
        self.isakmp.bind((address, 500))
        self.esp.bind((address, 0))
        self.silent = threading.Event()
        self.seen = {}  # index that came: from where
        self.exchanges = []
        self.start()
        threading.Thread(target=self.answer_isakmp, daemon=True).start()

    def answer_isakmp(self):
        while True:
            data, sender = self.isakmp.recvfrom(2000)
            cookie = struct.unpack(">Q", data[:8])[0]
            self.exchanges.append((cookie, sender))
            self.isakmp.sendto(isakmp(cookie, cookie ^ 0xFFFF), sender)

    def run(self):
        while True:
            packet, sender = self.esp.recvfrom(2000)
            esp = packet[(packet[0] & 15) * 4:]
            index, number = struct.unpack(">II", esp[:8])
            self.seen[index] = sender[0]
            if not self.silent.is_set():
                self.esp.sendto(struct.pack(">II", own_index(index), number) + esp[8:], sender)


def own_index(index):
    """By which the gateway's answers to this index go."""
    return index ^ 0x5A5A0000


class Host:
    """A host inside that speaks ISAKMP from port 500, and ESP."""

    def __init__(self, host, address, index):
        self.name, self.index = host.name.encode(), index
        with host.inside():
            self.isakmp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.esp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ESP)
        self.isakmp.bind((address, 500))
        self.esp.bind((address, 0))
        for one in (self.isakmp, self.esp):
            one.settimeout(0.3)

    def negotiate(self, cookie, gateway):
        def answered():
            self.isakmp.sendto(isakmp(cookie), (gateway, 500))
            with contextlib.suppress(TimeoutError):
                return struct.unpack(">QQ", self.isakmp.recv(2000)[:16])
            return None
        check_equal(l.wait_until(answered, f"an answer to {self.name}'s ISAKMP"), (cookie, cookie ^ 0xFFFF), "cookies")

    def send(self, gateway):
        self.esp.sendto(struct.pack(">II", self.index, 1) + self.name, (gateway, 0))

    def exchange(self, gateway):
        """Sends until its own name comes back by the index of the gateway."""
        def echoed():
            self.send(gateway)
            with contextlib.suppress(TimeoutError):
                packet = self.esp.recv(2000)
                return packet[(packet[0] & 15) * 4:]
            return None
        answer = l.wait_until(echoed, f"an answer to {self.name}'s ESP")
        check_equal((struct.unpack(">I", answer[:4])[0], answer[8:]), (own_index(self.index), self.name),
                    f"what {self.name} got")


@story("M8: ISAKMP and plain ESP of two hosts with one gateway, which pings both in any order", needs_masqgate=True)
def plain_esp(lab):
    lab.masqgate.start(configuration())
    gateway = Gateway(lab.server, l.SERVER)
    hosts = [Host(lab.alice, l.ALICE, 0x11111111), Host(lab.bob, l.BOB, 0x22222222)]
    for number, host in enumerate(hosts):
        host.negotiate(0x1000 + number, l.SERVER)
    for host in reversed(hosts):
        host.exchange(l.SERVER)
    for _ in range(3):
        for host in hosts:
            host.exchange(l.SERVER)
    check_equal({sender for _, sender in gateway.exchanges}, {(l.ROUTER_WAN, 500)}, "where ISAKMP came from")
    check_equal(set(gateway.seen.values()), {l.ROUTER_WAN}, "where ESP came from")
    check_equal(ipsec(lab)["fulfilled"], 2, "fulfilled")
    rows = [line.split() for line in (lab.masqgate.tree / "net/ip_masquerade").read_text().splitlines()]
    check_equal(sum(row[0] == "ESP" for row in rows), 4, "rows of ESP in ip_masquerade")


@story("M8: while one host waits for the gateway's index, the other does; then it is its turn", needs_masqgate=True)
def pending(lab):
    lab.masqgate.start(configuration())
    gateway = Gateway(lab.server, l.SERVER)
    alice, bob = Host(lab.alice, l.ALICE, 0x11111111), Host(lab.bob, l.BOB, 0x22222222)
    gateway.silent.set()

    def arrived():
        alice.send(l.SERVER)
        return alice.index in gateway.seen
    l.wait_until(arrived, "alice's ESP at the gateway")
    waiting = [e for e in lab.masqgate.rest.get("/v1/expectations")["expectations"] if e["outcome"] == "waiting"]
    check_equal([(e["helper"], e["protocol"], e["from"], e["inside"]) for e in waiting],
                [("ipsec", "esp", l.SERVER, f"{l.ALICE}:0")], "who waits for what")

    def refused():
        bob.send(l.SERVER)
        return ipsec(lab)["refusals"]["pending"]
    l.wait_until(refused, "bob to be refused")
    check(bob.index not in gateway.seen, "bob's ESP went out although nobody could tell whose the answer is")
    gateway.silent.clear()
    alice.exchange(l.SERVER)
    bob.exchange(l.SERVER)
    alice.exchange(l.SERVER)


@story("M8: AH is not translated but refused, and counted", needs_masqgate=True)
def authentication_header(lab):
    lab.masqgate.start(configuration())
    with lab.alice.inside():
        sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_AH)

    def refused():
        sender.sendto(struct.pack(">BBHII", 6, 4, 0, 0x100, 1) + bytes(12), (l.SERVER, 0))
        return lab.masqgate.rest.get("/v1/drops")["drops"]["untranslatable"]
    l.wait_until(refused, "AH to be refused")


if __name__ == "__main__":
    main()
