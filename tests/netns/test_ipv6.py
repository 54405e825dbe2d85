#!/usr/bin/env python3
"""N2: IPv6 is forwarded and tracked like IPv4, without translation."""
import re
import socket

import lab as l
import servers
from story import check, check_equal, main, story


@story("N2: IPv6 of two LANs reaches the server with its own addresses")
def forward(lab):
    lab.masqgate.start()
    web = servers.Http(lab.server, family=socket.AF_INET6)
    for client in (lab.alice, lab.carol):
        client.run("ping", "-c", "2", "-i", "0.2", "-W", "5", l.INTERNET_6)
        page = client.run("curl", "-sS", f"http://[{l.INTERNET_6}]/").stdout
        check_equal(page, "hello from outside\n", client.name)
    check_equal(web.addresses(), {l.ALICE_6, l.CAROL_6}, "clients as the server saw them")


@story("N2: what was not asked for does not come in over IPv6 either")
def unsolicited(lab):
    lab.masqgate.start()
    lab.alice.run("ping", "-c", "3", "-i", "0.2", "-W", "5", l.INTERNET_6)
    knock = lab.server.run("ping", "-c", "1", "-W", "1", l.ALICE_6, check=False)
    check(knock.returncode != 0, "a host outside reached a host inside")


@story("N2: big datagrams pass in fragments")
def fragments(lab):
    lab.masqgate.start()
    servers.UdpEcho(lab.server, l.INTERNET_6)
    for size in (1, 1400, 1453, 4000, 20000):
        sock = servers.udp_socket(lab.alice, socket.AF_INET6)
        check(servers.echoed(sock, (l.INTERNET_6, 7), b"x" * size), f"{size} bytes")


@story("N2: traceroute, 'port unreachable' and 'time exceeded' over IPv6")
def errors(lab):
    lab.masqgate.start()
    for way in ([], ["-I"], ["-T", "-p", "80"]):
        output = lab.alice.run("traceroute", "-6", "-n", "-q", "1", "-w", "3", *way, l.INTERNET_6).stdout
        hops = re.findall(r"^ *\d+ +(\S+)", output, re.M)
        check_equal(hops, [l.ROUTER_LAN_6, l.INTERNET_6], f"hops {way}")
    check(servers.hears_port_unreachable(lab.alice, l.INTERNET_6, socket.AF_INET6), "no 'port unreachable' arrived")


@story("M9: the router itself speaks IPv6 on its ports")
def local(lab):
    lab.masqgate.start()
    servers.Http(lab.server, family=socket.AF_INET6)
    lab.router.run("curl", "-sS", f"http://[{l.INTERNET_6}]/")
    lab.alice.run("ping", "-c", "3", "-i", "0.2", "-W", "5", l.ROUTER_LAN_6)
    lab.server.run("ping", "-c", "3", "-i", "0.2", "-W", "5", l.ROUTER_WAN_6)


if __name__ == "__main__":
    main()
