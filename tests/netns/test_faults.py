#!/usr/bin/env python3
"""What goes wrong: full tables, floods, hostile frames, a NIC or a permission that is missing, kill -9."""
import errno
import json
import random
import shutil
import socket
import subprocess

import lab as l
import router as r
import servers
from story import check, check_equal, main, story

IP_RECVERR = 11  # errors that may pass are told too


@story("K-19: when the table is full, established connections stay and new ones are dropped and counted",
       needs_masqgate=True)
def table_full(lab):
    config = r.configuration()
    config["conntrack"] = {"max": 64}
    config["limits"] = {"sessions_per_host": 0, "reserve": 0}
    lab.masqgate.start(config)
    servers.TcpEcho(lab.server)
    opened = []
    for _ in range(100):
        try:
            connection = servers.connect(lab.alice, (l.INTERNET, 7), timeout=2)
            if not servers.answers(connection):
                break
            opened.append(connection)
        except OSError:  # told that there is no room, or not even that
            break
    check(30 <= len(opened) <= 64, f"{len(opened)} connections fit into a table of 64")
    check(lab.masqgate.rest.get("/v1/drops")["drops"]["table_full"] > 0, "nothing is counted")
    check(all(servers.answers(c) for c in opened), "an established connection was lost")
    for connection in opened[:10]:
        lab.masqgate.rest.delete("/v1/connections/" + next(
            c["id"] for c in lab.masqgate.connections(protocol="tcp")
            if c["original"]["source_port"] == connection.getsockname()[1]))
    check(servers.answers(servers.connect(lab.alice, (l.INTERNET, 7))), "no room though ten are gone")


@story("R-28: a flood to neighbours that do not answer is bounded, told to the sender, and disturbs nobody")
def unresolved(lab):
    lab.masqgate.start()
    servers.UdpEcho(lab.server)
    flow = servers.udp_socket(lab.bob)
    check(servers.echoed(flow, (l.INTERNET, 7)), "no answer before the flood")
    flood = servers.udp_socket(lab.alice)
    for turn in range(40):
        for host in range(100, 250):
            flood.sendto(b"x" * 500, (f"203.0.113.{host}", 9))
        check(turn % 10 or servers.echoed(flow, (l.INTERNET, 7)), "no answer during the flood")
    one = servers.udp_socket(lab.alice, timeout=1)
    one.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    one.connect(("203.0.113.99", 9))

    def told():
        try:
            one.send(b"x")
            one.recv(100)
        except OSError as error:
            return error.errno == errno.EHOSTUNREACH
        return False
    l.wait_until(told, "'host unreachable'", 20)


def hostile_frames(router_mac, own_mac, count):
    """Frames that were good once, with a few bytes changed or cut off."""
    choose = random.Random(1)
    ethernet = bytes.fromhex(router_mac.replace(":", "") + own_mac.replace(":", ""))
    source, target = (socket.inet_aton(a) for a in (l.ALICE, l.INTERNET))
    source_6, target_6 = (socket.inet_pton(socket.AF_INET6, a) for a in (l.ALICE_6, l.INTERNET_6))
    transport = {1: "0800f7fd00010001", 6: "9c40005000000001000000005002faf000000000",
                 17: "9c400035001000003132333435363738", 47: "0000000000000000", 58: "8000000000010001"}
    good = []
    for protocol, text in transport.items():
        rest = bytes.fromhex(text)
        good.append(ethernet + b"\x08\x00" + bytes([0x45, 0, 0, 20 + len(rest), 0, 1, 0, 0, 64, protocol, 0, 0]) +
                    source + target + rest)
        good.append(ethernet + b"\x86\xdd" + bytes([0x60, 0, 0, 0, 0, len(rest), protocol, 64]) + source_6 +
                    target_6 + rest)
        good.append(ethernet + b"\x86\xdd" + bytes([0x60, 0, 0, 0, 0, len(rest) + 8, 44, 64]) + source_6 +
                    target_6 + bytes([protocol, 0, 0, 1, 0, 0, 0, 7]) + rest)
    good.append(ethernet + b"\x08\x06" + bytes.fromhex("0001080006040001") + b"\0" * 20)
    for _ in range(count):
        frame = bytearray(choose.choice(good))
        for _ in range(choose.randrange(4)):
            frame[choose.randrange(12, len(frame))] = choose.randrange(256)
        yield bytes(frame[:choose.randrange(14, len(frame) + 1)])


