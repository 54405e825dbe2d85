#!/usr/bin/env python3
"""Issue 6: complaints of other systems' users, and rows of the classic divert sockets' table, that need real hosts."""
import os
import socket
import sys

import lab as l
import router as r
from divert_stories import PORT, divert, last_words, program, send_numbers, start, state, stop
from story import check, check_equal, main, story

# A program of old in Python, opened as FreeBSD does; sin_port is shown in the host's order.
CLASSIC = """
import ctypes, os, socket, sys
PORT, SERVER, OURS = int(sys.argv[1]), sys.argv[2], sys.argv[3]
def divert_socket():
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, 0, fileno=ctypes.CDLL(None).socket(44, 3, 0))
def ping(source, target):
    head = bytes.fromhex("4500001c000100004001") + bytes(2) + socket.inet_aton(source) + socket.inet_aton(target)
    return head + bytes.fromhex("0800000000000007")
s = divert_socket()
"""
ECHO_REQUESTS = {"protocol": "icmp", "icmp_type": ["8"]}


def classic(lab, text):
    """Starts it, or says None where the story is told without the build's environment."""
    if "DIVERT_PRELOAD" not in os.environ:
        return None
    process = lab.router.start("env", "LD_PRELOAD=" + os.environ["DIVERT_PRELOAD"], "PYTHONUNBUFFERED=1",
                               sys.executable, "-c", CLASSIC + text, PORT, l.SERVER, l.ROUTER_WAN)
    l.wait_until(lambda: state(lab)["listeners"] or not process.running(), "the program to listen")
    return process


def look(lab, **chains):
    """Echo requests are diverted, in each chain by its rule at that position."""
    config = r.configuration()
    for chain, position in chains.items():
        rules = config["firewall"].setdefault(chain, {"rules": []})["rules"]
        rules[:0] = [*({"id": f"before{i}", "protocol": "tcp", "action": "continue"} for i in range(1, position)),
                     {"id": "look", **ECHO_REQUESTS, "action": {"divert": {"port": PORT, "deadline_ms": 200}}}]
    lab.masqgate.start(config)


@story("F1: recvfrom() gives the rule's position and the address of the interface that a packet came in by, none on "
       "its way out", needs_masqgate=True)
def addresses(lab):
    look(lab, input=1, forward=3, output=2)
    process = classic(lab, """
s.bind(("9.9.9.9", PORT))  # only the port counts
while True:
    packet, (address, port) = s.recvfrom(65535)
    print(address, socket.ntohs(port))
    s.sendto(packet, (address, port))
""")
    if process is None:
        return
    for host, whom, expected in ((lab.alice, l.SERVER, f"{l.ROUTER_LAN} 3"),
                                 (lab.alice, l.ROUTER_LAN, f"{l.ROUTER_LAN} 1"),
                                 (lab.carol, l.SERVER, f"{l.ROUTER_LAN2} 3"), (lab.router, l.SERVER, "0.0.0.0 2")):
        before = len(process.output())
        host.run("ping", "-c", "1", "-W", "5", whom)
        check_equal(process.output()[before:], expected + "\n", f"what it says of a ping to {whom}")


@story("F1: silence drops; who sends to no address sends a new packet; a stranger may not bind", needs_masqgate=True)
def silence(lab):
    look(lab, forward=1)
    seen = l.Capture(lab.server, "eth0", "icmp[0] == 8")
    process = classic(lab, """
s.bind(("0.0.0.0", PORT))
if os.fork() == 0:
    os.setgroups([]), os.setuid(65534)
    try: divert_socket().bind(("0.0.0.0", PORT))
    except OSError as error: print("error", error.errno)
    os._exit(0)
s.recvfrom(65535)
s.send(ping(OURS, SERVER))
s.recv(100)
""")
    if process is None:
        return
    process.wait_for("error 13")
    check(lab.alice.run("ping", "-c", "1", "-W", "1", l.SERVER, check=False).returncode != 0, "it passed in silence")
    l.wait_until(lambda: lab.masqgate.rest.get("/v1/drops")["drops"]["divert_late"] == 1, "its deadline")
    l.wait_until(lambda: len(seen.packets()) == 1, "the new packet")
    check_equal(len(seen.stop().packets("icmp[4:2] == 0 and icmp[6:2] == 7")), 1, "the new packet")


