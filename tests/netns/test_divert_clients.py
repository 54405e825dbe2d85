#!/usr/bin/python3
"""Issue 6: the clients as somebody has them who has installed masqgate and knows its documentation only.

Debian's Python, because pip and scapy of its packages are for that one.
"""
import os
import re
import shutil
import subprocess
import sys

import lab as l
import router as r
import servers
from divert_stories import CLIENTS, PORT, example, send_numbers, start, state
from story import check, check_equal, main, story


class Installed:
    """The client libraries in a folder of their own, as `meson install` puts them there, and nothing else."""

    def __init__(self, lab):
        self.root = lab.directory / "installed"
        subprocess.run(["meson", "install", "-C", os.environ["MASQGATE_BUILD"], "--no-rebuild", "--quiet",
                        "--tags", "divert,devel", "--destdir", self.root], check=True)
        self.libraries, self.python, self.text, self.examples = (
            self.only(name).parent for name in ("libmasqgate-divert.so", "masqgate_divert", "divert.md", "first.c"))
        self.work = lab.directory / "work"
        self.work.mkdir()
        self.environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(self.python), "PYTHONUNBUFFERED": "1",
                            "LD_LIBRARY_PATH": str(self.libraries), "PKG_CONFIG_SYSROOT_DIR": str(self.root),
                            "PKG_CONFIG_PATH": str(self.libraries / "pkgconfig")}

    def only(self, name):
        return next(self.root.rglob(name))

    def shell(self, command):
        done = subprocess.run(["bash", "-euc", command], cwd=self.work, env=self.environment, text=True,
                              capture_output=True, check=False)
        check_equal(done.returncode, 0, f"status of {command}\n{done.stdout}{done.stderr}")
        return done.stdout

    def build(self, command):
        """Builds as the documentation says; warnings are errors, and all headers are the installed ones."""
        # GCC 12 with sanitizers warns of recycled coroutine frames wrongly.
        quiet = "-Wno-mismatched-new-delete" if "g++" in command else ""
        self.shell(f"{command} -Wall -Wextra -Werror {quiet} {os.environ.get('SANITIZE', '')}")
        headers = self.shell(re.sub(r" -o \S+", " -M", command)).replace("\\\n", " ").split()
        ours = [header for header in headers if "masqgate" in header]
        check(ours and all(header.startswith(str(self.root)) for header in ours), f"headers: {ours}")

    def first_programs(self):
        """The command that runs each program of the documentation's section; how it is built stands in front of it."""
        section = (self.text / "divert.md").read_text().split("## A first program\n")[1].split("\n## ")[0]
        for command, text in re.findall(r"\(`([^` ]+ [^`]+)`[^)]*\):\n\n((?:    .*\n|\n)+)", section):
            words = command.split()
            (self.work / words[2 if words[1].startswith("-") else 1]).write_text(re.sub("(?m)^    ", "", text))
            if words[0] != "python3":
                self.build(command)
                words = ["./" + words[words.index("-o") + 1]]
            yield words

    def start(self, lab, *words, **environment):
        settings = {**self.environment, **environment}
        before = len(state(lab)["listeners"])
        process = lab.router.start("env", "-i", f"--chdir={self.work}", *(f"{k}={v}" for k, v in settings.items()),
                                   *words)
        l.wait_until(lambda: len(state(lab)["listeners"]) > before or not process.running(), "the program to listen")
        check(process.running(), f"it ended: {process.output()}")
        return process


def installed_story(name):
    """A story about what meson has built; without the build's environment, by hand, there is nothing to tell."""
    def declare(function):
        def tell(lab):
            if "MASQGATE_BUILD" in os.environ:
                function(lab, Installed(lab))
        return story(name, needs_masqgate=True)(tell)
    return declare


@installed_story("D4: the documentation's first programs, built as it says from what is installed, let pings pass and "
                 "end when masqgate does")
def first_programs(lab, installed):
    start(lab, PORT, protocol="icmp")
    programs = list(installed.first_programs())
    check_equal([words[-1] for words in programs], ["first.py", "./first", "./first_in_c", "./classic"], "shown")
    for words in programs:
        process = installed.start(lab, *words)
        lab.alice.run("ping", "-c", "2", l.SERVER)
        check_equal(state(lab)["listeners"][0]["accepted"], 4, f"what {words} accepted")
        process.kill()
        l.wait_until(lambda: not state(lab)["listeners"], "it to be gone")
    processes = [installed.start(lab, *words) for words in programs]
    lab.masqgate.stop()
    for process in processes:
        process.wait()


