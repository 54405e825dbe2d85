#!/usr/bin/env python3
"""N2, M3 to M5 over IPv6: masquerade, pools, 1:1 networks, forwards, redirect and hairpin with real programs."""
import re
import socket

import lab as l
import router as r
import servers
from story import check, check_equal, main, story

V6 = socket.AF_INET6
POOL_6 = [f"fd00:ffff::{n}" for n in range(20, 24)]
MAPPED_6 = "fd00:9::/64"  # where the LAN stands outside when it is mapped 1:1


def configuration(*rules):
    config = r.configuration()
    config["nat"] = [*rules, *config["nat"]]
    config["firewall"]["forward"]["rules"] += [
        {"id": "six", "destination": l.ALICE_6, "action": "accept"},
        {"id": "between", "in": "lan", "out": "lan", "action": "accept"}]
    return config


def masquerade(**profile):
    rule = {"masquerade": "wan", "source": l.LAN_6}
    return {**rule, "profile": profile} if profile else rule


def watch(lab):
    """Sees inside addresses of IPv6 outside, which no story here shows on purpose."""
    return l.Capture(lab.server, "eth0", f"ip6 and src net {l.LAN_6}")


def check_hidden(capture):
    check_equal(capture.stop().packets(), [], "inside addresses outside")


@story("N2, U-01: IPv6 is masqueraded: web, ping, a long transfer, and one port towards all peers",
       needs_masqgate=True)
def hidden(lab):
    lab.masqgate.start(configuration(masquerade()))
    capture = watch(lab)
    web = servers.Http(lab.server, family=V6)
    page = lab.alice.run("curl", "-6", "-sS", "--max-time", "10", f"http://[{l.INTERNET_6}]/").stdout
    check_equal(page, "hello from outside\n", "page")
    check_equal(web.addresses(), {l.ROUTER_WAN_6}, "client as the server saw it")
    lab.alice.run("ping", "-6", "-c", "3", "-i", "0.2", "-W", "5", l.INTERNET_6)
    echoes = [servers.UdpEcho(lab.server, address) for address in (l.INTERNET_6, l.SERVER_6)]
    flow = servers.udp_socket(lab.alice, V6, port=40000)
    for address in (l.INTERNET_6, l.SERVER_6):
        check(servers.echoed(flow, (address, 7)), f"no answer from {address}")
    check_equal(echoes[0].peers[-1], (l.ROUTER_WAN_6, 40000), "outside endpoint")
    check_equal(echoes[1].peers[-1], (l.ROUTER_WAN_6, 40000), "towards another peer")
    check(servers.echoed(flow, (l.INTERNET_6, 7), b"x" * 4000), "no answer to fragments")
    lab.server.start("iperf3", "-s", "-1", "--forceflush").wait_for("listening")
    lab.alice.run("iperf3", "-6", "-c", l.INTERNET_6, "-n", "20M", timeout=30)
    check_hidden(capture)


@story("I-10, I-12, U-17: errors over masqueraded IPv6 come home with what was sent", needs_masqgate=True)
def errors(lab):
    lab.masqgate.start(configuration(masquerade()))
    capture = watch(lab)
    for way in ([], ["-I"], ["-T", "-p", "80"]):
        output = lab.alice.run("traceroute", "-6", "-n", "-q", "1", "-w", "3", *way, l.INTERNET_6).stdout
        hops = re.findall(r"^ *\d+ +(\S+)", output, re.M)
        check_equal(hops, [l.ROUTER_LAN_6, l.INTERNET_6], f"hops {way}")
    check(servers.hears_port_unreachable(lab.alice, l.INTERNET_6, V6), "no 'port unreachable' arrived")
    check_hidden(capture)


@story("M4, U-02: a pool of IPv6 addresses: each host keeps one of them", needs_masqgate=True)
def pool(lab):
    config = configuration({"snat": "wan", "source": l.LAN_6, "to": f"{POOL_6[0]}-{POOL_6[-1]}"})
    config["ports"]["wan"]["addresses"] += [f"{address}/64" for address in POOL_6]
    lab.masqgate.start(config)
    echo = servers.UdpEcho(lab.server, l.INTERNET_6)
    for host in (lab.alice, lab.bob):
        echo.peers.clear()
        for _ in range(5):
            check(servers.echoed(servers.udp_socket(host, V6), (l.INTERNET_6, 7)), "no answer")
        seen = {address for address, _ in echo.peers}
        check(len(seen) == 1 and seen <= set(POOL_6), f"{host.name} has {seen}")


