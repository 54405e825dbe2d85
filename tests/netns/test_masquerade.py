#!/usr/bin/env python3
"""M1: hosts of several LANs reach a server that sees only the WAN address; answers come home."""
import socket

import lab as l
import servers
from story import Witness, check, check_equal, main, story

PAGE = f"http://{l.INTERNET}/"


@story("M1: clients of two LANs fetch a page, the server sees the WAN address only")
def two_lans(lab):
    lab.masqgate.start()
    web = servers.Http(lab.server)
    for client in (lab.alice, lab.bob, lab.carol):
        check_equal(client.run("curl", "-sS", PAGE).stdout, "hello from outside\n", client.name)
    check_equal(web.addresses(), {l.ROUTER_WAN}, "clients as the server saw them")


@story("M1: a big page arrives whole")
def big_page(lab):
    lab.masqgate.start()
    page = bytes(range(256)) * 40000
    servers.Http(lab.server, page=page)
    got = lab.directory / "page"
    lab.alice.run("curl", "-sS", "-o", got, PAGE)
    check(got.read_bytes() == page, "the page changed on its way")


@story("M1: two hosts with the same source port get two ports outside")
def same_port(lab):
    lab.masqgate.start()
    echo = servers.TcpEcho(lab.server)
    one, two = (servers.connect(host, (l.INTERNET, 7), ("", 40000)) for host in (lab.alice, lab.bob))
    check(servers.answers(one, b"from alice") and servers.answers(two, b"from bob"), "an answer went astray")
    check_equal(len(set(echo.peers)), 2, "ports outside")


@story("M1: UDP goes out and answers come home, for many flows at once")
def udp(lab):
    lab.masqgate.start()
    echo = servers.UdpEcho(lab.server)
    flows = [servers.udp_socket(host) for host in (lab.alice, lab.bob, lab.carol) for _ in range(20)]
    for number, flow in enumerate(flows):
        check(servers.echoed(flow, (l.INTERNET, 7), f"flow {number}".encode()), f"flow {number} got no answer")
    check_equal({address for address, _ in echo.peers}, {l.ROUTER_WAN}, "senders as the server saw them")
    check_equal(len(set(echo.peers)), len(flows), "ports outside")


@story("C-14, C-16: flows come and go, and no line is logged for any of them", needs_masqgate=True)
def silence(lab):
    lab.masqgate.start()
    lab.masqgate.process.wait_for("is ready")
    before = lab.masqgate.process.output()
    servers.UdpEcho(lab.server)
    servers.Http(lab.server)
    for number in range(200):
        check(servers.echoed(servers.udp_socket(lab.alice), (l.INTERNET, 7), b"x"), f"flow {number} got no answer")
    lab.bob.run("curl", "--silent", "--fail", f"http://{l.INTERNET}/")
    check_equal(lab.masqgate.process.output(), before, "what the daemon printed")


@story("M1: big datagrams pass in fragments")
def fragments(lab):
    lab.masqgate.start()
    servers.UdpEcho(lab.server)
    for size in (1472, 1473, 4000, 8000, 20000):
        check(servers.echoed(servers.udp_socket(lab.alice), (l.INTERNET, 7), b"x" * size), f"{size} bytes")


@story("M1: names are asked of a real DNS server")
def dns(lab):
    lab.masqgate.start()
    server = lab.server.start("dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null",
                              "--log-facility=-", f"--address=/host.example/{l.INTERNET}")
    server.wait_for("started")
    for options in ([], ["+tcp"]):
        answer = lab.carol.run("dig", "+short", *options, f"@{l.INTERNET}", "host.example")
        check_equal(answer.stdout, f"{l.INTERNET}\n", f"dig {options}")


@story("M1: tcpdump sees inside addresses inside and the WAN address outside")
def both_sides(lab):
    lab.masqgate.start()
    servers.Http(lab.server)
    inside, outside = l.Capture(lab.alice, "eth0", "tcp"), l.Capture(lab.server, "eth0", "tcp")
    lab.alice.run("curl", "-sS", PAGE)
    ended = "tcp[tcpflags] & tcp-fin != 0"
    l.wait_until(lambda: len(inside.packets(ended)) >= 2 and len(outside.packets(ended)) >= 2, "both FINs")
    for side, client in ((inside, l.ALICE), (outside, l.ROUTER_WAN)):
        lines = side.stop().packets()
        strange = [line for line in lines if f"IP {client}." not in line and f"> {client}." not in line]
        check(lines and not strange, f"{side.file.name}: {strange or 'nothing'}")
        bad = [line for line in side.packets("", "-v") if "bad cksum" in line]
        check(not bad, f"IPv4 header checksums: {bad}")


@story("K-29: the witness of every story notices a frame with an inside source outside")
def witness(lab):
    with lab.router.inside():
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        wire.bind(("wan0", 0))
    macs = lab.server.mac() + lab.router.mac("wan0")
    addresses = socket.inet_aton(l.ALICE) + socket.inet_aton(l.SERVER)
    header = "0800" + "450000140001000040010000"  # Ethernet type, IPv4 up to the checksum
    wire.send(bytes.fromhex(macs.replace(":", "") + header) + addresses)
    l.wait_until(lambda: lab.witness.captures[0].packets(), "the frame to be seen")
    noticed = False
    try:
        lab.witness.testify()
    except l.Failed:
        noticed = True
    check(noticed, "nothing was noticed")
    lab.witness = Witness(lab)


@story("M1: unsolicited packets from outside do not come in")
def unsolicited(lab):
    lab.masqgate.start()
    lab.server.ip(f"route add {l.LAN} via {l.ROUTER_WAN}")
    inside = l.Capture(lab.alice, "eth0", f"src host {l.SERVER}")
    knock = lab.server.run("curl", "-sS", "--connect-timeout", "1", f"http://{l.ALICE}/", check=False)
    check(knock.returncode != 0, "a host outside reached a host inside")
    check(not inside.stop().packets(), "a packet from outside came in")


if __name__ == "__main__":
    main()
