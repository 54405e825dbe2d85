#!/usr/bin/env python3
"""M8: PORTFW, AUTOFW and MFW by the command lines of ipmasqadm, with real servers inside and clients outside."""
import pathlib

import lab as l
import router as r
import servers
from story import check, check_equal, main, story

WEB = f"-P tcp -L {l.ROUTER_WAN} 80"


def start(lab):
    """A router that lets the world in to the hosts inside, if somebody forwards it there."""
    config = r.configuration()
    config["firewall"]["forward"]["rules"].append({"id": "forwards", "destination": l.LAN, "action": "accept"})
    lab.masqgate.start(config)


def ipmasqadm(lab, line, status=0):
    """What the command says; its status must be the historic one."""
    done = lab.router.run(lab.masqgate.control, "ipmasqadm", *line.split(), check=False)
    check_equal(done.returncode, status, f"status of {line}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def web_servers(lab):
    for host, name in ((lab.alice, b"A"), (lab.bob, b"B")):
        servers.Http(host, page=name)


def fetch(lab, count, host=None):
    url = f"http://{l.ROUTER_WAN}/"
    host = host or lab.server
    return "".join(host.run("curl", "-sS", "--max-time", "10", url).stdout for _ in range(count))


@story("M8: two web servers with preferences 2 and 3 get the requests A A B B B A A", needs_masqgate=True)
def turns(lab):
    start(lab)
    web_servers(lab)
    ipmasqadm(lab, f"portfw -a {WEB} -R {l.BOB} 80 -p 3")
    ipmasqadm(lab, f"portfw -a {WEB} -R {l.ALICE} 80 -p 2")
    check_equal(fetch(lab, 7), "AABBBAA", "who served")
    # A has used up its second turn and waits behind B.
    check_equal([row.split() for row in lab.masqgate.text("net/ip_masq/portfw").splitlines()[1:]],
                [["TCP", "CB007102", "80", ">", "C0A8000B", "80", "3", "3"],
                 ["TCP", "CB007102", "80", ">", "C0A8000A", "80", "2", "2"]], "the table")


@story("M8: a host inside that asks for the outside address is served as the world is", needs_masqgate=True)
def from_inside(lab):
    start(lab)
    web_servers(lab)
    ipmasqadm(lab, f"portfw -a {WEB} -R {l.ALICE} 80")
    check_equal(fetch(lab, 2, lab.bob), "AA", "who served")


@story("M8: what is deleted serves no more; mistakes are told as they always were", needs_masqgate=True)
def deletion(lab):
    start(lab)
    web_servers(lab)
    ipmasqadm(lab, f"portfw -a {WEB} -R {l.ALICE} 80")
    check_equal(fetch(lab, 1), "A", "who served")
    ipmasqadm(lab, f"portfw -d {WEB}")
    done = lab.server.run("curl", "-sS", "--max-time", "5", f"http://{l.ROUTER_WAN}/", check=False)
    check_equal(done.returncode, 7, f"a refused connection: {done.stderr}")
    check_equal(ipmasqadm(lab, f"portfw -d {WEB}", status=255), "portfw: setsockopt failed: No such process\n", "said")
    check_equal(ipmasqadm(lab, f"portfw -a -P tcp -L {l.ROUTER_WAN} 61000 -R {l.ALICE} 80", status=255),
                "portfw: setsockopt failed: Invalid argument\n", "said")
    check_equal(ipmasqadm(lab, "mfw -E -m 9", status=255), "mfw: setsockopt failed: Invalid argument\n", "said")


@story("M8: what the command lists is what the files say, and the files take its words", needs_masqgate=True)
def listings(lab):
    start(lab)
    files = lab.masqgate.tree / "net/ip_masq"
    for module, line in (("portfw", f"-a {WEB} -R {l.ALICE} 8080 -p 7"),
                         ("portfw", f"-a {WEB.replace('tcp', 'udp')} -R {l.BOB} 53"),
                         ("mfw", f"-A -m 31 -r {l.ALICE} 80"), ("autofw", f"-A -r udp 7000 7010 -h {l.ALICE} -u")):
        lab.router.run("sh", "-c", f"echo '{line}' > {files / module}")
    check_equal(ipmasqadm(lab, "portfw -l -n").splitlines(),
                ["prot localaddr            rediraddr               lport    rport  pcnt  pref",
                 "UDP  203.0.113.2          192.168.0.11               80       53    10    10",
                 "TCP  203.0.113.2          192.168.0.10               80     8080     7     7"], "portfw -l -n")
    check_equal((files / "portfw").read_text(),
                "".join(f"{line:<63}\n" for line in ("Prot LAddr    LPort > RAddr    RPort PrCnt  Pref",
                                                     "UDP  CB007102    80 > C0A8000B    53    10    10",
                                                     "TCP  CB007102    80 > C0A8000A  8080     7     7")), "portfw")
    check_equal(ipmasqadm(lab, "mfw -L -n").splitlines()[1:],
                ["31       192.168.0.10               80    10    10"], "mfw -L -n")
    check_equal((files / "autofw").read_text().splitlines()[1:],
                ["   1   11 1B58-1B62/0000 0000 C0A8000A 00000000 0000 0000      0    0"], "autofw")
    for wrong in ("-a -P icmp", "-l", "nonsense"):
        done = lab.router.run("bash", "-c", f"echo '{wrong}' > {files / 'portfw'}", check=False)
        check("Invalid argument" in done.stderr, f"{wrong}: {done.stderr or 'accepted'}")
    check_equal(ipmasqadm(lab, "portfw -f") + ipmasqadm(lab, "portfw -l").splitlines()[0][:4], "prot", "said")
    check_equal(len((files / "portfw").read_text().splitlines()), 1, "lines of an empty table")


@story("M8: a range opens to whom a host inside has spoken, by the old name of the command", needs_masqgate=True)
def autofw(lab):
    start(lab)
    name = lab.directory / "ipmasqadm"
    name.symlink_to(pathlib.Path(lab.masqgate.control).resolve())
    lab.router.run("env", f"MASQGATE_SOCKET={lab.masqgate.rest.path}", name,
                   "autofw", "-A", "-r", "udp", "7000", "7010", "-c", "tcp", "7", "-u")
    servers.TcpEcho(lab.server)
    inside = servers.UdpEcho(lab.alice, l.ALICE, port=7005)
    stranger = servers.udp_socket(lab.server, timeout=0.3)
    check(not servers.echoed(stranger, (l.ROUTER_WAN, 7005), tries=2), "open before anybody spoke")
    control = servers.connect(lab.alice, (l.SERVER, 7))
    check(servers.answers(control), "the control connection")
    peer = servers.udp_socket(lab.server)
    check(servers.echoed(peer, (l.ROUTER_WAN, 7005)), "not open to the peer")
    check_equal(inside.peers[0][0], l.SERVER, "the sender as the host inside saw it")
    row = lab.masqgate.text("net/ip_masq/autofw").splitlines()[1].split()
    check_equal((row[4], row[5]), ("C0A8000A", "CB007101"), f"host and peer in {row}")


@story("F3 mark: MFW with marks of the firewall: the requests go A B A B, unmarked ones nowhere", needs_masqgate=True)
def marked(lab):
    config = r.configuration()
    config["firewall"]["forward"]["rules"].append({"id": "forwards", "destination": l.LAN, "action": "accept"})
    config["firewall"]["prerouting"] = {"rules": [
        {"id": "web", "in": "wan", "state": "new", "protocol": "tcp", "destination": l.ROUTER_WAN,
         "destination_port": 80, "action": {"mark": "0x1f"}}]}
    lab.masqgate.start(config)
    web_servers(lab)
    ipmasqadm(lab, f"mfw -A -m 31 -r {l.ALICE} 80 -p 1")
    ipmasqadm(lab, f"mfw -A -m 31 -r {l.BOB} 80 -p 1")
    check_equal(fetch(lab, 4), "ABAB", "who served")
    done = lab.server.run("curl", "-sS", "--max-time", "5", f"http://{l.ROUTER_WAN}:8080/", check=False)
    check_equal(done.returncode, 7, f"a connection that nobody marked: {done.stderr}")
    rules = {rule["rule"]: rule for rule in lab.masqgate.rest.get("/v1/rules")["rules"]}
    check_equal(rules["web"]["packets"], 4, "packets marked")


if __name__ == "__main__":
    main()
