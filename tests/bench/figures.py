"""The figures: each function measures one of them through the router that stands, and returns its parts."""
import itertools
import json
import os
import pathlib
import re
import subprocess

import lab as l
from routers import CLIENT, ROUTER_LAN, SERVER

CPU_COLUMNS_IDLE = (3, 4, 8)  # idle, iowait, guest (already in user) of /proc/stat


class Figures:
    """tools: the folder of the measuring programs; scale: 1 for full lengths, less for a quick look."""

    def __init__(self, bench, tools, scale):
        self.bench, self.tools, self.scale = bench, pathlib.Path(tools), scale
        self.ports = itertools.cycle(range(20000, 60000, 16))  # no figure meets the connections of another

    def measure(self, name, router):
        return getattr(self, name)(router)

    def names(self):
        everything = ["tcp1", "tcp4", "tcp_mtu", "udp64", "packets", "rtt_one_cpu", "rtt_idle",
                      "rtt_awake", "connections"]
        return [n for n in everything if n != "packets" or (self.tools / "xdpgen").exists()]

    # TCP bulk

    def tcp1(self, router):
        return self._bulk(router, 1)

    def tcp4(self, router):
        return self._bulk(router, 4)

    def tcp_mtu(self, router):
        """The client's NIC sends frames of 1,500 bytes, as a cable brings them; GRO is on where they arrive."""
        nic = self.bench.client
        nic.run("ethtool", "-K", "eth0", "tso", "off", "gso", "off")
        try:
            return self._bulk(router, 1)
        finally:
            nic.run("ethtool", "-K", "eth0", "gso", "on", "tso", "on")

    def _bulk(self, router, streams):
        port = next(self.ports)
        server = self.bench.server.start("iperf3", "--server", "--one-off", "--forceflush", "--port", port)
        server.wait_for("listening")
        busy = busy_seconds()
        done = router.client.run("iperf3", "--client", router.server, "--port", port, "--time", max(1, 4 * self.scale),
                                 "--parallel", streams, "--json")
        busy = busy_seconds() - busy
        server.wait()
        end = json.loads(done.stdout)["end"]
        received = end["sum_received"]
        return {"value": received["bits_per_second"] / 1e9, "cpu_per_gb": busy / (received["bytes"] / 1e9),
                "retransmits": end["sum_sent"].get("retransmits", 0)}

    # Packets

    def udp64(self, router):
        """64 bytes by sendmmsg(), flat out: thousands per second that arrive."""
        port, seconds = next(self.ports), 1.5 * self.scale
        sink = self.bench.server.start(self.tools / "udpsink", port)
        sink.wait_for("ready")
        router.client.run(self.tools / "udpblast", router.server, port, 64, seconds)
        sink.wait()
        return {"value": number("received", sink.output()) / seconds / 1e3}

    def packets(self, router):
        """60-byte frames of 1,024 flows at millions per second: thousands per second that arrive."""
        self.bench.client.run("ping", "-c", "1", "-W", "5", ROUTER_LAN)
        neighbour = json.loads(self.bench.client.run("ip", "-json", "neigh", "show", ROUTER_LAN).stdout)[0]
        seconds = 1.0 * self.scale
        router.run_on("1")
        try:
            sink = self.bench.server.start(self.tools / "xdpgen", "sink", "eth0", seconds)
            sink.wait_for("ready")
            self.bench.client.run("taskset", "-c", "0", self.tools / "xdpgen", "send", "eth0",
                                  neighbour["lladdr"], CLIENT, SERVER, 1024, seconds + 0.5)
            sink.wait()
        finally:
            router.run_on(all_cpus())
        return {"value": number("rate", sink.output()) / 1e3}

    # Round trips

    def rtt_one_cpu(self, router):
        """Client, router and server on CPU 0: the path itself, no wake-up of another CPU."""
        router.run_on("0")
        try:
            return self._round_trips(router, "0", "0")
        finally:
            router.run_on(all_cpus())

    def rtt_idle(self, router):
        """Client on CPU 0, server on CPU 1, which may sleep in between."""
        return self._round_trips(router, "0", "1")

    def rtt_awake(self, router):
        """The same with CPUs that never sleep: what waking a CPU of a virtual machine costs is left out."""
        spinners = [self.bench.client.start(self.tools / "spin", cpu) for cpu in (0, 1)]
        try:
            return self._round_trips(router, "0", "1")
        finally:
            for spinner in spinners:
                spinner.kill()

    def _round_trips(self, router, client_cpu, server_cpu):
        port = next(self.ports)
        server = self.bench.server.start("taskset", "-c", server_cpu, self.tools / "pingpong", "serve", port)
        server.wait_for("ready")
        done = router.client.run("taskset", "-c", client_cpu, self.tools / "pingpong", "ask", router.server, port,
                                 int(8000 * self.scale))
        server.kill()
        return {"value": number("p50", done.stdout), "p99": number("p99", done.stdout)}

    # Connections

    def connections(self, router):
        """New TCP connections, in thousands per second: 64 under way at a time, closed by reset."""
        port = next(self.ports)
        server = self.bench.server.start(self.tools / "connrate", "serve", port, 8)
        server.wait_for("ready")
        done = router.client.run(self.tools / "connrate", "ask", router.server, port, 8, 64, 2 * self.scale)
        server.kill()
        return {"value": number("rate", done.stdout) / 1e3, "failed": number("failed", done.stdout)}


def number(name, text):
    found = re.search(rf"\b{name}=([\d.]+)", text)
    if not found:
        raise l.Failed(f"no {name}= in: {text}")
    return float(found[1])


def busy_seconds():
    """What all CPUs together have worked since the machine started."""
    with open("/proc/stat") as stat:
        columns = [int(word) for word in stat.readline().split()[1:]]
    idle = sum(columns[i] for i in CPU_COLUMNS_IDLE)
    return (sum(columns) - idle) / os.sysconf("SC_CLK_TCK")


def all_cpus():
    return f"0-{os.cpu_count() - 1}"


def versions():
    """What the figures were measured with."""
    def first_line(*command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return (done.stdout or done.stderr).strip().splitlines()[0]
    with open("/proc/cpuinfo") as info:
        model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "unknown")
    with open("/etc/os-release") as release:
        system = next(line.split('"')[1] for line in release if line.startswith("PRETTY_NAME"))
    return {"machine": f"{os.cpu_count()} CPUs, {model}", "system": system,
            "kernel": f"{os.uname().release} ({os.uname().machine})",
            "compiler": first_line("c++", "--version"), "nftables": first_line("nft", "--version"),
            "iperf3": first_line("iperf3", "--version"), "slirp4netns": first_line("slirp4netns", "--version"),
            "pasta": first_line("pasta", "--version")}
