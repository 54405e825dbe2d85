#!/usr/bin/env python3
"""Issue 6: in which order, with which addresses and how whole diverted packets reach real programs, and leave them."""
import sys

import lab as l
import router as r
from divert_stories import PORT, Accepting, divert
from divert_stories import start_with as start
from story import check, check_equal, main, story

TIMEOUT = 10


class Program(Accepting):
    """`what` gets the packets that have come since the last call."""

    def take_all(self):
        for batch in self.listener.batches():
            self.seen += list(batch)
            self.what(list(batch))


class Backwards:
    """Waits for so many packets of the flow, and answers the last one first."""

    def __init__(self, count):
        self.count, self.waiting = count, []

    def __call__(self, packets):
        self.waiting += packets
        if len(self.waiting) >= self.count:
            for packet in reversed(self.waiting):
                packet.accept()
            self.waiting = []


def answered(lab, program, *words):
    """Pings until there is an answer; the program has then seen that ping alone."""
    def once():
        program.seen.clear()
        return lab.alice.run("ping", "-c", "1", "-W", "2", *words, check=False).returncode == 0
    l.wait_until(once, "an answer", timeout=30)


SEND = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(int(sys.argv[3])):
    s.sendto(str(i).encode(), (sys.argv[1], int(sys.argv[2])))
"""
RECEIVE = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", int(sys.argv[1])))
print("ready", flush=True)
for i in range(int(sys.argv[2])):
    print(s.recv(64).decode(), end=" ", flush=True)
print("done", flush=True)
"""


def arrival(lab, count):
    """In which order so many numbered packets arrive."""
    receiver = lab.server.start(sys.executable, "-c", RECEIVE, "9000", str(count))
    receiver.wait_for("ready")
    lab.alice.run(sys.executable, "-c", SEND, l.SERVER, "9000", str(count))
    receiver.wait_for("done")
    return [int(word) for word in receiver.output().split()[1:-1]]


@story("D2: answered backwards, packets of a flow arrive as they were sent if the program asked for that",
       needs_masqgate=True)
def in_order(lab):
    start(lab, {"divert": {"port": PORT, "deadline_ms": 30000}}, protocol="udp")
    lab.alice.run("ping", "-c", "1", l.SERVER)  # the next hop is known
    count = 6
    for ordered in (True, False):
        program = Program(Backwards(count), ordered=ordered)
        check_equal(program.listener.bound[4] & divert.BIND_ORDERED, divert.BIND_ORDERED if ordered else 0, "bound")
        numbers = list(range(count))
        check_equal(arrival(lab, count), numbers if ordered else numbers[::-1], f"arrival, ordered={ordered}")
        program.close()


@story("D1: the same ping before and behind translation; whatever the program is shown, it is answered",
       needs_masqgate=True)
def views(lab):
    inside, outside, server = l.ALICE, l.ROUTER_WAN, l.SERVER
    wanted = {"chain": {(inside, server), (server, inside)},
              "before": {(inside, server), (server, outside)},
              "after": {(outside, server), (server, inside)}}
    for view, addresses in wanted.items():
        start(lab, {"divert": {"port": PORT, "view": view}}, protocol="icmp")
        program = Program(lambda packets: [p.accept() for p in packets])
        answered(lab, program, l.SERVER)
        check_equal({(str(p.src), str(p.dst)) for p in program.seen}, addresses, f"what view {view} shows")
        program.close()
        lab.masqgate.stop()


@story("D1: a copy as the packet leaves, for a program that only looks", needs_masqgate=True)
def copies(lab):
    start(lab, {"tee": {"port": PORT, "view": "after"}}, protocol="icmp")
    program = Program(lambda packets: None, tee=True)
    answered(lab, program, l.SERVER)
    l.wait_until(lambda: len(program.seen) == 2, "copies of question and answer")
    check_equal(str(program.seen[0].src), l.ROUTER_WAN, "the source of the first")
    check(all(p.is_copy for p in program.seen), "not marked as copies")
    program.close()


@story("D1: large pings come whole to the program where the rule wants that, of both families, and arrive",
       needs_masqgate=True)
def whole(lab):
    for defragment in (False, True):
        start(lab, {"divert": {"port": PORT, "defragment": defragment}})
        program = Program(lambda packets: [p.accept() for p in packets])
        for server, header in ((l.SERVER, 28), (l.SERVER_6, 48)):
            answered(lab, program, server)  # the next hop is known
            answered(lab, program, "-s", "4000", server)
            whole_ones = [p for p in program.seen if p.length == 4000 + header]
            pieces = [p for p in program.seen if p.flags & divert.FRAGMENT]
            check_equal((len(whole_ones), len(pieces)), (2, 0) if defragment else (0, 6), f"{server}, {defragment}")
            check(all(p.flags & divert.REASSEMBLED for p in whole_ones), "not marked as put together")
        program.close()
        lab.masqgate.stop()


GREET = """
import socket, sys
with socket.create_server(("", int(sys.argv[1]))) as server:
    print("ready", flush=True)
    while True: server.accept()[0].sendall(b"hello")
"""
CALL = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3])) as s:
    print(s.recv(5).decode())
"""


@story("complaint 6: rules divert everything to a program that is not there, and the router can still be managed",
       needs_masqgate=True)
def management(lab):
    config = r.configuration()
    for chain in ("prerouting", "input", "output", "postrouting"):
        config["firewall"][chain] = {"rules": [{"id": "look", "protocol": "tcp", "action": {"divert": PORT}}]}
    lab.masqgate.start(config)
    for port in ("22", "23"):
        lab.router.start(sys.executable, "-c", GREET, port).wait_for("ready")
    call = (sys.executable, "-c", CALL, l.ROUTER_LAN)
    check_equal(lab.alice.run(*call, "22", str(TIMEOUT)).stdout.strip(), "hello", "port 22")
    check(lab.alice.run(*call, "23", "1.5", check=False).returncode != 0, "port 23 answered")


@story("4.7: packets that are held when masqgate stops are accounted for", needs_masqgate=True)
def stopped(lab):
    start(lab, {"divert": {"port": PORT, "deadline_ms": 30000}}, protocol="icmp")
    program = Program(lambda packets: None)
    lab.alice.run("ping", "-c", "2", "-i", "0.2", "-W", "1", l.SERVER, check=False)
    l.wait_until(lambda: lab.masqgate.rest.get("/v1/divert")["held"] == 2, "two packets to be held")
    log = lab.masqgate.process
    lab.masqgate.stop()
    check("were dropped because masqgate stops PACKETS=2" in log.output(), log.output())
    program.close()


if __name__ == "__main__":
    main()