@story("M4, N-02: a network of IPv6 is mapped 1:1, from both sides", needs_masqgate=True)
def mapped(lab):
    lab.masqgate.start(configuration({"netmap": "wan", "source": l.LAN_6, "to": MAPPED_6}))
    capture = watch(lab)
    lab.server.ip(f"route add {MAPPED_6} via {l.ROUTER_WAN_6}")
    echo = servers.UdpEcho(lab.server, l.INTERNET_6)
    flow = servers.udp_socket(lab.alice, V6)
    check(servers.echoed(flow, (l.INTERNET_6, 7)), "no answer")
    check_equal(echo.peers[-1], ("fd00:9::10", flow.getsockname()[1]), "sender as the server saw it")
    inside = servers.UdpEcho(lab.alice, l.ALICE_6)
    check(servers.echoed(servers.udp_socket(lab.server, V6), ("fd00:9::10", 7)), "no answer from inside")
    check_equal(inside.peers[-1][0], l.SERVER_6, "sender as the host inside saw it")
    lab.server.run("ping", "-6", "-c", "2", "-i", "0.2", "-W", "5", "fd00:9::10")
    lab.alice.run("ping", "-6", "-c", "2", "-i", "0.2", "-W", "5", l.INTERNET_6)
    check_hidden(capture)


@story("M5, U-10, T-11: a forward over IPv6 serves the world and its neighbours", needs_masqgate=True)
def forward(lab):
    lab.masqgate.start(configuration(
        {"dnat": "wan", "protocol": "tcp", "destination_port": 8080, "to": l.ALICE_6, "to_port": 80}, masquerade()))
    web = servers.Http(lab.alice, page=b"hello from inside\n", family=V6)
    for host in (lab.server, lab.bob):
        page = host.run("curl", "-6", "-sS", "--max-time", "10", f"http://[{l.ROUTER_WAN_6}]:8080/").stdout
        check_equal(page, "hello from inside\n", f"page for {host.name}")
    check_equal(web.addresses(), {l.SERVER_6, l.ROUTER_WAN_6}, "clients")


@story("U-10, U-11: two hosts inside meet by their IPv6 endpoints outside", needs_masqgate=True)
def hairpin(lab):
    lab.masqgate.start(configuration(masquerade()))
    servers.UdpEcho(lab.server, l.INTERNET_6)
    with lab.bob.inside():
        flow = socket.socket(V6, socket.SOCK_DGRAM)
        flow.bind(("", 41000))
        flow.settimeout(5)
    check(servers.echoed(flow, (l.INTERNET_6, 7)), "no answer")
    asker = servers.udp_socket(lab.alice, V6, port=42000)
    asker.sendto(b"hello", (l.ROUTER_WAN_6, 41000))
    data, peer = flow.recvfrom(100)
    check_equal((data, peer[:2]), (b"hello", (l.ROUTER_WAN_6, 42000)), "what came, and who sent it")
    flow.sendto(b"back", peer)
    check_equal(asker.recv(100), b"back", "the answer")


@story("redirect: IPv6 web traffic that passes by is answered by the router itself", needs_masqgate=True)
def redirect(lab):
    lab.masqgate.start(configuration({"redirect": "lan", "protocol": "tcp", "source": l.LAN_6,
                                      "destination_port": 80, "to_port": 3128}))
    servers.Http(lab.router, page=b"the proxy\n", port=3128, family=V6)
    page = lab.alice.run("curl", "-6", "-sS", "--max-time", "10", f"http://[{l.INTERNET_6}]/").stdout
    check_equal(page, "the proxy\n", "page")


@story("M3: a STUN client over IPv6 finds the behaviour of profile rfc", needs_masqgate=True)
def discovery(lab):
    lab.masqgate.start(configuration(masquerade()))
    lab.server.start("turnserver", "-n", "--stun-only", "-L", l.SERVER_6, "-L", l.INTERNET_6, "-p", 3478,
                     "--alt-listening-port", 3479, "--no-tls", "--no-dtls", "--no-cli", "--log-file", "stdout",
                     "--pidfile", lab.directory / "turn.pid")
    l.wait_until(lambda: f"[{l.INTERNET_6}]:3479" in lab.server.run("ss", "-lun").stdout, "coturn to listen")
    found = lab.alice.run("turnutils_natdiscovery", "-m", "-f", "-p", 3478, l.SERVER_6, check=False).stdout
    check("NAT with Endpoint Independent Mapping!" in found, f"mapping in:\n{found}")
    check("NAT with Address Dependent Filtering!" in found, f"filtering in:\n{found}")


if __name__ == "__main__":
    main()
