#!/usr/bin/env python3
"""M3 to M7, M11, K-18: forwards, pools, 1:1, redirect and a scan, with real programs."""
import socket
import struct
import time

import lab as l
import router as r
import servers
from story import check, check_equal, main, story


def configuration(*more, profile="rfc"):
    """The usual one, with rules in front of its masquerading."""
    config = r.configuration()
    for rule in config["nat"]:
        rule["profile"] = profile
    config["nat"] = [*more, *config["nat"]]
    config["firewall"]["forward"]["rules"].append({"id": "forwards", "destination": l.ALICE, "action": "accept"})
    return config


@story("K-18, C-04, C-06: a scan of UDP ports takes one host's share; its neighbours go on, and the log names it",
       needs_masqgate=True)
def scan(lab):
    config = configuration()
    config["limits"] = {"sessions_per_host": 500, "ports_per_host": 300}
    lab.masqgate.start(config)
    echo = servers.UdpEcho(lab.server)
    with lab.bob.inside():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)

    def refused():
        for port in range(1, 4000):  # one socket asks every port
            raw.sendto(struct.pack("!HHHH", 5555, port, 8, 0), (l.SERVER, 0))
            if port % 200 == 0:
                time.sleep(0.005)
        return lab.masqgate.rest.get("/v1/drops")["drops"]["host_sessions"] > 2000
    l.wait_until(refused, "the scan to be refused")
    hosts = {host["address"]: host for host in lab.masqgate.rest.get("/v1/nat/hosts")["hosts"]}
    check_equal(hosts[l.BOB]["sessions"], 500, "sessions of the host that scans")
    check(hosts[l.BOB]["refused"] > 2000, f"{hosts[l.BOB]}")
    for host in (lab.alice, lab.carol):
        check(servers.echoed(servers.udp_socket(host), (l.INTERNET, 7)), f"no answer for {host.name}")
    with lab.alice.inside():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)

    def without_ports():
        for port in range(1024, 1524):  # from every port one question
            raw.sendto(struct.pack("!HHHH", port, 9, 8, 0), (l.SERVER, 0))
        return lab.masqgate.rest.get("/v1/drops")["drops"]["host_ports"] > 100
    l.wait_until(without_ports, "ports to be refused")
    check(servers.echoed(servers.udp_socket(lab.carol), (l.INTERNET, 7)), "no answer beside a host without ports")
    lab.masqgate.process.wait_for("over their quota of sessions")
    check(l.BOB in lab.masqgate.process.output(), "the log does not name the host")
    check(echo.peers, "the server heard them")


@story("U-13: a client whose port is taken outside is mapped as others are", needs_masqgate=True)
def collision(lab):
    lab.masqgate.start(configuration())
    echoes = [servers.UdpEcho(lab.server, address) for address in (l.INTERNET, l.SERVER)]
    taken = servers.udp_socket(lab.bob, port=40000)
    check(servers.echoed(taken, (l.INTERNET, 7)), "no answer")
    flow = servers.udp_socket(lab.alice, port=40000)
    for peer in ((l.INTERNET, 7), (l.SERVER, 7)):
        check(servers.echoed(flow, peer), f"no answer from {peer}")
    check_equal(echoes[0].peers[-1], echoes[1].peers[-1], "outside endpoints towards both peers")
    check(echoes[0].peers[0] != echoes[0].peers[-1], "the other host's port is not shared")


@story("M5, U-10, T-11: a forwarded web server answers the world and its neighbours by the outside address",
       needs_masqgate=True)
def forward(lab):
    lab.masqgate.start(configuration(
        {"dnat": "wan", "protocol": "tcp", "destination_port": 8080, "to": l.ALICE, "to_port": 80}))
    web = servers.Http(lab.alice, page=b"hello from inside\n")
    url = f"http://{l.ROUTER_WAN}:8080/"
    for host in (lab.server, lab.bob, lab.carol):
        got = host.run("curl", "--silent", "--show-error", "--max-time", "10", url).stdout
        check_equal(got, "hello from inside\n", f"page for {host.name}")
    # From inside the server sees the router, or its answers would go past it.
    check_equal(web.addresses(), {l.SERVER, l.ROUTER_WAN}, "clients")


@story("M4, N-05, X-14: 1:1 gives a host an address of its own, from both sides", needs_masqgate=True)
def one_to_one(lab):
    outside = "203.0.113.9"
    config = configuration({"netmap": "wan", "source": f"{l.ALICE}/32", "to": f"{outside}/32"})
    config["ports"]["wan"]["addresses"].append(f"{outside}/24")
    lab.masqgate.start(config)
    echo = servers.UdpEcho(lab.server)
    flow = servers.udp_socket(lab.alice)
    check(servers.echoed(flow, (l.INTERNET, 7)), "no answer")
    check_equal(echo.peers[-1], (outside, flow.getsockname()[1]), "sender as the server saw it")
    inside = servers.UdpEcho(lab.alice, l.ALICE)
    asker = servers.udp_socket(lab.server)
    check(servers.echoed(asker, (outside, 7)), "no answer from inside")
    check_equal(inside.peers[-1][0], l.SERVER, "sender as the host inside saw it")
    lab.server.run("ping", "-c", "2", "-i", "0.2", outside)
    other = servers.udp_socket(lab.bob)
    check(servers.echoed(other, (l.INTERNET, 7)), "no answer for the other host")
    check_equal(echo.peers[-1][0], l.ROUTER_WAN, "the other host's address")


