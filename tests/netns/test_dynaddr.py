#!/usr/bin/env python3
"""M5: the outside address comes from a DHCP server and changes while connections are there, for each ip_dynaddr."""
import pathlib
import signal
import socket

import lab as l
import router as r
import servers
from story import check, check_equal, main, story

SCRIPT = pathlib.Path(__file__).with_name("udhcpc_script")
OLD, NEW = "203.0.113.50", "203.0.113.60"
LATER = "198.51.100.200"  # a server that is not there yet
CHANGE = "IP_MASQ:ip_fw_masquerade(): change masq.addr from {} to {}"


class Dhcp:
    """A DHCP server at the provider that has one address, and the router's client."""

    def __init__(self, lab, mode=None, address=OLD):
        config = r.configuration()
        config["ports"]["wan"]["addresses"], config["routes"] = [], []
        if mode is not None:
            config["ip_dynaddr"] = mode
        self.lab, self.leases = lab, 0
        lab.masqgate.start(config)
        self.provide(address)
        self.client = lab.router.start("udhcpc", "-i", "wan", "-f", "-t", 20, "-T", 1, "-s", SCRIPT)
        self.wait_for(address)

    def wait_for(self, address):
        """Returns when the client has the address and masqgate knows it, and the way out."""
        self.client.wait_for(f"lease of {address} obtained")

        def known():
            rest = self.lab.masqgate.rest
            wan, = (p for p in rest.get("/v1/ports")["ports"] if p["name"] == "wan")
            ways = [route["to"] for route in rest.get("/v1/routes")["routes"]]
            return f"{address}/24" in wan["addresses"] and "0.0.0.0/0" in ways
        l.wait_until(known, f"masqgate to know {address}")

    def provide(self, address):
        self.leases += 1
        self.server = self.lab.server.start(
            "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=eth0", "--bind-interfaces",
            f"--dhcp-range={address},{address},2m", f"--dhcp-option=option:router,{l.SERVER}", "--dhcp-authoritative",
            f"--dhcp-leasefile={self.lab.directory}/leases-{self.leases}", "--log-facility=-", "--log-dhcp")
        self.server.wait_for("started")

    def change(self, address):
        """The provider has another address now, and the client asks for it."""
        self.server.stop()
        self.provide(address)
        self.client.popen.send_signal(signal.SIGUSR1)
        self.wait_for(address)


def drops(lab, reason):
    return lab.masqgate.rest.get("/v1/drops")["drops"][reason]


def begin(lab, address):
    """A TCP connection whose SYN is on its way."""
    with lab.alice.inside():
        attempt = socket.socket()
        attempt.setblocking(False)
        attempt.connect_ex((address, 7))
    l.wait_until(lambda: lab.masqgate.connections(protocol="tcp", state="SYN_SENT"), "the SYN to pass")
    return attempt


def connected(attempt):
    try:
        attempt.getpeername()
        return True
    except OSError:
        return False


def tell(lab, mode, syn_moves, answered_moves):
    """Two connections while the address changes: one waits for its answer, one is established."""
    dhcp = Dhcp(lab, mode)
    echo = servers.TcpEcho(lab.server)
    held = servers.connect(lab.alice, (l.INTERNET, 7))
    check(servers.answers(held), "no answer on TCP")
    attempt = begin(lab, LATER)
    dhcp.change(NEW)
    # Renewing the lease speaks from the address that it is about; what hosts inside send must not.
    capture = l.Capture(lab.server, "eth0", f"tcp and src host {OLD}")
    lab.server.ip(f"addr add {LATER}/32 dev lo")
    if syn_moves:
        l.wait_until(lambda: connected(attempt), "the SYN to go out again and be answered")
        check_equal([peer for peer, _ in echo.peers], [OLD, NEW], "who connected")
        attempt.setblocking(True)
        check(servers.answers(attempt), "no answer behind the new address")
    held.settimeout(10 if answered_moves else 1)
    try:
        held.sendall(b"still there?")
        reset = held.recv(100)
    except TimeoutError:
        reset = False
    except ConnectionResetError:
        reset = True
    check_equal(reset, answered_moves, "whether the far end reset the established connection")
    if not answered_moves:
        l.wait_until(lambda: drops(lab, "address_lost") > 0, "drops to be counted")
    if not syn_moves:
        before = drops(lab, "address_lost")
        l.wait_until(lambda: drops(lab, "address_lost") > before and not connected(attempt), "the next SYN")
    check_equal(capture.stop().packets(), [], "what left with the old address")
    check(servers.answers(servers.connect(lab.bob, (l.INTERNET, 7))), "a new connection")
    return lab.masqgate.process