@installed_story("D4: what is installed runs a program of old, preloaded, and the other examples build")
def preloaded(lab, installed):
    for example in installed.examples.glob("*.c*"):
        shutil.copy(example, installed.work)
        compiler, library = ("cc", "-c") if example.suffix == ".c" else ("g++ -std=c++20", "")
        command = f"{compiler} {example.name} -o {example.stem} $(pkg-config --cflags --libs masqgate-divert{library})"
        (installed.shell if "classic" in example.stem else installed.build)(command)
    config = r.configuration()
    config["nat"] = []
    config["firewall"] = {"prerouting": {"rules": [{"id": "in", "in": "wan", "action": {"divert": 8668}},
                                                   {"id": "out", "in": "lan", "action": {"divert": 8669}}]}}
    lab.masqgate.start(config)
    web = servers.Http(lab.server, page=b"x" * 5000)
    # In front of it only what sanitizers need.
    preloads = [*os.environ["DIVERT_PRELOAD"].split(":")[:-1], "libmasqgate-divert-preload.so"]
    installed.start(lab, "./natd_classic", l.ROUTER_WAN, "8668", "8669", LD_PRELOAD=":".join(preloads))
    l.wait_until(lambda: len(state(lab)["listeners"]) == 2, "both sockets")
    page = lab.alice.run("curl", "-sS", "--max-time", "20", f"http://{l.SERVER}/").stdout
    check_equal((len(page), {peer[0] for peer in web.peers}), (5000, {l.ROUTER_WAN}), "page, and who asked")


USES_PACKAGE = """
import importlib.metadata, sys
import masqgate_divert as divert
print(importlib.metadata.version("masqgate-divert"), divert.__file__, flush=True)
with divert.open(%d) as d:
    for p in d: p.accept()
""" % PORT


@installed_story("U1: the Python package goes into a virtual environment by pip, without network and compiler")
def by_pip(lab, installed):
    start(lab, PORT, protocol="icmp")
    shutil.copytree(CLIENTS, installed.work / "python", ignore=shutil.ignore_patterns("build", "*.egg-info"))
    # pip and setuptools are those of the system; the package is not, as PYTHONPATH does not tell of it.
    del installed.environment["PYTHONPATH"]
    installed.shell(f"{sys.executable} -m venv --system-site-packages --without-pip venv; venv/bin/python -m pip "
                    "install --quiet --no-build-isolation --no-index --no-cache-dir ./python; rm -r python")
    process = installed.start(lab, "venv/bin/python", "-c", USES_PACKAGE)
    lab.alice.run("ping", "-c", "2", l.SERVER)
    version, file = process.output().split()
    check_equal(version, installed.shell("pkg-config --modversion masqgate-divert").strip(), "its version")
    check(file.startswith(str(installed.work / "venv")), f"used was {file}")
    check_equal(state(lab)["listeners"][0]["accepted"], 4, "accepted")


@story("D4: packets beside timers in one loop of Asio; a program that is told to end lets pass what it has, and the next "
       "one gets the rest", needs_masqgate=True)
def in_asio(lab):
    start(lab, PORT, protocol="udp")
    first = example(lab, "ASIO_LISTENER", PORT, 60)
    if first is None:
        return  # told by hand, without the build's environment

    def replace():
        l.wait_until(lambda: state(lab)["listeners"][0]["accepted"] > 100, "verdicts")
        check(state(lab)["ports"][0]["held"] > 0, "nothing waits for its timer")
        second = example(lab, "ASIO_LISTENER", PORT, 0)
        check_equal((first.stop(), "packets" in first.output()), (0, True), "how it ends")
        check(second.running(), "the second one ended")
    got = send_numbers(lab, 2000, replace)
    check_equal(sorted(got), list(range(2000)), "what arrives")
    port = state(lab)["ports"][0]
    check_equal((port["deaths"], port["redelivered"]), (0, 0), "deaths")
    check(state(lab)["listeners"][0]["accepted"] > 100, "the second one got nothing")


DNS_SERVER = r"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 53))
print("ready", flush=True)
while True:
    query, client = s.recvfrom(2000)
    s.sendto(query[:2] + bytes.fromhex("81800001000100000000") + query[12:query.index(b"\0", 12) + 5] +
             bytes.fromhex("c00c000100010000003c00040a0a0a0a"), client)
