#!/usr/bin/env python3
"""House plan section 1: programs of Linux work on masqgate's ports as on any interface (dnsmasq, udhcpc)."""
import pathlib

import lab as l
import servers
from story import check, check_equal, main, story

SCRIPT = pathlib.Path(__file__).with_name("udhcpc_script")


@story("M1: dnsmasq on the router leases an address to a real client, which then fetches a page")
def dhcp(lab):
    lab.masqgate.start()
    web = servers.Http(lab.server)
    lab.alice.ip("addr flush dev eth0", "route flush dev eth0")
    dnsmasq = lab.router.start("dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=lan",
                               "--bind-interfaces", "--dhcp-range=192.168.0.100,192.168.0.120,1h",
                               f"--dhcp-leasefile={lab.directory}/leases", "--log-facility=-", "--log-dhcp")
    dnsmasq.wait_for("started")
    lab.alice.run("udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "10", "-T", "1", "-s", SCRIPT)
    check("192.168.0.1" in lab.alice.run("ip", "route", "show", "default").stdout, "no route by the lease")
    page = lab.alice.run("curl", "-sS", f"http://{l.INTERNET}/").stdout
    check_equal((page, web.addresses()), ("hello from outside\n", {l.ROUTER_WAN}), "page and client")


@story("M1: dnsmasq on the router answers names for the LAN and asks upstream")
def forwarder(lab):
    lab.masqgate.start()
    upstream = lab.server.start("dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null",
                                "--log-facility=-", "--address=/host.example/198.51.100.7")
    upstream.wait_for("started")
    here = lab.router.start("dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null",
                            "--log-facility=-", f"--server={l.SERVER}", "--interface=lan", "--bind-interfaces")
    here.wait_for("started")
    answer = lab.bob.run("dig", "+short", f"@{l.ROUTER_LAN}", "host.example").stdout
    check_equal(answer, "198.51.100.7\n", "answer")


if __name__ == "__main__":
    main()