@story("M5, history 1.9: ip_dynaddr 0: nobody moves, and nothing leaves with the old address", needs_masqgate=True)
def off(lab):
    tell(lab, 0, syn_moves=False, answered_moves=False)


@story("M5, history 1.9: ip_dynaddr 1: an unanswered SYN moves, an established connection does not",
       needs_masqgate=True)
def unanswered(lab):
    process = tell(lab, 1, syn_moves=True, answered_moves=False)
    check("change masq.addr" not in process.output(), "it was told though nobody asked")


@story("M5, history 1.9: ip_dynaddr 2: … and each move is told in the kernel's words", needs_masqgate=True)
def verbose(lab):
    process = tell(lab, 2, syn_moves=True, answered_moves=False)
    process.wait_for(CHANGE.format(OLD, NEW))


@story("M5, history 1.9: ip_dynaddr 7: the far end resets an established connection, so that it begins anew at once",
       needs_masqgate=True)
def provoking(lab):
    process = tell(lab, 7, syn_moves=True, answered_moves=True)
    process.wait_for(CHANGE.format(OLD, NEW))


@story("M5: by default everything moves, and ip_dynaddr can be switched while running", needs_masqgate=True)
def dynamic(lab):
    dhcp = Dhcp(lab)
    file = lab.masqgate.tree / "sys/net/ipv4/ip_dynaddr"
    check_equal(file.read_text(), "5\n", "default")
    echo = servers.UdpEcho(lab.server)
    servers.TcpEcho(lab.server)
    flow = servers.udp_socket(lab.alice)
    check(servers.echoed(flow, (l.INTERNET, 7)), "no answer behind the first address")
    check_equal(echo.peers[-1][0], OLD, "first address")
    held = servers.connect(lab.alice, (l.INTERNET, 7))
    check(servers.answers(held), "no answer on TCP")
    dhcp.change(NEW)
    check(servers.echoed(flow, (l.INTERNET, 7)), "no answer behind the second address")
    check_equal(echo.peers[-1][0], NEW, "second address, for a flow that was there before")
    l.wait_until(lambda: not [c for c in lab.masqgate.connections() if c["reply"]["destination"] == OLD],
                 "the silent connection behind the lost address to be forgotten")
    lab.router.run("sh", "-c", f"echo 1 > {file}")
    dhcp.change("203.0.113.70")
    check(not servers.echoed(flow, (l.INTERNET, 7), b"and now?", tries=2), "an answered flow moved")
    lab.router.run("sh", "-c", f"echo 5 > {file}")
    check(servers.echoed(flow, (l.INTERNET, 7)), "no answer behind the third address")
    check_equal(echo.peers[-1][0], "203.0.113.70", "third address")
    check(servers.answers(servers.connect(lab.bob, (l.INTERNET, 7))), "a new connection")


@story("M5: connections outlive a moment without an address, if the same one comes back", needs_masqgate=True)
def same_address(lab):
    dhcp = Dhcp(lab)
    servers.TcpEcho(lab.server)
    held = servers.connect(lab.alice, (l.INTERNET, 7))
    check(servers.answers(held), "no answer on TCP")
    lab.router.ip("addr flush dev wan")
    held.sendall(b"anybody there?")
    l.wait_until(lambda: drops(lab, "no_outside_address") + drops(lab, "no_route") > 0, "the segment to be dropped")
    dhcp.change(OLD)
    check_equal(held.recv(100), b"anybody there?", "the answer to the segment that was sent again")


if __name__ == "__main__":
    main()