@story("malformed frames of every layer are dropped by name, and the router goes on")
def hostile(lab):
    lab.masqgate.start()
    servers.UdpEcho(lab.server)
    lab.alice.run("ping", "-c", "3", "-i", "0.2", "-W", "5", l.ROUTER_LAN)
    neighbour = json.loads(lab.alice.run("ip", "-json", "neigh", "show", l.ROUTER_LAN).stdout)[0]["lladdr"]
    with lab.alice.inside():
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        wire.bind(("eth0", 0))
    for frame in hostile_frames(neighbour, lab.alice.mac(), 5000):
        wire.send(frame)
    check(servers.echoed(servers.udp_socket(lab.bob), (l.INTERNET, 7)), "no answer after the frames")
    if isinstance(lab.masqgate, r.Masqgate):
        drops = lab.masqgate.rest.get("/v1/drops")["drops"]
        check(drops["malformed_ip"] > 0 and drops["bad_checksum"] > 0, f"drops {drops}")


def links(lab):
    return sorted(link["ifname"] for link in json.loads(lab.router.run("ip", "-json", "link").stdout))


def check_refusal(lab, config, *words):
    """The daemon ends with an error that says all words, and leaves nothing behind."""
    before = links(lab)
    process = lab.masqgate.launch(config)
    status = process.wait()
    check(status > 0, f"status {status}:\n{process.output()}")
    for word in words:
        check(word in process.output(), f"no {word!r} in:\n{process.output()}")
    check_equal(links(lab), before, "interfaces left behind")


@story("a NIC that does not exist is named, and nothing is left half configured", needs_masqgate=True)
def missing_nic(lab):
    config = r.configuration()
    config["ports"]["wan"]["nics"] = ["eth77"]
    check_refusal(lab, config, "eth77", "wan")
    lab.masqgate.start()


@story("a port name that an interface has already is refused", needs_masqgate=True)
def name_taken(lab):
    lab.router.ip("link add wan type bridge")
    check_refusal(lab, r.configuration(), "wan")
    lab.router.ip("link del dev wan")
    lab.masqgate.start()


@story("a document that is not one is refused with its place, by --check too", needs_masqgate=True)
def bad_file(lab):
    check_refusal(lab, '{\n  "ports": {,}\n}', "line 2")
    check_refusal(lab, '{"ports": {"lan": {"nics": 7}}}', "/ports/lan/nics")
    file = lab.directory / "bad.json"
    file.write_text('{"nat": [{"masquerade": "nowhere"}]}')
    done = lab.router.run(lab.masqgate.program, "--config", file, "--check", check=False)
    check(done.returncode > 0 and "/nat/0/masquerade" in done.stdout + done.stderr, done.stdout + done.stderr)
    file.write_text(json.dumps(r.configuration()))
    lab.router.run(lab.masqgate.program, "--config", file, "--check")


def private_device(lab, path, minor, mode):
    """Puts a device of the laboratory's own over the machine's: what is allowed there, others keep."""
    node = lab.directory / path.replace("/", "-")
    node.unlink(missing_ok=True)
    subprocess.run(["mknod", "-m", mode, node, "c", "10", str(minor)], check=True)
    subprocess.run(["mount", "--bind", node, path], check=True)


