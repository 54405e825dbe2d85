#!/usr/bin/env python3
"""Issue 6: shared memory (T2) with a program that works, dies, stops, and lies about what stands there."""
import mmap
import os
import signal
import socket
import struct

import lab as l
import servers
from divert_stories import PORT, send_numbers, start, state
from story import check, check_equal, main, story

SHARED, SEGMENTS, FRONT = 32, 4, 65536
HEAD, TAIL, STATE = 0, 128, 256  # of the words in front of a ring (divert/shared.hpp)


def accept_all(lab):
    process = lab.router.start(os.environ["ACCEPT_ALL"], str(PORT))
    process.wait_for("ready")
    return process


class Program:
    """The program's end of shared memory by hand, so that it can lie."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect("/run/masqgate/divert.sock")
        self.socket.settimeout(20)
        bind = struct.pack("<IHHHHhHIIII32s", 64, 18, 64, PORT, SHARED | SEGMENTS, 0, 1, 0, 0, 0, 1, b"by hand")
        self.socket.send(self.frame(0, bind))
        bound, descriptors, _, _ = socket.recv_fds(self.socket, 65536, 3)
        check_equal(struct.unpack_from("<H", bound, 16 + 10)[0], SHARED | SEGMENTS, "flags that are in force")
        self.theirs, self.ours, self.bell = descriptors
        self.reading = mmap.mmap(self.theirs, 0, prot=mmap.PROT_READ)
        self.writing = mmap.mmap(self.ours, 0)
        self.taken = self.said = self.sleeps = 0

    @staticmethod
    def frame(kind, *records):
        return struct.pack("<4sBBBBIHH", b"DVT1", 1, 0, kind, 0, 16 + sum(map(len, records)), len(records), 0) + b"".join(records)

    def packets(self):
        """Ids of the packets of the next frame; goes to sleep until there is one."""
        self.sleeps += 1  # each sleep is another one, so that masqgate wakes it once
        struct.pack_into("<I", self.writing, STATE, self.sleeps << 2 | 1)
        while struct.unpack_from("<Q", self.reading, HEAD)[0] == self.taken:
            self.socket.recv(65536)
        struct.pack_into("<I", self.writing, STATE, self.sleeps << 2)
        ring = len(self.reading) - FRONT
        at = lambda position: FRONT + position % ring
        length, count = struct.unpack_from("<IH", self.reading, at(self.taken) + 8)
        ids, position = [], self.taken + 16
        for _ in range(count):
            size, kind, _, number = struct.unpack_from("<IHHQ", self.reading, at(position))
            check_equal(kind, 1, "the record's type")
            ids.append(number)
            position += size
        self.taken += length
        return ids

    def done(self):
        struct.pack_into("<Q", self.writing, TAIL, self.taken)

    def say(self, frame, head=None):
        start = FRONT + self.said % (len(self.writing) - FRONT)
        self.writing[start:start + len(frame)] = frame
        self.said += len(frame)
        struct.pack_into("<Q", self.writing, HEAD, self.said if head is None else head)
        os.write(self.bell, struct.pack("=Q", 1))

    @staticmethod
    def accept(number):
        return struct.pack("<IHHQBBHIIIII", 40, 2, 40, number, 0, 0, 0, 0, 0, 0, 0, 0)

    def last_words(self):
        """Why masqgate ends the connection; bells are empty frames."""
        while datagram := self.socket.recv(65536):
            if len(datagram) > 16:
                return datagram[24:].rstrip(b"\0").decode()
        return ""

    def close(self):
        self.socket.close()
        for descriptor in (self.theirs, self.ours, self.bell):
            os.close(descriptor)


@story("R1: a program with shared memory is killed under load, another comes: no packet lost, none out of order",
       needs_masqgate=True)
def killed(lab):
    start(lab, PORT, protocol="udp")
    listeners = [accept_all(lab)]

    def kill():
        l.wait_until(lambda: state(lab)["listeners"][0]["delivered"] > 300, "packets to be delivered")
        os.kill(listeners[0].pid, signal.SIGSTOP)  # so that it has packets in its hands
        l.wait_until(lambda: state(lab)["ports"][0]["held"] > 50, "packets to wait")
        listeners[0].kill()
        listeners.append(accept_all(lab))

    check_equal(send_numbers(lab, 3000, kill), list(range(3000)), "what arrived")
    port = state(lab)["ports"][0]
    check(port["redelivered"] > 0 and port["deaths"] == 1, f"nothing was redelivered: {port}")
    listeners[1].kill()


@story("R2: a program with shared memory that is stopped stops nobody else, and goes on when it may", needs_masqgate=True)
def stopped(lab):
    start(lab, PORT, protocol="udp")
    servers.Http(lab.server, page=b"x" * 100000)
    listener = accept_all(lab)
    os.kill(listener.pid, signal.SIGSTOP)
    got = send_numbers(lab, 20000, lambda: [
        check_equal(len(lab.alice.run("curl", "-sS", "--max-time", "5", f"http://{l.SERVER}/").stdout), 100000, "page")
        for _ in range(5)], pause=0)
    check_equal(got, [], "what arrived")
    check_equal(lab.masqgate.rest.get("/v1/drops")["drops"]["no_frames"], 0, "packets without a frame")
    os.kill(listener.pid, signal.SIGCONT)
    l.wait_until(lambda: state(lab)["ports"][0]["held"] == 0, "what waited to be over")
    check_equal(send_numbers(lab, 20, lambda: None), list(range(20)), "afterwards")
    listener.kill()


@story("D3: a program in C++ passes pages by shared memory, more of them than the memory holds", needs_masqgate=True)
def pages(lab):
    start(lab, PORT)
    servers.Http(lab.server, page=b"x" * 6_000_000)
    listener = accept_all(lab)
    page = lab.alice.run("curl", "-sS", "--max-time", "60", f"http://{l.SERVER}/").stdout
    check_equal(len(page), 6_000_000, "bytes of the page")
    row = state(lab)["listeners"][0]
    check(row["accepted"] > 40 and row["delivered_bytes"] > 6_000_000, f"the listener: {row}")
    listener.kill()


@story("D3: shared memory by its description alone: packets come, verdicts go, and the memory cannot be written",
       needs_masqgate=True)
def by_hand(lab):
    start(lab, PORT, protocol="icmp")
    program = Program()
    try:
        mmap.mmap(program.theirs, 0)
        raise l.Failed("masqgate's memory can be written")
    except PermissionError:
        pass
    for descriptor in (program.theirs, program.ours):
        try:
            os.ftruncate(descriptor, 4096)
            raise l.Failed("memory was made shorter")
        except PermissionError:
            pass
    ping = lab.alice.start("ping", "-c", "3", "-i", "0.2", l.SERVER)
    answered = 0
    while answered < 6:  # some may share a frame
        for number in program.packets():
            program.say(program.frame(2, program.accept(number)))
            answered += 1
        program.done()
    ping.wait()
    check("3 received" in ping.output(), f"the ping: {ping.output()}")
    program.close()


LIES = {
    "a head far ahead": lambda p: p.say(b"", head=1 << 40),
    "a head behind": lambda p: p.say(b"", head=(1 << 64) - 8),
    "a frame longer than what is there": lambda p: p.say(struct.pack("<4sBBBBIHH", b"DVT1", 1, 0, 2, 0, 4096, 1, 0)),
    "a frame without an end": lambda p: p.say(struct.pack("<4sBBBBIHH", b"DVT1", 1, 0, 2, 0, 0xffffffff, 1, 0)),
    "a length that is no multiple of eight": lambda p: p.say(struct.pack("<4sBBBBIHH", b"DVT1", 1, 0, 2, 0, 17, 0, 0) + bytes(8)),
    "rubbish": lambda p: p.say(b"rubbish!" * 4),
    "another magic": lambda p: p.say(struct.pack("<4sBBBBIHH", b"DVT2", 1, 0, 2, 0, 16, 0, 0)),
    "a record that is too long": lambda p: p.say(p.frame(2, struct.pack("<IHH", 4096, 2, 40) + bytes(32))),
}


@story("R5: whatever a program writes into shared memory ends its own connection, with a sentence, and nothing else",
       needs_masqgate=True)
def lies(lab):
    start(lab, PORT, protocol="icmp")
    for number, (name, lie) in enumerate(LIES.items()):
        program = Program()
        lie(program)
        words = program.last_words()
        check(len(words) > 8, f"{name}: masqgate said {words!r}")
        l.wait_until(lambda: not state(lab)["listeners"], f"{name}: the listener to be gone")
        check_equal(state(lab)["ports"][0]["attached"], number + 1, f"{name}: listeners so far")
        program.close()
    honest = accept_all(lab)
    lab.alice.run("ping", "-c", "2", l.SERVER)
    honest.kill()


@story("R5: a program that takes back what it has taken, or bells without end, harms itself only", needs_masqgate=True)
def nonsense(lab):
    start(lab, PORT, protocol="icmp")
    program = Program()
    ping = lab.alice.start("ping", "-c", "2", "-W", "5", l.SERVER)
    program.packets()
    struct.pack_into("<Q", program.writing, TAIL, 1 << 50)  # more than there ever was
    for _ in range(1000):
        os.write(program.bell, struct.pack("=Q", 1))
    ping.kill()
    lab.alice.run("ping", "-c", "1", "-W", "1", l.SERVER, check=False)
    l.wait_until(lambda: not state(lab)["listeners"], "the listener to be gone")
    program.close()
    honest = accept_all(lab)
    lab.alice.run("ping", "-c", "2", l.SERVER)
    honest.kill()


if __name__ == "__main__":
    main()