"""


@story("D4: scapy edits an answer of DNS, in a packet of another length, and the client believes it", needs_masqgate=True)
def scapy_edit(lab):
    start(lab, 2225, protocol="udp", source_port="53")
    lab.server.start(sys.executable, "-c", DNS_SERVER).wait_for("ready")
    editor = example(lab, "scapy_edit.py", "bank.example", "10.9.8.7")

    def ask(name):
        return lab.alice.run("dig", "+short", "+time=5", "+noedns", f"@{l.SERVER}", name).stdout.strip()
    check_equal((ask("bank.example"), ask("other.example")), ("10.9.8.7", "10.10.10.10"), "answers")
    editor.wait_for(f"bank.example. is 10.9.8.7 for {l.ALICE}")


SNIFF = """
import sys
from scapy.all import ICMP, IP, IPv6, sniff
from masqgate_divert.scapy import ScapySocket
def edit(packet):
    print(packet.sniffed_on, packet.diverted.in_if, packet.summary(), flush=True)
    if ICMP in packet and packet[ICMP].type == 8 and packet[ICMP].seq != 3:
        packet.ttl = 9
        s.send(packet)
        if packet[ICMP].seq == 2:
            s.send(IP(src="203.0.113.2", dst=packet.dst, ttl=77) / ICMP(id=7, seq=7))
    elif ICMP in packet and packet[ICMP].type == 8:
        packet.diverted.drop()
with ScapySocket(2222, options=["in_if"], permissions=["inject"]) as s:
    sniff(opened_socket=s, prn=edit, store=False)
"""


def listening(lab, text, sockets=1):
    process = lab.router.start("env", f"PYTHONPATH={CLIENTS}", sys.executable, "-c", text)
    l.wait_until(lambda: len(state(lab)["listeners"]) == sockets or not process.running(), "scapy to listen")
    check(process.running(), process.output())
    return process


@story("D4: scapy sniffs diverted packets of both families; send() is a verdict, and afterwards a new packet; silence "
       "lets pass", needs_masqgate=True)
def scapy_sniffs(lab):
    start(lab, PORT)
    seen = l.Capture(lab.server, "eth0", "icmp[0] == 8")
    scapy = listening(lab, SNIFF)
    pings = lab.alice.run("ping", "-c", "4", "-i", "0.2", "-W", "2", l.SERVER, check=False).stdout
    check_equal([int(part.split()[0]) for part in pings.split("icmp_seq=")[1:]], [1, 2, 4], "what was answered")
    lab.alice.run("ping", "-c", "2", l.SERVER_6)
    ttls = [part.split(",")[0] for line in seen.stop().packets("", "-v") for part in line.split("ttl ")[1:]]
    check_equal(ttls, ["9", "9", "77", "9"], "hop limits at the server")
    scapy.wait_for("socket0 lan IPv6")
    lab.masqgate.stop()
    scapy.wait()  # the end of the stream ends sniff()


BRIDGE = """
from scapy.all import ICMP, IP, bridge_and_sniff
from masqgate_divert.scapy import ScapySocket
def out(packet):
    if ICMP not in packet or packet[ICMP].seq % 2:
        return False
    return IP(src=packet.src, dst=packet.dst, ttl=33) / ICMP(id=packet[ICMP].id, seq=packet[ICMP].seq) / b"anew"
with ScapySocket(2222, default="drop") as one, ScapySocket(2223, default="drop") as other:
    bridge_and_sniff(one, other, xfrm12=out, store=False)
"""


@story("D4: scapy bridges two ports: what is let pass, or built anew, goes on where it came from; the rest is dropped",
       needs_masqgate=True)
def scapy_bridges(lab):
    config = r.configuration()
    config["firewall"]["forward"]["rules"][:0] = [
        {"id": "out", "in": "lan", "action": {"divert": 2222}}, {"id": "in", "in": "wan", "action": {"divert": 2223}}]
    lab.masqgate.start(config)
    seen = l.Capture(lab.server, "eth0", "icmp[0] == 8")
    listening(lab, BRIDGE, sockets=2)
    lab.alice.run("ping", "-c", "6", "-i", "0.2", "-W", "2", l.SERVER, check=False)
    lines = seen.stop().packets("", "-v")
    check_equal([line.split("seq ")[1].split(",")[0] for line in lines if "seq" in line], ["2", "4", "6"], "questions")
    check_equal([part.split(",")[0] for line in lines for part in line.split("ttl ")[1:]], ["33"] * 3, "hop limits")
    rows = {row["port"]: row for row in state(lab)["listeners"]}
    check_equal([(row["modified"], row["dropped"], row["injected"]) for row in (rows[2222], rows[2223])],
                [(3, 3, 0), (0, 0, 0)], "modified, dropped, injected")
    check_equal(rows[2223]["accepted"], 3, "answers")


if __name__ == "__main__":
    main()