def started_as_nobody(lab, *capabilities):
    """The daemon as a user with these capabilities only; it must end by itself. Returns what it said."""
    program = lab.directory / "masqgated"  # where everybody may run it
    shutil.copy(lab.masqgate.program, program)
    lab.directory.chmod(0o755)
    file = lab.directory / "nobody.json"
    file.write_text(json.dumps({**r.configuration(), "runtime": "/run/nobody"}))
    l.pathlib.Path("/run/nobody").mkdir(exist_ok=True)
    shutil.chown("/run/nobody", 65534, 65534)
    caps = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    before = links(lab)
    done = lab.router.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps={caps}",
                          f"--ambient-caps={caps}", f"--bounding-set={caps}", program, "--config", file,
                          check=False)
    said = done.stdout + done.stderr
    check(done.returncode > 0, f"it started without permission:\n{said}")
    check_equal(links(lab), before, "interfaces left behind")
    return said


@story("without permission for /dev/net/tun the daemon says which and what to do", needs_masqgate=True)
def no_tun(lab):
    private_device(lab, "/dev/net/tun", 200, "600")
    said = started_as_nobody(lab, "net_admin")
    check("cannot open /dev/net/tun" in said and "run as root, or give this user access" in said, said)
    subprocess.run(["umount", "/dev/net/tun"], check=True)
    private_device(lab, "/dev/net/tun", 200, "666")
    said = started_as_nobody(lab)
    check("creating interfaces needs CAP_NET_ADMIN" in said, said)
    subprocess.run(["umount", "/dev/net/tun"], check=True)


@story("without permission for /dev/fuse the daemon says which and what to do", needs_masqgate=True)
def no_fuse(lab):
    private_device(lab, "/dev/net/tun", 200, "666")
    private_device(lab, "/dev/fuse", 229, "600")
    said = started_as_nobody(lab, "net_admin")
    check("/dev/fuse" in said, said)
    subprocess.run(["umount", "/dev/fuse", "/dev/net/tun"], check=True)


@story("M4: a runtime folder without room for the connection table is refused", needs_masqgate=True)
def no_room(lab):
    lab.masqgate.runtime.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", lab.masqgate.runtime], check=True)
    check_refusal(lab, r.configuration(), "cannot reserve 48 MiB", "connections.0", "No space left")
    subprocess.run(["umount", lab.masqgate.runtime], check=True)
    lab.masqgate.start()


@story("R4: after kill -9 a new daemon goes on with the connections of the old one", needs_masqgate=True)
def killed(lab):
    lab.masqgate.start()
    servers.TcpEcho(lab.server)
    transfers = [servers.Transfer(host, (l.INTERNET, 7)) for host in (lab.alice, lab.bob, lab.carol)]
    for _ in range(2):
        for transfer in transfers:
            transfer.wait_for_progress()
        lab.masqgate.kill()
        lab.masqgate.start()
    for transfer in transfers:
        transfer.wait_for_progress()
        transfer.stop()


@story("on stop the NICs get their addresses back and everything made is gone", needs_masqgate=True)
def stop(lab):
    lab.router.ip("addr add 192.168.0.1/24 dev lan0", "addr add 203.0.113.2/24 dev wan0",
                  f"route add default via {l.SERVER}")
    def state():
        addresses = json.loads(lab.router.run("ip", "-json", "-4", "addr").stdout)
        return (links(lab), {a["ifname"]: [i["local"] for i in a["addr_info"]] for a in addresses},
                lab.router.run("ip", "route").stdout)
    before = state()
    config = r.configuration()
    for port in ("lan", "wan"):
        config["ports"][port].update({"inherit": True, "addresses": []})
    config["routes"] = []
    lab.masqgate.start(config)
    web = servers.Http(lab.server)
    lab.alice.run("curl", "-sS", f"http://{l.INTERNET}/")
    check_equal(web.addresses(), {l.ROUTER_WAN}, "client")
    lab.masqgate.stop()
    check_equal(state(), before, "interfaces, addresses and routes")


if __name__ == "__main__":
    main()
