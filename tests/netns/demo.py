#!/usr/bin/env python3
"""Shows masqgate at work: three hosts in network namespaces, real programs through the daemon, both doors.

    client 192.168.0.10 ── lan0 [ router: masqgated ] wan0 ── 203.0.113.1 server (and 198.51.100.1)

    ./demo                   builds the daemon if need be, shows, ends with a summary and an exit status
    ./demo --stay            leaves the hosts and the daemon running
    ./demo HOST COMMAND...   runs a command on client, router or server of the one that stayed
    ./demo --stop            ends the one that stayed

Everything happens in namespaces of its own: nothing of this machine is touched. Without root it works
where anybody may make user namespaces and open /dev/net/tun and /dev/fuse.
"""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/netns"))
sys.dont_write_bytecode = True

import lab
import router
import servers

HOSTS = ("client", "router", "server")
WEB = f"http://{lab.INTERNET}/"
# Holds the process id of a demo that stays, for the commands that visit it.
STAYING = pathlib.Path(tempfile.gettempdir(), f"masqgate-demo-{os.getuid()}.pid")
BUILD = pathlib.Path(os.environ.get("MASQGATE_BUILD", ROOT / "build"))
PROGRAMS = ("masqgated", "masqctl/masqctl")


def say(text=""):
    print(text, flush=True)


