#!/usr/bin/env python3
"""V2, M4, M6: numbers under sys/net: who writes them changes what the router does, by the tree and by REST."""
import socket

import lab as l
import router as r
import servers
from story import check, check_equal, main, story

NEW, OLD = "sys/net/netfilter/nf_conntrack_", "sys/net/ipv4/netfilter/ip_conntrack_"


def write(lab, path, value):
    """The finished shell that wrote the value as an owner of the router would."""
    return lab.router.run("bash", "-c", f"echo '{value}' > {lab.masqgate.tree / path}", check=False)


def refused(lab, path, value):
    """What the shell says of a write that fails."""
    done = write(lab, path, value)
    check(done.returncode != 0, f"{path} took {value!r}")
    return done.stderr


@story("V2: all numbers of sys/net are there, one decimal and a line break each", needs_masqgate=True)
def numbers(lab):
    config = r.configuration()
    config["conntrack"] = {"profile": "linux"}
    lab.masqgate.start(config)
    folder = lab.masqgate.tree / "sys/net"
    texts = {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}
    check(all(text.endswith("\n") and text[:-1].isdigit() for text in texts.values()), texts)
    expected = {"ipv4/ip_dynaddr": 5, "ipv4/ip_masq_debug": 0, "ipv4/ip_masq_udp_dloose": 0, "ipv4/ip_forward": 1,
                "ipv4/netfilter/ip_conntrack_tcp_timeout_established": 432000,
                "netfilter/nf_conntrack_udp_timeout_stream": 180, "nf_conntrack_max": 262144}
    check_equal({path: int(texts[path]) for path in expected}, expected, "defaults")
    check(int(texts["netfilter/nf_conntrack_buckets"]) >= 2 * 262144, "slots of the index")
    servers.UdpEcho(lab.server)
    check(servers.echoed(servers.udp_socket(lab.alice), (l.INTERNET, 7)), "no answer")
    check_equal(int(lab.masqgate.text(NEW + "count")), len(lab.masqgate.connections()), "count")


@story("V2: bad values answer EINVAL, another table size EBUSY, read-only files EACCES; nothing changes",
       needs_masqgate=True)
def refusals(lab):
    lab.masqgate.start()
    before = lab.masqgate.rest.get("/v1/config")
    for path, value in ((NEW + "udp_timeout", "0"), (NEW + "udp_timeout", "-1"), (NEW + "udp_timeout", "5s"),
                        (NEW + "udp_timeout", ""), (OLD + "tcp_loose", "2"), ("sys/net/ipv4/ip_dynaddr", "8"),
                        ("sys/net/ipv4/ip_masq_udp_dloose", "yes")):
        check("Invalid argument" in refused(lab, path, value), f"{path}: {value!r}")
    for path in (NEW + "max", OLD + "max", "sys/net/nf_conntrack_max", "sys/net/ipv4/ip_conntrack_max"):
        check("busy" in refused(lab, path, "1000"), path)
        check_equal(write(lab, path, "262144").returncode, 0, f"{path} as it is")
    for path in (NEW + "count", NEW + "buckets", OLD + "buckets", NEW + "gre_timeout"):
        check("Permission denied" in refused(lab, path, "1"), path)
    for path, status in ((NEW + "udp_timeout", 422), (NEW + "max", 409), (NEW + "count", 405)):
        try:
            lab.masqgate.rest.request("PUT", f"/v1/{path}", "0")
            check(False, f"REST took it: {path}")
        except r.Refused as refusal:
            check_equal(refusal.status, status, path)
    check_equal(lab.masqgate.rest.get("/v1/config"), before, "the configuration")


