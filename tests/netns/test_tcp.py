#!/usr/bin/env python3
"""TCP under attack: forged resets, data and errors from the server's side against real connections (2.9)."""
import json
import random
import select
import socket
import struct
import threading

import lab as l
import router as r
import servers
from story import check, check_equal, main, story

RST, PSH_ACK, ECHO = 0x04, 0x18, 7


def checksum(data):
    total = sum(struct.unpack(f"!{len(data + b'?' * (len(data) % 2)) // 2}H", data + bytes(len(data) % 2)))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


class Forger:
    """Sends TCP segments in the server's name, and sees what really goes by at its NIC."""

    def __init__(self, host, source=l.INTERNET, victim=l.ROUTER_WAN):
        self.source, self.victim = source, victim
        with host.inside():
            self.raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
            self.raw.bind((source, 0))
            self.icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            self.nic = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))

    def segment(self, port, flags, seq, ack=0, data=b""):
        addresses = socket.inet_aton(self.source) + socket.inet_aton(self.victim)
        def header(check):
            return struct.pack("!HHIIBBHHH", ECHO, port, seq & 0xffffffff, ack & 0xffffffff, 0x50, flags,
                               512, check, 0)
        length = struct.pack("!HH", socket.IPPROTO_TCP, 20 + len(data))
        return header(checksum(addresses + length + header(0) + data)) + data

    def send(self, *segment):
        self.raw.sendto(self.segment(*segment), (self.victim, 0))

    def send_too_big(self, port, seq, mtu):
        """An ICMP error about a segment that the victim should have sent to the server."""
        tcp = struct.pack("!HHII", port, ECHO, seq & 0xffffffff, 0)
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 1500, 1, 0x4000, 60, socket.IPPROTO_TCP, 0,
                         socket.inet_aton(self.victim), socket.inet_aton(self.source))
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        def message(check):
            return struct.pack("!BBHHH", 3, 4, check, 0, mtu) + ip + tcp
        self.icmp.sendto(message(checksum(message(0))), (self.victim, 0))

    def numbers(self, port, connection):
        """Sequence number and acknowledgement of the victim's last segment, after one more exchange."""
        check(servers.answers(connection), "the victim's connection is gone")
        found = None
        while select.select([self.nic], [], [], 0.3)[0]:
            packet = self.nic.recv(65536)
            transport = packet[(packet[0] & 15) * 4:]
            if packet[9] == socket.IPPROTO_TCP and packet[12:16] == socket.inet_aton(self.victim) and \
                    struct.unpack("!HH", transport[:4]) == (port, ECHO):
                found = struct.unpack("!II", transport[4:12])
        check(found, f"nothing seen from port {port}")
        return found


def drops(lab, reason="out_of_window"):
    return lab.masqgate.rest.get("/v1/drops")["drops"][reason]


def connections(lab):
    return [c for c in lab.masqgate.connections(protocol="tcp") if c["original"]["source"] == l.ALICE]


def begin(lab, config=None):
    lab.masqgate.start(config)
    echo = servers.TcpEcho(lab.server, ECHO)
    return echo, Forger(lab.server)


def outside_port(echo, number=0):
    l.wait_until(lambda: len(echo.peers) > number, "a connection to arrive")
    return echo.peers[number][1]


@story("TS-09: ReDAN: resets and data in the server's name for every port; a transfer goes on", needs_masqgate=True)
def redan(lab):
    echo, forger = begin(lab)
    transfer = servers.Transfer(lab.alice, (l.INTERNET, ECHO))
    transfer.wait_for_progress()
    port = outside_port(echo)
    dice = random.Random(1)

    def forge(to, flags):
        forger.send(to, flags, dice.getrandbits(32), dice.getrandbits(32), b"x" * (flags == PSH_ACK))

    for flags in (RST, PSH_ACK):
        before = drops(lab)
        for other in range(max(1024, port - 500), min(65535, port + 500)):
            forge(other, flags)

        def refused():  # beside a transfer at full speed not every one gets as far as the router
            for _ in range(500):
                forge(port, flags)
            return drops(lab) - before > 1000
        l.wait_until(refused, "forged segments to be refused")
        transfer.wait_for_progress()
    mine = connections(lab)
    check_equal([(c["state"], c["reply"]["destination_port"]) for c in mine], [("ESTABLISHED", port)], "connections")
    transfer.stop()
    check_equal(len(echo.peers), 1, "connections that the server saw")


