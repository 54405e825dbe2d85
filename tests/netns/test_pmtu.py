#!/usr/bin/env python3
"""M2: paths that are narrower than the LAN: behind the router (1,280 bytes) and at its own WAN port."""
import re
import socket

import lab as l
import servers
from story import check, check_equal, main, story

FAR, FAR_6 = "198.51.100.129", "fd00:6::129"
NARROW = 1280
WIDE_MSS = 1460  # what the narrow side announces, as a host two links further would: TCP learns by ICMP alone
IP_MTU_DISCOVER, IP_PMTUDISC_DONT, IP_PMTUDISC_DO, IP_MTU = 10, 0, 2, 14


def add_far(lab):
    """A host behind the server on a link of 1,280 bytes; the server routes."""
    far = lab.host("far")
    lab.link(far, "eth0", lab.server, "eth1", mtu=NARROW)
    far.ip(f"addr add {FAR}/25 dev eth0", f"addr add {FAR_6}/64 dev eth0 nodad",
           f"route add default via 198.51.100.254 advmss {WIDE_MSS}", "route add default via fd00:6::1")
    lab.server.ip("addr add 198.51.100.254/25 dev eth1", "addr add fd00:6::1/64 dev eth1 nodad")
    lab.server.sysctl("ipv4/ip_forward", 1)
    lab.server.sysctl("ipv6/conf/all/forwarding", 1)
    return far


def learned_mtu(host, address):
    """What the host's kernel knows about the path to the address."""
    found = re.search(r"\bmtu (\d+)", host.run("ip", "route", "get", address).stdout)
    return int(found[1]) if found else None


def datagram_socket(host, address, discover):
    sock = servers.udp_socket(host)
    sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, discover)
    sock.connect((address, 7))
    return sock


def check_datagrams(lab, address):
    """With DF the sender learns the path's MTU, without it the datagram arrives in fragments."""
    loose = datagram_socket(lab.alice, address, IP_PMTUDISC_DONT)
    check(servers.echoed(loose, (address, 7), b"x" * 1400), "a datagram without DF did not arrive")
    strict = datagram_socket(lab.alice, address, IP_PMTUDISC_DO)
    strict.send(b"x" * 1400)

    def learned():
        try:
            strict.send(b"x" * 1400)
            return False
        except OSError:
            return strict.getsockopt(socket.IPPROTO_IP, IP_MTU) == NARROW
    l.wait_until(learned, "the sender to learn the MTU of the path")
    check(servers.echoed(strict, (address, 7), b"x" * (NARROW - 28)), "the greatest datagram did not arrive")


def check_transfers(lab, host, address):
    """TCP finds its segment size by what ICMP tells it, up and down."""
    page = b"0123456789" * 100_000
    servers.Http(host, page=page)
    echo = servers.TcpEcho(host)
    got = lab.alice.run("curl", "-sS", f"http://{address}/").stdout
    check_equal(len(got), len(page), "bytes fetched")
    up = servers.connect(lab.alice, (address, 7), timeout=20)
    check(servers.answers(up, b"x" * 50_000), "an upload of big segments did not arrive")
    check_equal({peer[0] for peer in echo.peers}, {l.ROUTER_WAN}, "client as the far host saw it")
    check_equal(learned_mtu(lab.alice, address), NARROW, "MTU that alice learned")


@story("M2: 'fragmentation needed' from behind the router reaches the inside host; without DF fragments pass")
def behind_datagrams(lab):
    lab.masqgate.start()
    servers.UdpEcho(add_far(lab), FAR)
    check_datagrams(lab, FAR)


@story("M2: TCP across a 1,280-byte link behind the router")
def behind_tcp(lab):
    lab.masqgate.start()
    check_transfers(lab, add_far(lab), FAR)


@story("M2, U-17, U-18: the WAN port itself is narrower: the router says so, and cuts what may be cut")
def narrow_port_datagrams(lab):
    lab.unplug("wan0")
    lab.plug_wan(NARROW)
    lab.witness.watch()
    lab.masqgate.start()
    servers.UdpEcho(lab.server)
    check_datagrams(lab, l.INTERNET)


@story("M2: TCP through a WAN port of 1,280 bytes")
def narrow_port_tcp(lab):
    lab.unplug("wan0")
    lab.plug_wan(NARROW)
    lab.witness.watch()
    lab.masqgate.start()
    lab.server.ip(f"route replace {l.WAN} dev eth0 advmss {WIDE_MSS}")
    check_transfers(lab, lab.server, l.INTERNET)


@story("N2: 'packet too big' of IPv6 from behind the router and from the router")
def ipv6(lab):
    lab.masqgate.start()
    far = add_far(lab)
    servers.Http(far, page=b"x" * 300_000, family=socket.AF_INET6)
    check_equal(len(lab.alice.run("curl", "-sS", f"http://[{FAR_6}]/").stdout), 300_000, "bytes fetched")
    lab.alice.run("ping", "-c", "3", "-i", "0.2", "-W", "5", "-s", "1200", FAR_6)
    lab.alice.run("ping", "-c", "3", "-i", "0.2", "-W", "5", "-s", "1400", "-M", "do", FAR_6, check=False)
    check_equal(learned_mtu(lab.alice, FAR_6), NARROW, "MTU that alice learned")


if __name__ == "__main__":
    main()
