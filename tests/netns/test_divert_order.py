#!/usr/bin/env python3
"""Issue 6: in which order, with which addresses and how whole diverted packets reach real programs, and leave them."""
import pathlib
import socket
import sys
import threading

import lab as l
import router as r
from story import check, check_equal, main, story

CLIENTS = pathlib.Path(__file__).resolve().parents[2] / "divert" / "python"
sys.path.insert(0, str(CLIENTS))
import masqgate_divert as divert  # pylint: disable=wrong-import-position

PORT = 2222
TIMEOUT = 10


def start(lab, action, **match):
    config = r.configuration()
    config["firewall"]["forward"]["rules"].insert(0, {"id": "look", **match, "action": action})
    lab.masqgate.start(config)


class Program(threading.Thread):
    """A listener in this process; `what` gets the packets that have come since the last call."""

    def __init__(self, what, **options):
        super().__init__(daemon=True)
        self.what, self.seen = what, []
        self.listener = divert.open(PORT, retry=10, **options)
        self.start()

    def run(self):
        try:
            for batch in self.listener.batches():
                self.seen += list(batch)
                self.what(list(batch))
        except (OSError, divert.Refused):
            pass  # closed

    def close(self):
        self.listener.socket.shutdown(socket.SHUT_RDWR)
        self.join()
        self.listener.close()


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
    ping = ("ping", "-c", "1", "-W", str(TIMEOUT), l.SERVER)
    inside, outside, server = l.ALICE, l.ROUTER_WAN, l.SERVER
    wanted = {"chain": {(inside, server), (server, inside)},
              "before": {(inside, server), (server, outside)},
              "after": {(outside, server), (server, inside)}}
    for view, addresses in wanted.items():
        start(lab, {"divert": {"port": PORT, "view": view}}, protocol="icmp")
        program = Program(lambda packets: [p.accept() for p in packets])
        lab.alice.run(*ping)
        check_equal({(str(p.src), str(p.dst)) for p in program.seen}, addresses, f"what view {view} shows")
        program.close()
        lab.masqgate.stop()


@story("D1: a copy as the packet leaves, for a program that only looks", needs_masqgate=True)
def copies(lab):
    start(lab, {"tee": {"port": PORT, "view": "after"}}, protocol="icmp")
    program = Program(lambda packets: None, tee=True)
    lab.alice.run("ping", "-c", "1", "-W", str(TIMEOUT), l.SERVER)
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
            ping = ("ping", "-c", "1", "-W", str(TIMEOUT), server)
            # Addresses are new after a start, and the first fragments of all would wait for a next hop.
            l.wait_until(lambda ping=ping: lab.alice.run(*ping, "-W", "1", check=False).returncode == 0, "an answer")
            program.seen.clear()
            lab.alice.run(*ping, "-s", "4000")
            whole_ones = [p for p in program.seen if p.length == 4000 + header]
            pieces = [p for p in program.seen if p.flags & divert.FRAGMENT]
            check_equal((len(whole_ones), len(pieces)), (2, 0) if defragment else (0, 6), f"{server}, {defragment}")
            check(all(p.flags & divert.REASSEMBLED for p in whole_ones), "not marked as put together")
        program.close()
        lab.masqgate.stop()


if __name__ == "__main__":
    main()