@story("F2, complaint 3: a program of old changes a packet: its mark still chooses its route", needs_masqgate=True)
def marked(lab):
    config = r.configuration()
    config["firewall"] = {"prerouting": {"rules": [
        {"id": "tag", "in": "lan", "protocol": "udp", "action": {"mark": "0x7/0xff"}},
        {"id": "look", "in": "lan", "protocol": "udp", "action": {"divert": PORT}}]}}
    lab.masqgate.start(config)
    lab.router.ip("rule add fwmark 7/0xff lookup 100", f"route add {l.INTERNET} via {l.CAROL} table 100")
    process = classic(lab, """
s.bind(("0.0.0.0", PORT))
while True:
    packet, address = s.recvfrom(65535)
    s.sendto(packet.replace(b"question", b"anything"), address)
""")
    if process is None:
        return
    ports = "udp port 9001 or udp port 9002"
    seen, wrong = l.Capture(lab.carol, "eth0", ports), l.Capture(lab.server, "eth0", ports)

    def ask(port):
        lab.alice.run(sys.executable, "-c",
                      f"import socket; socket.socket(2, 2).sendto(b'question', ('{l.INTERNET}', {port}))")
        return seen.packets(f"udp port {port}")
    l.wait_until(lambda: ask(9001), "masqgate to hear of the rule")
    l.wait_until(lambda: ask(9002), "packets at the other router")
    text = "".join(seen.stop().packets("udp port 9002", "-A"))
    check("anything" in text and "question" not in text, f"not changed: {text}")
    check_equal(wrong.stop().packets("udp port 9002"), [], "packets on the usual way")


@story("complaint 10: frames without records are nothing; one that is too long ends its connection, with a reason",
       needs_masqgate=True)
def frames(lab):
    start(lab, PORT, protocol="icmp")
    good, bad = program(), divert.open(PORT, priority=-1)
    for _ in range(100):
        bad.socket.send(divert._frame(divert.VERDICTS, []))
    bad.socket.send(divert._frame(divert.VERDICTS, [divert.verdict(12345, divert.ACCEPT)]))
    l.wait_until(lambda: bad._receive() and bad.notices, "an answer behind the empty frames")
    check_equal([notice.id for notice in bad.notices], [12345], "notices")
    bad.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    bad.socket.send(divert._frame(divert.VERDICTS, [divert.verdict(1, divert.ACCEPT, data=bytes(60000))] * 2))
    words = last_words(bad)
    check("length" in words, f"the reason: {words}")
    bad.close()
    lab.alice.run("ping", "-c", "2", l.SERVER)
    stop(good)


@story("complaint 11: a tee's program that is stuck holds nothing up, and what it missed is counted",
       needs_masqgate=True)
def stuck_tee(lab):
    config = r.configuration()
    config["firewall"]["forward"]["rules"].insert(0, {"id": "look", "protocol": "udp", "action": {"tee": PORT}})
    config["divert"] = {"packets": 64}
    lab.masqgate.start(config)
    with divert.open(PORT, tee=True) as stuck:
        check_equal(send_numbers(lab, 2000, lambda: None), list(range(2000)), "what arrives")
        seen = []

        def are_accounted_for():
            while batch := stuck.take():
                seen.append(len(batch))
            return sum(seen) + state(lab)["listeners"][0]["lost"] == 2000
        l.wait_until(are_accounted_for, "its copies, and the number of those that it missed")


if __name__ == "__main__":
    main()
