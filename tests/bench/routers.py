"""What is compared: Linux and masqgate between client and server, slirp4netns and pasta beside them.

    client 10.10.0.2 ── lan0 10.10.0.1 [ router ] 10.20.0.1 wan0 ── 10.20.0.2 server
    client 10.30.0.1 ── 10.30.0.2 server, a cable without a router: what the two hosts themselves can do
    guest  ── a TAP of slirp4netns or pasta, which run in [ router ] as on any host
"""
import json
import pathlib
import subprocess

import lab as l
import router as r

CLIENT, ROUTER_LAN, ROUTER_WAN, SERVER = "10.10.0.2", "10.10.0.1", "10.20.0.1", "10.20.0.2"
DIRECT_CLIENT, DIRECT_SERVER = "10.30.0.1", "10.30.0.2"


class Bench(l.Network):
    """The hosts, cabled; a router is started and stopped between them again and again."""

    def __init__(self):
        super().__init__()
        self.client, self.router, self.server, self.guest = (
            self.host(name) for name in ("client", "router", "server", "guest"))
        self.link(self.client, "eth0", self.router, "lan0")
        self.link(self.server, "eth0", self.router, "wan0")
        self.link(self.client, "direct", self.server, "direct")
        self.client.ip(f"addr add {CLIENT}/24 dev eth0", f"route add default via {ROUTER_LAN}",
                       f"addr add {DIRECT_CLIENT}/24 dev direct")
        self.server.ip(f"addr add {SERVER}/24 dev eth0", f"addr add {DIRECT_SERVER}/24 dev direct",
                       f"route add 10.10.0.0/24 via {ROUTER_WAN}")
        self.client.sysctl("ipv4/ip_local_port_range", "10000 65000")
        for host in (self.client, self.router, self.server):
            host.sysctl("ipv6/conf/all/disable_ipv6", 1)
        self.forget()

    def forget(self):
        """Takes the router away: hosts and NICs are as in the beginning."""
        self.router.run("nft", "flush", "ruleset")
        self.router.ip("addr flush dev lan0", "addr flush dev wan0")
        # veth receives with NAPI (which xdpgen needs) while GRO is on; "off" first, or nothing happens.
        for switch in ("off", "on"):
            self.router.run("ethtool", "-K", "lan0", "gro", switch)
        for host in (self.client, self.server):
            l.wait_until(lambda host=host: self.forgets_neighbours(host), "the hosts to forget their neighbours")

    @staticmethod
    def forgets_neighbours(host):
        """ip(8) gives up where packets that are on their way make entries as fast as it removes them."""
        try:
            host.ip("neigh flush dev eth0 nud all")
            return True
        except subprocess.CalledProcessError:
            return False


class Router:
    """One row of the comparison. client is where the measuring clients run, server the address they ask."""

    name = ""
    figures = None  # all
    server = SERVER

    def __init__(self, bench):
        self.bench, self.client, self.processes = bench, bench.client, []

    def start(self):
        pass

    def stop(self):
        for process in self.processes:
            process.stop()
        self.processes = []
        self.bench.forget()

    def pids(self):
        return [process.pid for process in self.processes]

    def run_on(self, cpus):
        """Lets the router's processes (if it has any) run on these CPUs only."""
        for pid in self.pids():
            subprocess.run(["taskset", "-apc", cpus, str(pid)], check=True, stdout=subprocess.DEVNULL)

    def plain_addresses(self):
        self.bench.router.ip(f"addr add {ROUTER_LAN}/24 dev lan0", f"addr add {ROUTER_WAN}/24 dev wan0")


class Direct(Router):
    name = "no router"
    figures = ("tcp1", "tcp4", "udp64", "rtt_one_cpu", "rtt_idle", "rtt_awake", "connections")
    server = DIRECT_SERVER


class Route(Router):
    name = "kernel route"

    def start(self):
        self.plain_addresses()
        self.bench.router.sysctl("ipv4/ip_forward", 1)

    def stop(self):
        self.bench.router.sysctl("ipv4/ip_forward", 0)
        super().stop()


