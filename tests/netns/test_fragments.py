#!/usr/bin/env python3
"""M7, F, U-19, U-20: fragments through the router, as they come and put together."""
import itertools
import random
import socket
import struct
import threading

import lab as l
import router
import servers
from story import check, check_equal, main, story

SO_RCVBUFFORCE = 33  # which Python does not name
PIECE = 1400  # bytes of payload, a multiple of eight


def start(lab, together):
    lab.masqgate.start(router.configuration() | {"ip_always_defrag": together})
    for host in (lab.alice, lab.bob):  # few packets may wait for next hops
        host.run("ping", "-c", "5", "-i", "0.2", "-W", "5", l.INTERNET)


def raw_socket(host):
    with host.inside():
        return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)


def fragment(source, number, offset, more, content):
    """An IPv4 packet; Linux fills in lengths and checksum."""
    flags = (0x2000 if more else 0) | offset // 8
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, 0, number, flags, 64, socket.IPPROTO_UDP, 0,
                       socket.inet_aton(source), socket.inet_aton(l.INTERNET)) + content


def pieces(source, number, payload, port=9000):
    """The fragments of a UDP datagram to the server."""
    whole = struct.pack(">HHHH", 4000, port, 8 + len(payload), 0) + payload
    cuts = list(range(0, len(whole), PIECE))
    return [fragment(source, number, at, at != cuts[-1], whole[at:at + PIECE]) for at in cuts]


class Receiver:
    """Collects the datagrams that reach a port of the server."""

    def __init__(self, host, port=9000):
        with host.inside():
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind((l.INTERNET, port))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)  # the thread may come late
        self.got = []
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self):
        while True:
            self.got.append(self.socket.recv(65536))


def payload(number, size=8000):
    return bytes((number + i) % 251 for i in range(size))


@story("M7: datagrams of 8 kB and more pass both ways and in both families, put together or not", needs_masqgate=True)
def big(lab):
    for together in (False, True):
        start(lab, together)
        for address, family in ((l.INTERNET, socket.AF_INET), (l.INTERNET_6, socket.AF_INET6)):
            servers.UdpEcho(lab.server, address, 7000 + together)
            for size in (1472, 1473, 8000, 60000):
                sock = servers.udp_socket(lab.alice, family)
                check(servers.echoed(sock, (address, 7000 + together), b"x" * size),
                      f"{size} bytes to {address}, together: {together}")
        lab.masqgate.stop()


@story("M7, U-19: fragments in every order make the datagram that was sent", needs_masqgate=True)
def shuffled(lab):
    for together in (False, True):
        start(lab, together)
        receiver = Receiver(lab.server, 9000 + together)
        sender = raw_socket(lab.alice)
        expected = []
        for number, order in enumerate(itertools.permutations(range(4)), 1):
            content = payload(number, 5000)
            expected.append(content)
            all_pieces = pieces(l.ALICE, number, content, 9000 + together)
            check_equal(len(all_pieces), 4, "pieces")
            for place in order:
                sender.sendto(all_pieces[place], (l.INTERNET, 0))
        l.wait_until(lambda: len(receiver.got) >= len(expected), "all datagrams")
        check_equal(sorted(receiver.got), sorted(expected), "datagrams")
        lab.masqgate.stop()


@story("F-03, F-07: what overlaps never arrives, what came twice does, once", needs_masqgate=True)
def overlaps(lab):
    for together in (False, True):
        start(lab, together)
        receiver = Receiver(lab.server, 9000 + together)
        sender = raw_socket(lab.alice)
        good, twice, evil = (pieces(l.ALICE, n, payload(n, 3000), 9000 + together) for n in (1, 2, 3))
        lie = fragment(l.ALICE, 3, PIECE, True, b"!" * PIECE)
        for packet in (evil[0], evil[1], lie, evil[2], twice[0], twice[0], twice[1], twice[1], twice[2], *good):
            sender.sendto(packet, (l.INTERNET, 0))
        l.wait_until(lambda: payload(1, 3000) in receiver.got, "the good datagram")
        check_equal(sorted(receiver.got), sorted([payload(1, 3000), payload(2, 3000)]), f"together: {together}")
        drops = lab.masqgate.rest.get("/v1/drops")["drops"]
        check_equal(drops["fragment_overlap"], 2, "drops of overlapping fragments")
        lab.masqgate.stop()


@story("N-06: two hosts that use the same numbers towards the same server do not disturb each other",
       needs_masqgate=True)
def same_numbers(lab):
    for together in (False, True):
        start(lab, together)
        receiver = Receiver(lab.server, 9000 + together)
        one, other = raw_socket(lab.alice), raw_socket(lab.bob)
        expected = []
        for number in range(1, 51):
            contents = payload(number, 4000), payload(number + 100, 4000)
            expected += contents
            of_one = pieces(l.ALICE, number, contents[0], 9000 + together)
            of_other = pieces(l.BOB, number, contents[1], 9000 + together)
            for first, second in zip(of_one, of_other):
                one.sendto(first, (l.INTERNET, 0))
                other.sendto(second, (l.INTERNET, 0))
        l.wait_until(lambda: len(receiver.got) >= len(expected), "all datagrams")
        check_equal(sorted(receiver.got), sorted(expected), "datagrams")
        lab.masqgate.stop()


@story("U-20: a flood of fragments that belong to nothing costs others no datagram", needs_masqgate=True)
def flood(lab):
    for together in (False, True):
        start(lab, together)
        servers.UdpEcho(lab.server, l.INTERNET, 7000 + together)
        stop = threading.Event()
        sent = [0]

        def send(sender=raw_socket(lab.bob)):
            while not stop.is_set() and sent[0] < 100000:
                number, kind = random.randrange(65536), sent[0] % 2
                packet = fragment(l.BOB, number, 0 if kind else 8000, bool(kind), bytes(64))
                try:
                    sender.sendto(packet, (l.INTERNET, 0))
                except BlockingIOError:
                    continue
                sent[0] += 1
        flooding = threading.Thread(target=send)
        flooding.start()
        try:
            sock = servers.udp_socket(lab.alice)
            for size in [100, 4000] * 50:
                check(servers.echoed(sock, (l.INTERNET, 7000 + together), b"x" * size, tries=2),
                      f"{size} bytes, together: {together}, {sent[0]} fragments sent")
        finally:
            stop.set()
            flooding.join()
        check(sent[0] > 100, f"only {sent[0]} fragments were sent")
        lab.masqgate.stop()


if __name__ == "__main__":
    main()
