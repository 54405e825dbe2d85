#!/usr/bin/env python3
"""N1: every way to attach a port: several queues, an adopted bridge, a bare TAP, a bare TUN."""
import lab as l
import router as r
import servers
from story import check, check_equal, main, story

GUEST = "192.168.7.2"  # behind the bare device; the router is .1


def config_with(name, attachment):
    config = r.configuration()
    config["ports"][name] = {**attachment, "addresses": ["192.168.7.1/24"]}
    config["nat"].append({"masquerade": "wan", "source": "192.168.7.0/24"})
    config["firewall"]["forward"]["rules"].append({"id": f"out-{name}", "in": name, "out": "wan", "action": "accept"})
    return config


def hand_over(lab, device):
    """Gives the router's bare device to a new host, as its only interface."""
    guest = lab.host("guest")
    lab.router.run("ip", "link", "set", device, "netns", "guest")
    guest.ip(f"addr add {GUEST}/24 dev {device}", f"link set {device} up")
    guest.run("ip", "route", "add", "default", "via", "192.168.7.1", "dev", device)
    return guest


def reaches_the_server(lab, host):
    echo = servers.UdpEcho(lab.server)
    check(servers.echoed(servers.udp_socket(host), (l.INTERNET, 7)), "no answer")
    check_equal({peer[0] for peer in echo.peers}, {l.ROUTER_WAN}, "the server sees")
    host.run("ping", "-c", "2", "-i", "0.2", "-W", "5", l.INTERNET)


@story("N1: a port with several queues loses nothing")
def queues(lab):
    config = r.configuration()
    config["ports"]["lan"]["queues"] = config["ports"]["wan"]["queues"] = 2
    lab.masqgate.start(config)
    echo = servers.UdpEcho(lab.server)
    for _ in range(64):
        check(servers.echoed(servers.udp_socket(lab.alice), (l.INTERNET, 7)), "no answer")
    check_equal({peer[0] for peer in echo.peers}, {l.ROUTER_WAN}, "the server sees")


@story("N1: an existing bridge is adopted, and given back")
def adopted(lab):
    config = r.configuration()
    lab.router.ip("link add br0 type bridge forward_delay 0", "link set br0 up", "link set lan0 master br0")
    lab.router.without_netfilter()
    config["ports"]["lan"] = {"bridge": "br0", "addresses": config["ports"]["lan"]["addresses"]}
    lab.masqgate.start(config)
    reaches_the_server(lab, lab.alice)
    lab.masqgate.stop()
    links = lab.router.run("ip", "-brief", "link").stdout
    check("br0" in links and "mg-lan" not in links, links)


@story("N1: a bare TAP is the interface of a host")
def bare_tap(lab):
    lab.masqgate.start(config_with("vms", {"tap": "vm0"}))
    guest = hand_over(lab, "vm0")
    reaches_the_server(lab, guest)
    lab.masqgate.stop()
    check("vm0" not in guest.run("ip", "-brief", "link").stdout, "the TAP is still there")


@story("N1: a bare TUN is the interface of a host, without a link layer")
def bare_tun(lab):
    lab.masqgate.start(config_with("far", {"tun": "tun5"}))
    guest = hand_over(lab, "tun5")
    reaches_the_server(lab, guest)
    guest.run("ping", "-c", "3", "-i", "0.2", "-W", "5", "192.168.7.1")
    lab.masqgate.stop()
    check("tun5" not in guest.run("ip", "-brief", "link").stdout, "the TUN is still there")


if __name__ == "__main__":
    main()
