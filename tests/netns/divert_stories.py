"""What stories of diverted packets have in common: rules that divert, listeners, numbered packets."""
import os
import pathlib
import socket
import subprocess
import sys
import threading

import lab as l
import router as r
from story import check, check_equal

CLIENTS = pathlib.Path(__file__).resolve().parents[2] / "divert" / "python"
sys.path.insert(0, str(CLIENTS))
import masqgate_divert as divert  # pylint: disable=wrong-import-position

PORT = 2222
LISTENER = """
import sys
import masqgate_divert as divert
with divert.open(%d, retry=10) as d:
    print("ready", flush=True)
    for batch in d.batches():
        batch.accept()
""" % PORT


def start_with(lab, action, settings=None, **match):
    """The router with a first rule "look" in forward that does `action`; `settings` is the section "divert"."""
    config = r.configuration()
    config["firewall"]["forward"]["rules"].insert(0, {"id": "look", **match, "action": action})
    config["divert"] = settings or {}
    lab.masqgate.start(config)


def start(lab, action, access=(), **match):
    start_with(lab, {"divert": action}, {"access": list(access)}, **match)


def program(text=LISTENER, **how):
    """A listener in a process of its own; ready when it has said so."""
    process = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "PYTHONPATH": str(CLIENTS)}, **how)
    check_equal(process.stdout.readline(), "ready\n", "what the listener says")
    return process


def stop(process):
    process.kill()
    process.wait()


def state(lab):
    return lab.masqgate.rest.get("/v1/divert")


class Accepting(threading.Thread):
    """A listener in this process that does `what` with each packet."""

    def __init__(self, what, port=PORT, **options):
        super().__init__(daemon=True)
        self.what, self.seen = what, []
        self.listener = divert.open(port, retry=10, **options)
        self.start()

    def run(self):
        try:
            self.take_all()
        except (OSError, divert.Refused):
            pass  # closed

    def take_all(self):
        for packet in self.listener:
            self.seen.append(packet)
            self.what(packet)

    def close(self):
        self.listener.socket.shutdown(socket.SHUT_RDWR)
        self.join()
        self.listener.close()


def last_words(listener):
    """Why masqgate sends it away."""
    try:
        while listener._receive():
            pass
    except divert.Refused as refused:
        return str(refused)
    raise l.Failed("nothing was said")


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


EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"


def example(lab, name, *words, **environment):
    """An example's program, once it is there as a listener."""
    if name in os.environ:
        command = (os.environ[name],)
    elif name.endswith(".py"):
        command = (sys.executable, EXAMPLES / name)
    else:
        return None  # told by hand, without the build's environment
    before = len(state(lab)["listeners"])
    process = lab.router.start("env", "PYTHONUNBUFFERED=1", f"PYTHONPATH={CLIENTS}",
                               *(f"{k}={v}" for k, v in environment.items()), *map(str, command), *map(str, words))
    l.wait_until(lambda: len(state(lab)["listeners"]) > before or not process.running(), f"{name} to listen")
    check(process.running(), f"{name} ended: {process.output()}")
    return process
