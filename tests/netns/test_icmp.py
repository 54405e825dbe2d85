#!/usr/bin/env python3
"""M2: ICMP queries and errors through the router, both directions, with what they quote."""
import re
import socket
import struct

import lab as l
import servers
from story import check, check_equal, main, story


def hops(host, *command):
    """The addresses that a traceroute found, in order."""
    output = host.run("traceroute", "-n", "-q", "1", "-w", "3", *command).stdout
    return re.findall(r"^ *\d+ +(\S+)", output, re.M)


@story("M2: ping from every LAN, small and in fragments")
def ping(lab):
    lab.masqgate.start()
    for host in (lab.alice, lab.bob, lab.carol):
        for size in (0, 56, 1472, 5000):
            host.run("ping", "-c", "2", "-i", "0.2", "-W", "5", "-s", size, l.INTERNET)


@story("M2: two hosts ping with the same identifier")
def same_identifier(lab):
    lab.masqgate.start()
    outside = l.Capture(lab.server, "eth0", "icmp[icmptype] == icmp-echo")
    both = [host.start("ping", "-c", "5", "-i", "0.2", "-W", "5", "-e", "4711", l.INTERNET)
            for host in (lab.alice, lab.bob)]
    for one in both:
        check_equal(one.wait(), 0, f"ping:\n{one.output()}\nstatus")
    identifiers = {re.search(r"id (\d+)", line)[1] for line in outside.stop().packets()}
    check_equal(len(identifiers), 2, "identifiers outside")


@story("M2: traceroute by UDP, ICMP and TCP shows the router and the server")
def traceroute(lab):
    lab.masqgate.start()
    for way in ([], ["-I"], ["-T", "-p", "80"]):
        check_equal(hops(lab.alice, *way, l.INTERNET), [l.ROUTER_LAN, l.INTERNET], f"hops {way}")
    check_equal(hops(lab.carol, l.INTERNET), [l.ROUTER_LAN2, l.INTERNET], "hops from the second LAN")


@story("M2, U-16, I-10: 'port unreachable' comes home to the socket that asked")
def port_unreachable(lab):
    lab.masqgate.start()
    check(servers.hears_port_unreachable(lab.alice, l.INTERNET), "no 'port unreachable' arrived")


@story("M2, I-13: an error from inside goes out with the WAN address, quoting the packet as it was outside")
def error_from_inside(lab):
    lab.masqgate.start()
    echo = servers.UdpEcho(lab.server)
    sock = servers.udp_socket(lab.alice)
    check(servers.echoed(sock, (l.INTERNET, 7)), "no answer")
    sock.close()
    outside = l.Capture(lab.server, "eth0", "icmp[icmptype] == icmp-unreach", snaplen=1500)
    echo.socket.sendto(b"too late", echo.peers[-1])
    line = l.wait_until(lambda: outside.packets(), "'port unreachable' outside")[0]
    port = echo.peers[-1][1]
    check(f"{l.ROUTER_WAN} > " in line and f"{l.ROUTER_WAN} udp port {port} unreachable" in line, line)


@story("M2, I-01: timestamp queries pass")
def timestamp(lab):
    lab.masqgate.start()
    with lab.alice.inside():
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    sock.settimeout(5)
    query = struct.pack("!BBHHHIII", 13, 0, 0, 77, 1, 1000, 0, 0)
    total = sum(struct.unpack("!10H", query))
    total = (total >> 16) + (total & 0xFFFF)
    sock.sendto(query[:2] + struct.pack("!H", ~total & 0xFFFF) + query[4:], (l.INTERNET, 0))
    answer = sock.recv(1500)[20:]
    check_equal((answer[0], struct.unpack("!HH", answer[4:8])), (14, (77, 1)), "type, identifier and number")


@story("M2, I-17: the router itself answers pings on all its addresses")
def ping_router(lab):
    lab.masqgate.start()
    for address in (l.ROUTER_LAN, l.ROUTER_LAN2, l.ROUTER_WAN):
        lab.alice.run("ping", "-c", "3", "-i", "0.2", "-W", "5", address)
    lab.server.run("ping", "-c", "3", "-i", "0.2", "-W", "5", l.ROUTER_WAN)


@story("M2: no route is answered with 'unreachable' from the router's LAN address")
def no_route(lab):
    lab.masqgate.start()
    lab.router.ip("route add unreachable 198.18.0.0/15")

    def told():
        shown = lab.alice.run("ping", "-c", "1", "-W", "1", "198.18.0.1", check=False).stdout
        return f"From {l.ROUTER_LAN}" in shown and "nreachable" in shown
    l.wait_until(told, "'unreachable' from the router")


if __name__ == "__main__":
    main()
