#!/usr/bin/env python3
"""House plan section 1: Linux is the control plane; what `ip` changes takes effect while traffic flows."""
import lab as l
import servers
from story import check, main, story


class Pings:
    """A flow of datagrams, several per second; answered() says whether the latest come back."""

    def __init__(self, lab, address=l.INTERNET):
        self.address = address
        self.echo = servers.UdpEcho(lab.server, address)
        self.sock = servers.udp_socket(lab.alice, timeout=0.2)
        self.turn = 0

    def answered(self):
        self.turn += 1
        return servers.echoed(self.sock, (self.address, 7), f"turn {self.turn}".encode(), tries=1)

    def wait(self, answered, when):
        l.wait_until(lambda: self.answered() == answered, f"{'answers' if answered else 'silence'} {when}")


@story("routes that change take effect on a running flow")
def routes(lab):
    lab.masqgate.start()
    flow = Pings(lab)
    flow.wait(True, "at first")
    lab.router.ip("route add blackhole 198.51.100.0/24")
    flow.wait(False, "behind a blackhole")
    lab.router.ip("route del blackhole 198.51.100.0/24")
    flow.wait(True, "without the blackhole")
    lab.router.ip("route replace default via 203.0.113.99")
    flow.wait(False, "through a gateway that does not exist")
    lab.router.ip(f"route replace default via {l.SERVER}")
    flow.wait(True, "through the gateway again")
    lab.router.ip("route del default")
    flow.wait(False, "without a route")
    lab.router.ip(f"route add default via {l.SERVER}")
    flow.wait(True, "with the route again")


@story("rules (policy routing by source) take effect on a running flow")
def rules(lab):
    lab.masqgate.start()
    flow = Pings(lab)
    flow.wait(True, "at first")
    lab.router.ip("route add blackhole default table 100", f"rule add from {l.ALICE} table 100 priority 100")
    flow.wait(False, "sent to another table")
    check(servers.echoed(servers.udp_socket(lab.bob), (l.INTERNET, 7)), "bob is not concerned, but silent")
    lab.router.ip(f"rule del from {l.ALICE} table 100 priority 100")
    flow.wait(True, "in the main table again")


@story("neighbours that change take effect on a running flow")
def neighbours(lab):
    lab.masqgate.start()
    flow = Pings(lab)
    flow.wait(True, "at first")
    lab.router.ip(f"neigh replace {l.SERVER} lladdr 02:00:00:00:00:99 nud permanent dev wan")
    flow.wait(False, "to a wrong MAC address")
    lab.router.ip(f"neigh del {l.SERVER} dev wan")
    flow.wait(True, "when the neighbour was asked for again")
    lab.server.ip("link set dev eth0 address 02:00:00:00:00:77")
    lab.router.ip("neigh flush dev wan")
    flow.wait(True, "from the server's new NIC address")


@story("an address that is added to a port is the router's own, until it is removed")
def addresses(lab):
    lab.masqgate.start()

    def answers():
        return lab.alice.run("ping", "-c", "1", "-W", "1", "192.168.0.77", check=False).returncode == 0
    lab.router.ip("addr add 192.168.0.77/24 dev lan")
    l.wait_until(answers, "the new address to answer")
    lab.router.ip("addr del 192.168.0.77/24 dev lan")
    l.wait_until(lambda: not answers(), "the removed address to be silent")


def wait_for_loss(lab, port):
    """Returns when Linux has noticed (at most once a second it looks) that the port has no carrier."""
    l.wait_until(lambda: "NO-CARRIER" in lab.router.run("ip", "link", "show", port).stdout,
                 f"port {port} to lose its carrier")


@story("R-32: a NIC is unplugged and plugged again, a cable pulled: the port tells Linux, traffic resumes")
def replug(lab):
    lab.masqgate.start()
    flow = Pings(lab)
    flow.wait(True, "at first")
    lab.unplug("lan0")
    flow.wait(False, "without the LAN's NIC")
    wait_for_loss(lab, "lan")
    lab.plug_lan()
    lab.masqgate.replug("lan0", "lan")
    flow.wait(True, "with the LAN's NIC plugged in again")
    lab.switch.ip("link set dev uplink down")
    flow.wait(False, "with the LAN's cable pulled")
    wait_for_loss(lab, "lan")
    lab.switch.ip("link set dev uplink up")
    flow.wait(True, "with the cable plugged in again")
    lab.unplug("wan0")
    flow.wait(False, "without the WAN's NIC")
    wait_for_loss(lab, "wan")
    lab.plug_wan()
    lab.witness.watch()
    lab.masqgate.replug("wan0", "wan")
    flow.wait(True, "with the WAN's NIC plugged in again")


if __name__ == "__main__":
    main()
