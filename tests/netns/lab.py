"""A laboratory of network namespaces: hosts, links and a router between them.

                alice 192.168.0.10 ─┐
                                   switch ── lan0 ┌────────┐ wan0
                bob   192.168.0.11 ─┘             │ router │────── server 203.0.113.1, 198.51.100.1
                                                  │        │                │
                carol 192.168.1.10 ──────── lan1  └────────┘               far 198.51.100.129
                                                                        (not always there)

IPv6 beside it: fd00:1::/64, fd00:2::/64 inside, fd00:ffff::/64 outside. Every host has its NIC as
eth0. The whole laboratory lives in mount, network and process namespaces of its own, so that
nothing of it can touch the machine, and nothing of it can outlive the test, however that ends.
"""
import contextlib
import ctypes
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

LAN, LAN_6 = "192.168.0.0/24", "fd00:1::/64"
LAN2, LAN2_6 = "192.168.1.0/24", "fd00:2::/64"
WAN, WAN_6 = "203.0.113.0/24", "fd00:ffff::/64"
ROUTER_LAN, ROUTER_LAN_6 = "192.168.0.1", "fd00:1::1"
ROUTER_LAN2, ROUTER_LAN2_6 = "192.168.1.1", "fd00:2::1"
ROUTER_WAN, ROUTER_WAN_6 = "203.0.113.2", "fd00:ffff::2"
SERVER, SERVER_6 = "203.0.113.1", "fd00:ffff::1"
INTERNET, INTERNET_6 = "198.51.100.1", "fd00:5::1"  # a second home of the server, behind its WAN address
ALICE, ALICE_6 = "192.168.0.10", "fd00:1::10"
BOB, BOB_6 = "192.168.0.11", "fd00:1::11"
CAROL, CAROL_6 = "192.168.1.10", "fd00:2::10"

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


class Failed(AssertionError):
    """A condition of a story does not hold."""


def isolate():
    """Starts this program again in namespaces of its own; there /run is empty and private."""
    if os.environ.get("MASQGATE_LAB") != "inside":
        os.environ["MASQGATE_LAB"] = "inside"
        unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        if os.geteuid() != 0:
            unshare.append("--map-root-user")
        os.execvp("unshare", unshare + [sys.executable, *sys.argv])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)


def set_network_namespace(file):
    if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def wait_until(condition, what, timeout=15.0):
    """Returns the first true value of condition(); fails when there is none in time."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"waited in vain: {what}")
        time.sleep(0.02)


class Process:
    """A program in a namespace, with what it printed."""

    def __init__(self, command, log):
        self.command, self.log = command, log
        with open(log, "wb") as output:
            self.popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                          stderr=subprocess.STDOUT)
        self.pid = self.popen.pid

    def output(self):
        return self.log.read_text(errors="replace")

    def running(self):
        return self.popen.poll() is None

    def wait(self, timeout=30):
        """The exit status; negative when a signal ended it."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"did not end: {' '.join(self.command)}\n{self.output()}") from None

    def stop(self, number=signal.SIGTERM, timeout=30):
        if self.running():
            self.popen.send_signal(number)
        return self.wait(timeout)

    def kill(self):
        self.popen.kill()
        self.popen.wait()

    def wait_for(self, text):
        """Returns when the program has printed text."""
        def printed():
            if text in self.output():
                return True
            if not self.running():
                raise Failed(f"ended before '{text}': {' '.join(self.command)}\n{self.output()}")
            return False
        wait_until(printed, f"'{text}' from {' '.join(self.command)}")


class Namespace:
    """A host: programs run in it, and Python code may enter it."""

    def __init__(self, lab, name):
        self.lab, self.name, self.path = lab, name, f"/run/netns/{name}"
        subprocess.run(["ip", "netns", "add", name], check=True)
        self.sysctl("ipv4/tcp_congestion_control", "reno")  # BBR paces and hides every difference
        self.sysctl("ipv4/ip_forward", 0)
        self.sysctl("ipv4/icmp_ratelimit", 0)  # traceroute asks fast
        self.sysctl("ipv6/icmp/ratelimit", 0)
        self.sysctl("ipv6/conf/default/accept_dad", 0)
        self.sysctl("ipv6/conf/default/accept_ra", 0)
        self.ip("link set dev lo up")

    @contextlib.contextmanager
    def inside(self):
        """Makes the calling thread a thread of this host: sockets that it opens are there."""
        with open("/proc/thread-self/ns/net") as outside, open(self.path) as here:
            set_network_namespace(here)
            try:
                yield self
            finally:
                set_network_namespace(outside)

    def ip(self, *commands):
        """Runs ip commands, one per text: ip("addr add 10.0.0.1/24 dev eth0", "link set eth0 up")."""
        subprocess.run(["ip", "-n", self.name, "-batch", "-"], input="\n".join(commands), text=True,
                       check=True)

    def sysctl(self, name, value=None):
        """Reads or writes net/<name> of this host."""
        with self.inside():
            file = pathlib.Path("/proc/sys/net", name)
            if value is not None:
                file.write_text(f"{value}\n")
            return file.read_text().strip()

    def without_netfilter(self):
        """Bridges of this host do not look into the packets that they pass on."""
        for family in ("iptables", "ip6tables", "arptables"):
            with contextlib.suppress(FileNotFoundError):  # the kernel has no br_netfilter
                self.sysctl(f"bridge/bridge-nf-call-{family}", 0)

    def command(self, *command):
        return ["nsenter", f"--net={self.path}", "--", *map(str, command)]

    def run(self, *command, check=True, timeout=60, **options):
        """Runs a program to its end and returns it with .stdout and .stderr."""
        try:
            if "input" not in options:
                options["stdin"] = subprocess.DEVNULL
            done = subprocess.run(self.command(*command), text=True, capture_output=True, timeout=timeout, **options)
        except subprocess.TimeoutExpired as late:
            raise Failed(f"{self.name}: did not end: {' '.join(map(str, command))}\n"
                         f"{(late.stdout or b'').decode()}") from None
        if check and done.returncode != 0:
            raise Failed(f"{self.name}: status {done.returncode}: {' '.join(map(str, command))}\n"
                         f"{done.stdout}{done.stderr}")
        return done

    def start(self, *command):
        """Starts a program that stops with the laboratory at the latest."""
        return self.lab.start(self.name, self.command(*command))

    def mac(self, device="eth0"):
        return json.loads(self.run("ip", "-json", "link", "show", device).stdout)[0]["address"]

    def counter(self, name):
        """A counter of this host's kernel, by its nstat name, since the host was made."""
        for line in self.run("nstat", "-asz", name).stdout.splitlines():
            if line.startswith(name):
                return int(line.split()[1])
        raise Failed(f"no counter {name}")