@story("TS-09: a session that is silent keeps its mapping under resets, and is not taken over", needs_masqgate=True)
def silent(lab):
    echo, forger = begin(lab)
    connection = servers.connect(lab.alice, (l.INTERNET, ECHO))
    check(servers.answers(connection), "the echo server answers")
    port = outside_port(echo)
    seq, ack = forger.numbers(port, connection)
    for distance in range(70_000, 2_000_000_000, 7_000_000):
        forger.send(port, RST, ack + distance + 2**30)
        forger.send(port, RST, ack - distance)
        forger.send(port, PSH_ACK, ack - distance, seq, b"evil")
    l.wait_until(lambda: drops(lab) > 500, "forged segments to be refused")
    check(servers.answers(connection), "the session survives")
    check_equal([c["state"] for c in connections(lab)], ["ESTABLISHED"], "state")


@story("TS-01, TS-02: a reset that is nearly right is challenged, one that is right ends the session", needs_masqgate=True)
def resets(lab):
    echo, forger = begin(lab)
    connection = servers.connect(lab.alice, (l.INTERNET, ECHO))
    port = outside_port(echo)
    challenges = lab.alice.counter("TcpExtTCPChallengeACK")
    _, ack = forger.numbers(port, connection)
    forger.send(port, RST, ack + 10)
    l.wait_until(lambda: lab.alice.counter("TcpExtTCPChallengeACK") > challenges, "alice to be asked")
    check(servers.answers(connection), "the session survives")
    check_equal([c["state"] for c in connections(lab)], ["ESTABLISHED"], "state")
    _, ack = forger.numbers(port, connection)
    forger.send(port, RST, ack)
    l.wait_until(lambda: [c["state"] for c in connections(lab)] == ["CLOSE"], "the session to be closed")
    check(not servers.answers(connection), "alice believes it too")


@story("TS-03: a SYN in the server's name is challenged and changes nothing", needs_masqgate=True)
def syn(lab):
    echo, forger = begin(lab)
    connection = servers.connect(lab.alice, (l.INTERNET, ECHO))
    port = outside_port(echo)
    check(servers.answers(connection), "the echo server answers")
    forger.send(port, 0x02, 12345)
    check(servers.answers(connection), "the session survives")
    check_equal([c["state"] for c in connections(lab)], ["ESTABLISHED"], "state")


@story("TS-08, TS-09: forged news of a small MTU reach neither the client nor the router", needs_masqgate=True)
def too_big(lab):
    echo, forger = begin(lab)
    connection = servers.connect(lab.alice, (l.INTERNET, ECHO))
    port = outside_port(echo)
    seq, _ = forger.numbers(port, connection)
    for wrong in (0, seq - 1_000_000, seq + 1_000_000, seq + 2**31):
        forger.send_too_big(port, wrong, 600)
    forger.send_too_big(port, seq, 60)
    l.wait_until(lambda: drops(lab, "implausible_error") == 5, "five forged errors to be refused")
    for host in (lab.alice, lab.router):
        check("mtu" not in host.run("ip", "route", "get", l.INTERNET).stdout, f"{host.name} believes it")
    check(servers.answers(connection), "the session survives")


@story("TS-04: where connections are not joined in their middle, a forgotten one stays forgotten", needs_masqgate=True)
def not_loose(lab):
    import router as r
    config = r.configuration()
    config["conntrack"] = {"tcp": {"loose": False}}
    begin(lab, config)
    connection = servers.connect(lab.alice, (l.INTERNET, ECHO))
    check(servers.answers(connection), "the echo server answers")
    known = connections(lab)[0]["id"]
    lab.masqgate.rest.delete(f"/v1/connections/{known}")
    connection.settimeout(1)
    check(not servers.answers(connection), "nothing passes")
    check_equal(connections(lab), [], "connections")


