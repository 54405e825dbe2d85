#!/usr/bin/env python3
"""M1: bulk transfer by iperf3, one stream and several, both directions, TCP and UDP; checksums that count."""
import json

import lab as l
import servers
from story import check, check_equal, main, story

CHECKSUM_ERRORS = ("TcpInCsumErrors", "UdpInCsumErrors", "IcmpInCsumErrors", "IpExtInCsumErrors")


def iperf3(lab, *options, client=None):
    """What an iperf3 run of a second reports at its end."""
    server = lab.server.start("iperf3", "--server", "--one-off", "--forceflush", "--bind", l.INTERNET)
    server.wait_for("listening")
    done = (client or lab.alice).run("iperf3", "--client", l.INTERNET, "--time", "1", "--json", *options)
    server.wait()
    return json.loads(done.stdout)["end"]


def check_bulk(lab, *options, client=None):
    received = iperf3(lab, *options, client=client)["sum_received"]["bytes"]
    check(received > 1_000_000, f"iperf3 {options}: {received} bytes arrived")


def set_offloads(lab, peers, nics):
    """Without transmit checksum offload a NIC computes what the stack left to it, and receivers look at it."""
    for host in (lab.alice, lab.carol, lab.server):
        host.run("ethtool", "-K", "eth0", "tx", peers)
    for nic in ("lan0", "lan1", "wan0"):
        lab.router.run("ethtool", "-K", nic, "tx", nics)


@story("M1: TCP, one stream and four, up and down")
def tcp(lab):
    lab.masqgate.start()
    for options in ([], ["--parallel", "4"], ["--reverse"], ["--reverse", "--parallel", "4"], ["--bidir"]):
        check_bulk(lab, *options)


@story("M1: TCP from two LANs at once")
def two_lans(lab):
    lab.masqgate.start()
    server = lab.server.start("iperf3", "--server", "--one-off", "--forceflush", "--port", "5202")
    server.wait_for("listening")
    other = lab.carol.start("iperf3", "--client", l.INTERNET, "--time", "1", "--port", "5202")
    check_bulk(lab)
    check_equal(other.wait(), 0, f"iperf3 from the second LAN:\n{other.output()}\nstatus")


@story("M1: UDP at a modest rate arrives whole, up and down")
def udp(lab):
    lab.masqgate.start()
    for options in ([], ["--reverse"]):
        total = iperf3(lab, "--udp", "--bitrate", "5M", "--length", "1200", *options)["sum"]
        check(total["packets"] > 100, f"{options}: {total['packets']} datagrams")
        check(total["lost_percent"] < 1, f"{options}: {total['lost_percent']} % lost")


@story("M1: checksums are right where somebody looks at them")
def checksums(lab):
    lab.masqgate.start()
    servers.UdpEcho(lab.server)
    for peers, nics in (("on", "off"), ("off", "on"), ("off", "off")):
        set_offloads(lab, peers, nics)
        check_bulk(lab)
        check_bulk(lab, "--reverse", client=lab.carol)
        for size in (1, 2, 1400, 1472, 4000):
            came_back = servers.echoed(servers.udp_socket(lab.alice), (l.INTERNET, 7), b"x" * size, tries=2)
            check(came_back, f"{size} bytes by UDP; offload of the peers {peers}, of the router's NICs {nics}")
        lab.alice.run("ping", "-c", "2", "-i", "0.2", "-W", "5", l.INTERNET)
    for host in (lab.alice, lab.carol, lab.server):
        for counter in CHECKSUM_ERRORS:
            check_equal(host.counter(counter), 0, f"{counter} of {host.name}")


if __name__ == "__main__":
    main()
