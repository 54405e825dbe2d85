#!/usr/bin/env python3
"""M3, U-13: what a real STUN client says about each profile, idle, where ports are taken, and under load."""
import socket
import struct
import time

import lab as l
import router as r
import servers
from story import check, check_equal, main, story

# What turnutils_natdiscovery (RFC 5780) must find: mapping, filtering, whether hairpinning works.
PROFILES = {
    "rfc": ("Endpoint Independent Mapping", "Address Dependent Filtering", True),
    "open": ("Endpoint Independent Mapping", "Endpoint Independent Filtering", True),
    "linux": ("Endpoint Independent Mapping", "Address and Port Dependent Filtering", False),
    "classic-2.2": ("Address and Port Dependent Mapping", "Address and Port Dependent Filtering", False),
    "symmetric": ("Address and Port Dependent Mapping", "Address and Port Dependent Filtering", True),
}
# What an older program of other people (RFC 3489) says about the same.
OLDER = {
    "rfc": "Independent Mapping, Address Dependent Filter, preserves ports, will hairpin",
    "open": "Independent Mapping, Independent Filter, preserves ports, will hairpin",
    "linux": "Independent Mapping, Port Dependent Filter, preserves ports, no hairpin",
    "classic-2.2": "Dependent Mapping, random port, no hairpin",
    "symmetric": "Dependent Mapping, random port, will hairpin",
}
NOISE = 10_000  # flows of other hosts, each from a port of its own
SINKS = range(9, 13)  # classic-2.2 has 4096 ports towards each


def configuration(profile):
    config = r.configuration()
    for rule in config["nat"]:
        rule["profile"] = profile
    return config


def start_stun(lab):
    """coturn with two addresses and two ports, as RFC 5780 needs them."""
    stun = lab.server.start("turnserver", "-n", "--stun-only", "-L", l.SERVER, "-L", l.INTERNET, "-p", 3478,
                            "--alt-listening-port", 3479, "--no-tls", "--no-dtls", "--no-cli", "--log-file", "stdout",
                            "--pidfile", lab.directory / "turn.pid")
    l.wait_until(lambda: f"{l.INTERNET}:3479" in lab.server.run("ss", "-lun").stdout, "coturn to listen")
    return stun


class Questions:
    """Asks everything at once, each from sockets of its own, because filters show only by waiting."""

    def __init__(self, host):
        self.asked = [host.start("turnutils_natdiscovery", *options, "-p", 3478, l.SERVER)
                      for options in (["-m"], ["-f"], ["-H"])]

    def check(self, profile, when):
        for process in self.asked:
            process.wait(60)
        mapping, filtering, hairpin = PROFILES[profile]
        said = [process.output() for process in self.asked]
        check(f"NAT with {mapping}!" in said[0], f"{profile} {when}: no {mapping} in:\n{said[0]}")
        check(f"NAT with {filtering}!" in said[1], f"{profile} {when}: no {filtering} in:\n{said[1]}")
        check_equal("successful hairpinning" in said[2], hairpin, f"{profile} {when}: hairpinning")


def make_noise(lab, flows):
    """So many flows of two hosts beside the one that asks, sent as raw datagrams to a server that hears only."""
    sinks = []
    for port in SINKS:
        with lab.server.inside():
            sinks.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sinks[-1].bind((l.INTERNET, port))
    senders = []
    for host in (lab.bob, lab.carol):
        with host.inside():
            senders.append(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP))

    def send():
        for number in range(flows):
            packet = struct.pack("!HHHH", 1024 + number // 2, SINKS[number // 2 % len(SINKS)], 8, 0)
            senders[number % 2].sendto(packet, (l.INTERNET, 0))
            if number % 200 == 199:
                time.sleep(0.005)  # a queue of a device takes no more at once

    def there():
        if lab.masqgate.rest.get("/v1/status")["connections"]["count"] >= flows:
            return True
        send()
        return False
    l.wait_until(there, f"{flows} flows", 30)
    return sinks


def collide(lab):
    """Another host holds the ports from which the next sockets will ask."""
    low, high = (int(n) for n in lab.alice.sysctl("ipv4/ip_local_port_range").split())
    lab.alice.sysctl("ipv4/ip_local_port_range", "40000 40063")
    servers.UdpEcho(lab.server)
    flows = [servers.udp_socket(lab.bob, port=port) for port in range(40000, 40064)]
    for flow in flows:
        check(servers.echoed(flow, (l.INTERNET, 7)), "no answer")
    return flows, (low, high)


@story("M3, M6: a second, older STUN client names every profile as the first one does", needs_masqgate=True)
def second_opinion(lab):
    for profile, expected in OLDER.items():
        lab.masqgate.start(configuration(profile))
        server = start_stun(lab)
        said = lab.alice.run("stun", l.SERVER, check=False).stdout  # its status is what it found
        check(f"Primary: {expected}" in said, f"{profile}: no '{expected}' in:\n{said}")
        server.stop()
        lab.masqgate.stop()


def declare_discovery(profile):
    @story(f"M3, U-13: a STUN client finds profile {profile} idle, where its ports are taken, and beside {NOISE} flows",
           needs_masqgate=True)
    def tell(lab):
        lab.masqgate.start(configuration(profile))
        start_stun(lab)
        Questions(lab.alice).check(profile, "idle")
        flows, (low, high) = collide(lab)
        Questions(lab.alice).check(profile, "where ports are taken")
        lab.alice.sysctl("ipv4/ip_local_port_range", f"{low} {high}")
        sinks = make_noise(lab, NOISE)
        Questions(lab.alice).check(profile, f"beside {NOISE} flows")
        check(len(flows) == 64 and sinks, "the flows stayed open")


for _profile in PROFILES:
    declare_discovery(_profile)


def declare_small_pool(profile):
    @story(f"U-13: profile {profile} is the same where half of the ports are in use, and 99 of 100", needs_masqgate=True)
    def tell(lab):
        config = configuration(profile)
        for rule in config["nat"]:
            rule["to_ports"] = "20000-21999"
        lab.masqgate.start(config)
        start_stun(lab)
        for used in (1000, 1965):  # and some for the questions themselves
            sinks = make_noise(lab, used)
            Questions(lab.alice).check(profile, f"with {used} of 2000 ports in use")
            for sink in sinks:
                sink.close()


for _profile in ("rfc", "symmetric"):
    declare_small_pool(_profile)


if __name__ == "__main__":
    main()