class Nft(Route):
    name = "nft masquerade"

    def start(self):
        super().start()
        rules = self.bench.directory / "rules.nft"
        rules.write_text("""
            table ip nat {
              chain post {
                type nat hook postrouting priority 100
                oifname "wan0" masquerade
              }
            }
            table ip filter {
              chain forward {
                type filter hook forward priority 0; policy drop
                ct state established,related accept
                iifname "lan0" accept
              }
            }""")
        self.bench.router.run("nft", "-f", rules)


HELPERS = json.loads((pathlib.Path(__file__).resolve().parents[2] / "docs/masqgate.schema.json").read_text())[
    "properties"]["helpers"]["properties"].keys() - {"denied_ports"}


class Masqgate(Router):
    name = "masqgate"
    spin_us = 0
    rules = []  # before the others, in chain forward
    divert = {}
    helpers = None  # all on, or all off; else as they are by default

    def ports(self):
        return {"lan": {"nics": ["lan0"], "addresses": [f"{ROUTER_LAN}/24"]},
                "wan": {"nics": ["wan0"], "addresses": [f"{ROUTER_WAN}/24"]}}

    def start(self):
        self.daemon = r.Masqgate(self.bench)
        switches = {} if self.helpers is None else {
            name: {"enabled": self.helpers, "networks": ["0.0.0.0/0"]} for name in HELPERS}
        self.daemon.start({
            "helpers": switches,
            "ports": self.ports(),
            "nat": [{"masquerade": "wan", "source": "10.10.0.0/24"}],
            "firewall": {"forward": {"policy": "drop", "rules": [
                *self.rules,
                {"id": "answers", "state": ["established", "related"], "action": "accept"},
                {"id": "out", "in": "lan", "out": "wan", "action": "accept"}]}},
            # One host stands for all of a network.
            "limits": {"sessions_per_host": 0, "ports_per_host": 0},
            "shard": {"spin_us": self.spin_us},
            "divert": self.divert,
        })
        self.processes = [self.daemon.process]


class MasqgateSpin(Masqgate):
    name = "masqgate, spin 50 us"
    spin_us = 50


class MasqgateHelpers(Masqgate):
    """Every helper looks for its connections, and none of the figures has one."""

    name = "masqgate, all helpers"
    helpers = True


class MasqgateNoHelpers(Masqgate):
    name = "masqgate, no helpers"
    helpers = False


class MasqgateDivert(Masqgate):
    """Every packet goes to a program of another process and back."""

    name = "masqgate, all diverted"
    rules = [{"id": "all", "action": {"divert": 2222}}]

    def start(self):
        super().start()
        program = self.bench.router.start(pathlib.Path(self.daemon.program).parent / "examples/accept_all", "2222")
        program.wait_for("ready")
        self.processes.append(program)


class Peer(Router):
    """A user-mode network stack that gives a guest namespace the host's network."""

    figures = ("tcp1", "tcp4", "connections")

    def __init__(self, bench):
        super().__init__(bench)
        self.client = bench.guest

    def start_program(self, *command):
        self.bench.router.ip(f"addr add {ROUTER_WAN}/24 dev wan0", f"route add default via {SERVER}")
        self.processes = [self.bench.router.start(*command)]
        l.wait_until(self.guest_is_online, f"{self.name} to give the guest a route")

    def guest_is_online(self):
        if not self.processes[0].running():
            raise l.Failed(f"{self.name} ended:\n{self.processes[0].output()}")
        return "default" in self.bench.guest.run("ip", "route").stdout


class Slirp(Peer):
    name = "slirp4netns"

    def start(self):
        self.start_program("slirp4netns", "--netns-type=path", "--configure", "--mtu=65520", "--disable-dns",
                           self.bench.guest.path, "tap0")


class Pasta(Peer):
    name = "pasta"

    def start(self):
        self.start_program("pasta", "--foreground", "--config-net", "--mtu", "65520", "--tcp-ports", "none",
                           "--udp-ports", "none", "--no-map-gw", "--runas", "0", "--netns",
                           self.bench.guest.path)