def heading(text):
    say(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n== {text}")


# Before the namespaces: what this machine must offer

def prepare():
    """Installs and builds what is missing; says what this machine does not allow."""
    subprocess.run([ROOT / "tests/install_packages", "build", "hosts"], check=True)
    missing = [device for device in ("/dev/net/tun", "/dev/fuse") if not may_open(device)]
    if missing:
        sys.exit(f"demo: may not open {' and '.join(missing)}: run ./demo as root, or let this user open "
                 f"{'them' if len(missing) > 1 else 'it'} (chmod 0666, as udev does where it runs)")
    if os.geteuid() != 0 and subprocess.run(["unshare", "--map-root-user", "--net", "true"],
                                            check=False, stderr=subprocess.DEVNULL).returncode != 0:
        sys.exit("demo: this system does not let users make namespaces: run ./demo as root")
    if all((BUILD / program).exists() for program in PROGRAMS) and not os.access(BUILD, os.W_OK):
        return  # somebody else's build
    if not (BUILD / "build.ninja").exists():
        subprocess.run(["meson", "setup", BUILD, ROOT], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", BUILD, *PROGRAMS], check=True,
                   stdout=None if sys.stdout.isatty() else subprocess.DEVNULL)


def may_open(device):
    try:
        os.close(os.open(device, os.O_RDWR))
        return True
    except OSError:
        return False


# Inside

CONFIGURATION = f"""{{
  // Two ports: each bridges its NIC to a TAP, and has a host side with the router's addresses.
  "ports": {{
    "lan": {{"nics": ["lan0"], "addresses": ["{lab.ROUTER_LAN}/24"]}},
    "wan": {{"nics": ["wan0"], "addresses": ["{lab.ROUTER_WAN}/24"]}}
  }},
  "routes": [{{"to": "0.0.0.0/0", "via": "{lab.SERVER}"}}],
  "nat": [{{"masquerade": "wan", "source": "{lab.LAN}"}}],
  "firewall": {{
    "forward": {{"policy": "drop", "rules": [
      {{"id": "answers", "state": ["established", "related"], "action": "accept"}},
      {{"id": "out", "in": "lan", "out": "wan", "action": "accept"}}
    ]}}
  }}
}}
"""


class Demo(lab.Network):
    def __init__(self):
        super().__init__(pathlib.Path("/run/demo"))
        self.client, self.router, self.server = (self.host(name) for name in HOSTS)
        self.link(self.client, "eth0", self.router, "lan0")
        self.link(self.server, "eth0", self.router, "wan0")
        self.client.ip(f"addr add {lab.ALICE}/24 dev eth0", f"route add default via {lab.ROUTER_LAN}")
        self.server.ip(f"addr add {lab.SERVER}/24 dev eth0", f"addr add {lab.INTERNET}/32 dev lo")
        self.masqgate = router.Masqgate(self)
        self.results = []

    def step(self, title, host, *command, expect="", first=0):
        """Shows and runs a command, and its first or last lines; remembers whether it worked."""
        heading(f"{title}\n  {host.name}# {' '.join(map(str, command))}")
        done = host.run(*command, check=False, timeout=60)
        lines = (done.stdout + done.stderr).rstrip().splitlines()
        say("\n".join(f"  {line}" for line in (lines[:first] if first else lines[-14:])))
        self.results.append((title, done.returncode == 0 and expect in done.stdout))

    def show(self):
        heading("The configuration")
        say(CONFIGURATION)
        self.masqgate.start(CONFIGURATION)
        web = servers.Http(self.server, page=b"hello from the server\n")
        self.server.start("iperf3", "--server")
        echo = servers.TcpEcho(self.server)
        held = servers.connect(self.client, (lab.INTERNET, 7))  # there is something to list

        self.step("A page through the router", self.client, "curl", "--silent", "--show-error", WEB,
                  expect="hello from the server")
        say(f"  (the server saw {', '.join(sorted(web.addresses()))}, not {lab.ALICE})")
        self.results.append(("The server sees the WAN address only", web.addresses() == {lab.ROUTER_WAN}))
        self.step("ping", self.client, "ping", "-c", "3", "-i", "0.2", lab.INTERNET, expect=" 0% packet loss")
        self.step("iperf3 for two seconds", self.client, "iperf3", "--client", lab.INTERNET, "--time", "2",
                  expect="receiver")
        tree = self.masqgate.tree
        self.step("The masquerade table, as Linux 2.2 showed it", self.router, "cat",
                  tree / "net/ip_masquerade", expect="TCP C0A8000A")
        self.step("The connections, as Linux shows them", self.router, "cat", tree / "net/nf_conntrack",
                  expect=f"src={lab.ALICE}")
        self.step("The corridor that packets walk, with its counters", self.router, "cat", tree / "path",
                  expect="transmit", first=15)
        self.step("The connections by REST", self.router, "curl", "--silent", "--show-error", "--fail",
                  "--unix-socket", self.masqgate.rest.path, "http://localhost/v1/connections?limit=2",
                  expect=lab.ROUTER_WAN)
        self.results.append(("A connection held all the time still works",
                             servers.answers(held) and len(echo.peers) == 1))

    def summary(self):
        heading("Summary")
        for title, good in self.results:
            say(f"  {'ok    ' if good else 'FAILED'}  {title}")
        good = all(good for _, good in self.results)
        say(f"\n{sum(good for _, good in self.results)} of {len(self.results)} as expected")
        return good


TO_TRY = f"""
The hosts stay. Try:
  ./demo client curl {WEB}
  ./demo client ping {lab.INTERNET}
  ./demo client iperf3 --client {lab.INTERNET}
  ./demo router cat /run/masqgate/tree/net/ip_masquerade
  ./demo router cat /run/masqgate/tree/path
  ./demo router masqctl status
  ./demo router masqctl connections
  ./demo router curl --unix-socket /run/masqgate/api.sock http://localhost/v1/drops
  ./demo router sh -c 'echo 0 > /run/masqgate/tree/sys/net/ipv4/ip_forward'
  ./demo server tcpdump -n -i eth0
  ./demo --stop"""


def inside(stay):
    """The demo itself; with stay it goes on serving after the parent has been told that it stands."""
    demo = Demo()
    good = False
    try:
        demo.show()
        good = demo.summary()
    finally:
        if not good:
            print(demo.masqgate.process.output() if demo.masqgate.process else "", file=sys.stderr)
    if stay and good:
        say(TO_TRY)
        os.write(int(os.environ["MASQGATE_DEMO_READY"]), b"!")  # the parent goes
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
    if good:
        demo.masqgate.stop()
    demo.close()
    return good


# The one that stays

def start_staying():
    """Starts this program once more in the background; returns its status when it stands or has failed."""
    if running():
        sys.exit("demo: one is running already; ./demo --stop ends it")
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    os.environ["MASQGATE_DEMO_READY"] = str(writer)
    log = STAYING.with_suffix(".log")  # not our own output: that may be a pipe, which then never ends
    with open(log, "w") as output:
        child = subprocess.Popen([sys.executable, __file__, "--serve"], pass_fds=[writer], stdout=output,
                                 stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
    os.close(writer)
    stands = os.read(reader, 1) != b""
    say(log.read_text())
    if not stands:
        return child.wait()
    STAYING.write_text(str(child.pid))
    return 0


def running():
    """The id of the first process inside the one that stays (a child of unshare), or None."""
    try:
        pid = int(STAYING.read_text())
        return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
    except (OSError, ValueError, IndexError):
        return None


def require_running():
    return running() or sys.exit("demo: none is running; ./demo --stay starts one")


def visit(host, command):
    enter = ["nsenter", "--target", require_running(), "--mount", "--pid"]
    if os.geteuid() != 0:
        enter += ["--user", "--preserve-credentials"]
    os.environ["PATH"] = f"{BUILD}/masqctl:{os.environ['PATH']}"
    os.execvp("nsenter", [*enter, "nsenter", f"--net=/run/netns/{host}", "--", *command])


def stop():
    os.kill(int(require_running()), signal.SIGTERM)
    lab.wait_until(lambda: running() is None, "the demo to end")
    STAYING.unlink()


def main():
    words = sys.argv[1:]
    if words[:1] == ["--stop"]:
        stop()
    elif words and words[0] in HOSTS and len(words) > 1:
        visit(words[0], words[1:])
    elif words == ["--serve"] or os.environ.get("MASQGATE_LAB") == "inside":
        os.environ["MASQGATED"] = str(BUILD / "masqgated")
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM} if "--serve" in words else set())
        lab.isolate()
        sys.exit(0 if inside("--serve" in words) else 1)
    elif words == ["--stay"]:
        prepare()
        sys.exit(start_staying())
    elif not words:
        prepare()
        os.environ["MASQGATED"] = str(BUILD / "masqgated")
        lab.isolate()
    else:
        print(__doc__)
        sys.exit(0 if words in (["--help"], ["-h"]) else 2)


if __name__ == "__main__":
    main()