@story("M4, U-02: a pool of addresses: each host keeps one of them", needs_masqgate=True)
def pool(lab):
    addresses = [f"203.0.113.{n}" for n in range(20, 24)]
    config = configuration({"snat": "wan", "source": "192.168.0.0/16", "to": f"{addresses[0]}-{addresses[-1]}"})
    config["ports"]["wan"]["addresses"] += [f"{address}/24" for address in addresses]
    config["nat"] = config["nat"][:1]
    lab.masqgate.start(config)
    echo = servers.UdpEcho(lab.server)
    for host in (lab.alice, lab.bob, lab.carol):
        echo.peers.clear()
        for _ in range(10):
            check(servers.echoed(servers.udp_socket(host), (l.INTERNET, 7)), "no answer")
        seen = {address for address, _ in echo.peers}
        check(len(seen) == 1 and seen <= set(addresses), f"{host.name} has {seen}")


@story("M4: one NIC with aliases is inside and outside at once, and each alias may be somebody's outside address",
       needs_masqgate=True)
def aliases(lab):
    lab.witness.dismiss()
    lab.witness.watch("ip and")  # everybody hears everybody's ARP here
    lab.router.ip("link add br0 type bridge forward_delay 0", "link set br0 up", "link set lan0 master br0",
                  "link set wan0 master br0")
    lab.router.without_netfilter()
    second = "203.0.113.3"
    config = r.configuration()
    config["ports"] = {"lan": {"bridge": "br0",
                               "addresses": [f"{l.ROUTER_LAN}/24", f"{l.ROUTER_WAN}/24", f"{second}/24"]}}
    config["routes"] = [{"to": "0.0.0.0/0", "via": l.SERVER}]
    config["nat"] = [{"exclude": "lan", "source": l.LAN, "destination": l.LAN},
                     {"snat": "lan", "source": l.BOB, "to": second}, {"masquerade": "lan", "source": l.LAN},
                     {"dnat": "lan", "destination": second, "protocol": "tcp", "destination_port": 80,
                      "to": l.BOB, "to_port": 8080}]
    config["firewall"] = {}
    lab.masqgate.start(config)
    echo = servers.UdpEcho(lab.server)
    for host, outside in ((lab.alice, l.ROUTER_WAN), (lab.bob, second)):
        check(servers.echoed(servers.udp_socket(host), (l.INTERNET, 7)), f"no answer for {host.name}")
        check_equal(echo.peers[-1][0], outside, f"{host.name} outside")
    servers.Http(lab.bob, port=8080)
    check_equal(lab.server.run("curl", "--silent", "--fail", f"http://{second}/").stdout != "", True, "a page")


@story("redirect: web traffic that passes by is answered by the router itself", needs_masqgate=True)
def redirect(lab):
    lab.masqgate.start(configuration(
        {"redirect": "lan", "protocol": "tcp", "destination_port": 80, "to_port": 3128}))
    servers.Http(lab.server, page=b"the far server\n")
    servers.Http(lab.router, page=b"the proxy\n", port=3128)
    for host, page in ((lab.alice, "the proxy\n"), (lab.carol, "the far server\n")):
        got = host.run("curl", "--silent", "--show-error", "--max-time", "10", f"http://{l.INTERNET}/").stdout
        check_equal(got, page, f"page for {host.name}")


@story("C-08: what is excluded keeps its address", needs_masqgate=True)
def exclude(lab):
    lab.witness.dismiss()
    lab.masqgate.start(configuration({"exclude": "wan", "source": l.LAN, "destination": f"{l.SERVER}/32"}))
    lab.server.ip(f"route add {l.LAN} via {l.ROUTER_WAN}")
    near, echo = (servers.UdpEcho(lab.server, address) for address in (l.SERVER, l.INTERNET))
    flow = servers.udp_socket(lab.alice)
    check(servers.echoed(flow, (l.SERVER, 7)), "no answer")
    check_equal(near.peers[-1][0], l.ALICE, "sender where it is excluded")
    check(servers.echoed(flow, (l.INTERNET, 7)), "no answer")
    check_equal(echo.peers[-1][0], l.ROUTER_WAN, "sender elsewhere")


@story("M9: a reload that changes the profile leaves every mapping as it is", needs_masqgate=True)
def reload(lab):
    lab.masqgate.start(configuration(profile="rfc"))
    echo = servers.UdpEcho(lab.server)
    flow = servers.udp_socket(lab.alice)
    check(servers.echoed(flow, (l.INTERNET, 7)), "no answer")
    before = echo.peers[-1]
    lab.masqgate.rest.put("/v1/config", configuration(profile="symmetric"))
    check(servers.echoed(flow, (l.INTERNET, 7)), "no answer after the reload")
    check_equal(echo.peers[-1], before, "outside endpoint of a connection that was there")
    with lab.server.inside():
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        stranger.bind((l.INTERNET, 0))
    stranger.sendto(b"from another port", before)
    flow.settimeout(5)
    check_equal(flow.recv(100), b"from another port", "the old filter still lets a known address in")


if __name__ == "__main__":
    main()