@story("M4, V2: a timeout that echo changes acts at the connection's next packet, by every door", needs_masqgate=True)
def timeouts(lab):
    lab.masqgate.start()
    servers.UdpEcho(lab.server)
    flow, idle = servers.udp_socket(lab.alice), servers.udp_socket(lab.bob)
    for one in (flow, idle):
        check(servers.echoed(one, (l.INTERNET, 7)) and servers.echoed(one, (l.INTERNET, 7)), "no answer")

    def left(host):
        found = lab.masqgate.connections(protocol="udp", address=host)
        return found[0]["timeout_s"] if found else None
    check_equal(write(lab, NEW + "udp_timeout_stream", "2").returncode, 0, "status")
    check_equal(lab.masqgate.text(OLD + "udp_timeout_stream"), "2\n", "the same variable by its old name")
    check_equal(lab.masqgate.rest.get("/v1/config")["conntrack"]["timeouts"], {"udp_stream": 2}, "in the document")
    check(left(l.ALICE) > 100, "it acted before the next packet")
    check(servers.echoed(flow, (l.INTERNET, 7)), "no answer")
    check(left(l.ALICE) in (None, 0, 1, 2), "it did not act at the next packet")
    l.wait_until(lambda: left(l.ALICE) is None, "the connection to end")
    check(left(l.BOB) > 100, "the other one has sent nothing since")
    lab.masqgate.rest.request("PUT", f"/v1/{OLD}udp_timeout_stream", "500")
    check(servers.echoed(idle, (l.INTERNET, 7)), "no answer")
    check(400 < left(l.BOB) <= 500, "REST does the same")


@story("M6, V2: ip_masq_udp_dloose lets anybody answer a socket behind a classic rule", needs_masqgate=True)
def loose(lab):
    config = r.configuration()
    for rule, profile in zip(config["nat"], ("classic-2.2", "linux")):
        rule["profile"] = profile
    lab.masqgate.start(config)
    echo = servers.UdpEcho(lab.server)
    with lab.server.inside():
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        stranger.bind((l.SERVER, 5555))

    def reached(host):
        """Whether a stranger's words reach a new socket of the host; and that socket, and its outside endpoint."""
        flow = servers.udp_socket(host, timeout=1.0)
        check(servers.echoed(flow, (l.INTERNET, 7)), "no answer")
        outside = echo.peers[-1]
        stranger.sendto(b"from somebody else", outside)
        try:
            return flow.recv(100) == b"from somebody else", flow, outside
        except TimeoutError:
            return False, flow, outside
    check(not reached(lab.alice)[0], "loose though it is off")
    check_equal(write(lab, "sys/net/ipv4/ip_masq_udp_dloose", "1").returncode, 0, "status")
    came, flow, outside = reached(lab.alice)
    check(came, "the stranger did not reach a socket behind the classic rule")
    check(61000 <= outside[1] <= 65095, f"outside port {outside[1]}")
    near = servers.UdpEcho(lab.server, l.SERVER)
    check(servers.echoed(flow, (l.SERVER, 7)), "no answer from another host")
    check_equal(near.peers[-1], outside, "outside endpoint towards another host")
    check(not reached(lab.carol)[0], "another profile changed")
    write(lab, "sys/net/ipv4/ip_masq_udp_dloose", "0")
    check(not reached(lab.alice)[0], "still loose")


@story("V2: ip_masq_debug tells in the log what is dropped, and packets are never logged", needs_masqgate=True)
def debug(lab):
    lab.masqgate.start()
    process = lab.masqgate.process

    def drop_one():
        lab.server.run("ping", "-c", "1", "-W", "1", "-t", "1", l.ROUTER_WAN, check=False)
        lab.alice.run("ping", "-c", "1", "-W", "1", "-t", "1", l.INTERNET, check=False)
        return "IP_MASQ:dropped: ttl_exceeded PACKETS=" in process.output()
    check(not drop_one(), "it logs though nobody asked")
    check_equal(write(lab, "sys/net/ipv4/ip_masq_debug", "1").returncode, 0, "status")
    l.wait_until(drop_one, "a line of the log")
    check(l.ALICE not in process.output(), "a packet was logged")


if __name__ == "__main__":
    main()
