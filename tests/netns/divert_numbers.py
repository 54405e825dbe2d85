"""Numbered packets, which show what was lost and what came out of order while something happened to a program."""
import sys

import lab as l


def state(lab):
    return lab.masqgate.rest.get("/v1/divert")


NUMBERS = """
import socket, struct, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
count, pause = int(sys.argv[3]), float(sys.argv[4])
for i in range(count):
    s.sendto(struct.pack("!I", i), (sys.argv[1], int(sys.argv[2])))
    if i % 8 == 7: time.sleep(pause)
"""

COLLECT = """
import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
s.bind(("", int(sys.argv[1])))
print("ready", flush=True)
got = []
while len(got) < int(sys.argv[2]):
    s.settimeout(5)
    try: got.append(struct.unpack("!I", s.recv(64))[0])
    except TimeoutError: break
print(" ".join(map(str, got)), flush=True)
"""


def send_numbers(lab, count, during, pause=0.001):
    """What arrives of so many numbered packets, while `during` happens."""
    lab.alice.run("ping", "-c", "1", l.SERVER)  # few packets wait for a neighbour that is not known yet
    collector = lab.server.start(sys.executable, "-c", COLLECT, "9000", str(count))
    collector.wait_for("ready")
    sender = lab.alice.start(sys.executable, "-c", NUMBERS, l.SERVER, "9000", str(count), str(pause))
    during()
    sender.wait()
    collector.wait()
    return [int(n) for n in collector.output().split()[1:]]
