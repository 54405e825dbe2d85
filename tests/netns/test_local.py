#!/usr/bin/env python3
"""M9: traffic of the router itself, and its ports against masqueraded ones."""
import sys

import lab as l
import router as r
import servers
from story import check, check_equal, main, story


@story("M9: curl on the router reaches the server")
def from_router(lab):
    lab.masqgate.start()
    web = servers.Http(lab.server)
    check_equal(lab.router.run("curl", "-sS", f"http://{l.INTERNET}/").stdout, "hello from outside\n", "page")
    check_equal(web.addresses(), {l.ROUTER_WAN}, "client")
    lab.router.run("ping", "-c", "3", "-i", "0.2", "-W", "5", l.INTERNET)
    lab.router.run("ping", "-c", "3", "-i", "0.2", "-W", "5", l.ALICE)


@story("M9: a server on the router is reached from both sides, by its addresses there")
def to_router(lab):
    lab.masqgate.start()
    web = servers.Http(lab.router, page=b"hello from the router\n")
    for host, address in ((lab.alice, l.ROUTER_LAN), (lab.carol, l.ROUTER_LAN2), (lab.alice, l.ROUTER_WAN),
                          (lab.server, l.ROUTER_WAN)):
        page = host.run("curl", "-sS", f"http://{address}/").stdout
        check_equal(page, "hello from the router\n", f"{host.name} from {address}")
    check(l.ALICE in web.addresses() and l.SERVER in web.addresses(), f"clients {web.addresses()}")


@story("M9: connections of the router and of inside hosts from the same few ports never collide")
def ports(lab):
    lab.masqgate.start()
    for host in (lab.router, lab.alice, lab.carol):
        host.sysctl("ipv4/ip_local_port_range", "40000 40099")
    echo = servers.TcpEcho(lab.server)
    open_now = []
    for turn in range(60):
        for host in (lab.alice, lab.router, lab.carol):
            connection = servers.connect(host, (l.INTERNET, 7))
            open_now.append((host.name, connection))
    for name, connection in open_now:
        text = f"{name} {connection.getsockname()[1]}".encode()
        check(servers.answers(connection, text), f"{name}: the connection does not work")
    check_equal(len(echo.peers), len(open_now), "connections at the server")
    check_equal(len(set(echo.peers)), len(open_now), "different addresses and ports at the server")


@story("M9: the same UDP port on the router and inside, towards the same server")
def udp_ports(lab):
    lab.masqgate.start()
    echo = servers.UdpEcho(lab.server)
    flows = [servers.udp_socket(host, port=5000) for host in (lab.alice, lab.router, lab.bob, lab.carol)]
    for number, flow in enumerate(flows):
        check(servers.echoed(flow, (l.INTERNET, 7), f"flow {number}".encode()), f"flow {number}: no answer")
    for number, flow in enumerate(flows):
        check(servers.echoed(flow, (l.INTERNET, 7), f"again {number}".encode()), f"flow {number}: no answer")
    check_equal(len(set(echo.peers)), len(flows), "different ports at the server")


NOBODY = "65534"


@story("F2 owner: one user of the router may not speak to the outside, the others may", needs_masqgate=True)
def owner(lab):
    config = r.configuration()
    config["firewall"] = {"output": {"rules": [
        {"id": "dns", "owner": NOBODY, "protocol": "udp", "action": {"reject": "prohibited"}},
        {"id": "web", "owner": "!0", "protocol": "tcp", "action": {"reject": "tcp_reset"}}]}}
    lab.masqgate.start(config)
    servers.Http(lab.server)
    servers.UdpEcho(lab.server)
    page = ("curl", "-sS", "--max-time", "10", f"http://{l.INTERNET}/")
    echo = (sys.executable, "-c", f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
s.connect(("{l.INTERNET}", 7))
s.send(b"x")
print(s.recv(9).decode())""")
    nobody = ("setpriv", f"--reuid={NOBODY}", "--clear-groups")
    check_equal(lab.router.run(*page).stdout, "hello from outside\n", "page of root")
    check_equal(lab.router.run(*echo).stdout, "x\n", "echo of root")
    check_equal(lab.router.run(*nobody, *page, check=False).returncode, 7, "curl: could not connect")
    check("Errno" in lab.router.run(*nobody, *echo, check=False).stderr, "nobody's datagram was not refused")
    counted = {rule["rule"]: rule["packets"] for rule in lab.masqgate.rest.get("/v1/rules")["rules"]}
    check(counted["dns"] >= 1 and counted["web"] >= 1, f"counters {counted}")


if __name__ == "__main__":
    main()