@story("T-02: bulk transfers with loss and reordering, and nothing is refused", needs_masqgate=True)
def bulk(lab):
    lab.masqgate.start()
    disturbance = "netem loss 1% delay 2ms reorder 25% 50%".split()
    for host in (lab.alice, lab.server):  # not every kernel has netem: then without it
        host.run("tc", "qdisc", "add", "dev", "eth0", "root", *disturbance, check=False)
    server = lab.server.start("iperf3", "--server", "--forceflush", "--bind", l.INTERNET)
    server.wait_for("listening")
    for options in (["--parallel", "4"], ["--reverse"]):
        done = lab.alice.run("iperf3", "--client", l.INTERNET, "--time", "1", "--json", *options)
        check(json.loads(done.stdout)["end"]["sum_received"]["bytes"] > 100_000, f"{options}: hardly anything arrived")
    server.stop()
    check_equal(drops(lab), 0, "segments refused")


def flood(host, target, port, count):
    """SYNs from senders that do not exist."""
    with host.inside():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    dice = random.Random(port)
    for _ in range(count):
        source = socket.inet_aton(f"198.51.100.{dice.randrange(2, 255)}")
        addresses = source + socket.inet_aton(target)
        def header(check):
            return struct.pack("!HHIIBBHHH", ports[0], port, ports[1], 0, 0x50, 0x02, 1024, check, 0)
        ports = dice.randrange(1024, 65536), dice.getrandbits(32)
        segment = header(checksum(addresses + struct.pack("!HH", socket.IPPROTO_TCP, 20) + header(0)))
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_TCP, 0) + addresses
        raw.sendto(ip + segment, (target, 0))


@story("K-20: through a flood of SYNs clients reach a server behind the SYN proxy, and the flood leaves nothing",
       needs_masqgate=True)
def syn_flood(lab):
    config = r.configuration()
    config["nat"].append({"dnat": "wan", "protocol": "tcp", "destination_port": 80, "to": l.ALICE, "to_port": 8080})
    config["syn_proxy"] = [{"in": "wan", "destination_port": 80}]
    config["firewall"] = {}
    lab.masqgate.start(config)
    page = random.Random(1).randbytes(1 << 20)
    servers.Http(lab.alice, 8080, page)
    stop = threading.Event()

    def go_on():
        while not stop.is_set():
            flood(lab.server, l.ROUTER_WAN, 80, 200)
    flooder = threading.Thread(target=go_on)
    flooder.start()
    try:
        l.wait_until(lambda: lab.masqgate.rest.get("/v1/status")["syn_proxy"]["answered"] > 2000, "a flood")
        for _ in range(5):
            file = lab.directory / "page"
            lab.server.run("curl", "--silent", "--fail", "--max-time", "20", "--output", file,
                           f"http://{l.ROUTER_WAN}/")
            check(file.read_bytes() == page, "the page is not what the server has")
    finally:
        stop.set()
        flooder.join()
    counts = lab.masqgate.rest.get("/v1/status")["syn_proxy"]
    check_equal((counts["opened"], counts["refused"]), (5, 0), "clients that were there")
    for connection in lab.masqgate.connections(protocol="tcp"):
        check_equal(connection["original"]["source"], l.SERVER, "who has a connection")


@story("K-20: a client of a guarded port where nobody listens is refused as if there were no proxy", needs_masqgate=True)
def guarded_nobody(lab):
    config = r.configuration()
    config["nat"].append({"dnat": "wan", "protocol": "tcp", "destination_port": 80, "to": l.ALICE, "to_port": 8080})
    config["syn_proxy"] = [{"in": "wan", "destination_port": 80}]
    config["firewall"] = {}
    lab.masqgate.start(config)
    with lab.server.inside():
        client = socket.socket()
    client.settimeout(10)
    try:  # the reset may be there before the client has seen that it is connected
        client.connect((l.ROUTER_WAN, 80))
        met = client.recv(1)
    except OSError as error:
        met = error
    check(isinstance(met, ConnectionResetError), f"the client met {met!r}")


if __name__ == "__main__":
    main()