class Capture:
    """tcpdump on a device, from now on until stop(); packets(filter) are its lines."""

    def __init__(self, host, device, capture_filter="", snaplen=256):
        self.host = host
        self.file = host.lab.directory / f"{host.name}-{device}-{len(host.lab.captures)}.pcap"
        host.lab.captures.append(self)
        self.process = host.start("tcpdump", "-i", device, "-n", "-U", "--immediate-mode", "-s", snaplen,
                                  "-B", "16384", "-Z", "root", "-w", self.file, capture_filter)
        self.process.wait_for("listening on")

    def stop(self):
        self.process.stop(signal.SIGINT)
        return self

    def packets(self, display_filter="", *options):
        """The captured packets as lines of tcpdump; can be asked while the capture runs."""
        done = subprocess.run(["tcpdump", "-n", "-tt", *options, "-r", self.file, display_filter],
                              text=True, capture_output=True, check=False)
        if done.returncode != 0 and "truncated dump file" not in done.stderr:
            raise Failed(f"tcpdump -r {self.file}: {done.stderr}")
        return done.stdout.splitlines()


class Network:
    """Hosts, the cables between them, and what runs on them."""

    def __init__(self, directory=pathlib.Path("/run/lab")):
        self.directory, self.hosts, self.processes, self.captures = directory, {}, [], []
        directory.mkdir(parents=True, exist_ok=True)
        pathlib.Path("/run/netns").mkdir(exist_ok=True)

    def host(self, name):
        self.hosts[name] = Namespace(self, name)
        return self.hosts[name]

    def link(self, one, device, other, other_device, mtu=1500):
        """Plugs a cable between two hosts; both ends are up."""
        subprocess.run(["ip", "link", "add", device, "mtu", str(mtu), "netns", one.name, "type", "veth",
                        "peer", "name", other_device, "mtu", str(mtu), "netns", other.name], check=True)
        one.ip(f"link set dev {device} up")
        other.ip(f"link set dev {other_device} up")

    def start(self, name, command):
        log = self.directory / f"{name}-{len(self.processes)}.log"
        process = Process(command, log)
        self.processes.append(process)
        return process

    def close(self):
        """Stops every program and removes every host."""
        for process in reversed(self.processes):
            if process.running():
                process.kill()
        for name in self.hosts:
            subprocess.run(["ip", "netns", "del", name], check=True)


class Lab(Network):
    """The hosts of the drawing above."""

    def __init__(self):
        super().__init__()
        self.router, self.switch, self.server = (self.host(n) for n in ("router", "switch", "server"))
        self.switch.ip("link add switch type bridge forward_delay 0 mcast_snooping 0",
                       "link set dev switch up")
        self.switch.without_netfilter()
        self.alice = self.client("alice", self.switch, "a", (ALICE, ALICE_6), (ROUTER_LAN, ROUTER_LAN_6))
        self.bob = self.client("bob", self.switch, "b", (BOB, BOB_6), (ROUTER_LAN, ROUTER_LAN_6))
        self.carol = self.client("carol", self.router, "lan1", (CAROL, CAROL_6),
                                 (ROUTER_LAN2, ROUTER_LAN2_6))
        self.switch.ip("link set dev a master switch", "link set dev b master switch")
        self.plug_lan()
        self.server.ip(f"addr add {INTERNET}/32 dev lo", f"addr add {INTERNET_6}/128 dev lo")
        self.plug_wan()

    def client(self, name, other, other_device, addresses, gateways):
        """A host with one NIC and default routes through the router."""
        host = self.host(name)
        self.link(host, "eth0", other, other_device)
        host.ip(f"addr add {addresses[0]}/24 dev eth0", f"addr add {addresses[1]}/64 dev eth0 nodad",
                f"route add default via {gateways[0]}", f"route add default via {gateways[1]}")
        return host

    def plug_lan(self):
        """The cable between the switch and the router's lan0 (it may be pulled and plugged again)."""
        self.link(self.switch, "uplink", self.router, "lan0")
        self.switch.ip("link set dev uplink master switch")

    def plug_wan(self, mtu=1500):
        """The cable between the server and the router's wan0."""
        self.link(self.server, "eth0", self.router, "wan0", mtu)
        self.server.ip(f"addr add {SERVER}/24 dev eth0", f"addr add {SERVER_6}/64 dev eth0 nodad",
                       f"route add {LAN_6} via {ROUTER_WAN_6}",
                       f"route add {LAN2_6} via {ROUTER_WAN_6}")

    def unplug(self, device):
        self.router.ip(f"link del dev {device}")
