#!/usr/bin/env python3
"""H1 to H4: FTP, TFTP and IRC DCC with real programs, active and passive, with the server on either side."""
import hashlib
import os
import random
import re
import socket

import lab as l
import router as r
from servers import ngircd
from story import check, check_equal, main, story

SIZE = 20_000_000
VSFTPD = """
listen={listen}
listen_ipv6={listen_6}
anonymous_enable=YES
local_enable=NO
anon_root={root}
connect_from_port_20=YES
run_as_launching_user=NO
secure_chroot_dir={empty}
isolate=NO
isolate_network=NO
seccomp_sandbox=NO
background=NO
"""


def configuration(*nat, forwarded=False):
    """Nobody outside may begin a connection, unless a helper has announced it."""
    config = r.configuration()
    config["nat"] = [*nat, *config["nat"]]
    if forwarded:
        config["firewall"]["forward"]["rules"].append({"id": "ftp", "protocol": "tcp", "destination_port": 21,
                                                       "action": "accept"})
    return config


def serve_ftp(lab, host, ipv6=False):
    """vsftpd with one file; returns the file's bytes."""
    root, empty = lab.directory / "ftp", lab.directory / "empty"
    for folder in (root, empty):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    lab.directory.chmod(0o755)
    content = bytes(range(256)) * (SIZE // 256)
    (root / "file").write_bytes(content)
    (root / "file").chmod(0o644)
    file = lab.directory / f"vsftpd-{host.name}.conf"
    file.write_text(VSFTPD.format(root=root, empty=empty, listen="NO" if ipv6 else "YES",
                                  listen_6="YES" if ipv6 else "NO").lstrip())
    host.start("vsftpd", file)
    l.wait_until(lambda: ":21 " in host.run("ss", "-ltn").stdout, "vsftpd to listen")
    return content


def fetch(lab, host, address, *options):
    file = lab.directory / f"got-{host.name}"
    host.run("curl", "-sS", "--max-time", "40", *options, "-o", file, f"ftp://{address}/file")
    return file.read_bytes()


def helper(lab, name):
    return next(h for h in lab.masqgate.rest.get("/v1/helpers")["helpers"] if h["name"] == name)


ACTIVE = {"PORT": ("-P", "-", "--disable-eprt"), "EPRT": ("-P", "-")}
PASSIVE = {"PASV": ("--disable-epsv",), "EPSV": ()}


@story("H2: a client inside, active by PORT and EPRT, passive by PASV and EPSV", needs_masqgate=True)
def client_inside(lab):
    lab.masqgate.start(configuration())
    content = serve_ftp(lab, lab.server)
    for name, options in {**ACTIVE, **PASSIVE}.items():
        check(fetch(lab, lab.alice, l.SERVER, *options) == content, f"{name}: other bytes came")
    ftp = helper(lab, "ftp")
    check_equal((ftp["announced"], ftp["fulfilled"]), (4, 4), "announced and fulfilled")
    past = lab.masqgate.rest.get("/v1/expectations")["expectations"]
    check(past[-1]["evidence"].startswith("PORT 192,168,0,10,"), f"evidence: {past[-1]}")
    check_equal({e["outcome"] for e in past}, {"fulfilled"}, "what became of them")


@story("H2: the same for a client of IPv6, which nobody translates", needs_masqgate=True)
def client_of_ipv6(lab):
    lab.masqgate.start(configuration())
    content = serve_ftp(lab, lab.server, ipv6=True)
    for name, options in (("EPRT", ACTIVE["EPRT"]), ("EPSV", PASSIVE["EPSV"])):
        check(fetch(lab, lab.alice, f"[{l.SERVER_6}]", *options) == content, f"{name}: other bytes came")
    check_equal(helper(lab, "ftp")["fulfilled"], 2, "fulfilled")


@story("H2: a server inside behind a forward, asked from outside and from inside", needs_masqgate=True)
def server_inside(lab):
    forward = {"dnat": "wan", "protocol": "tcp", "destination_port": 21, "to": l.ALICE}
    lab.masqgate.start(configuration(forward, forwarded=True))
    content = serve_ftp(lab, lab.alice)
    for host in (lab.server, lab.bob):
        for name, options in {**ACTIVE, **PASSIVE}.items():
            check(fetch(lab, host, l.ROUTER_WAN, *options) == content, f"{host.name}, {name}: other bytes came")


@story("H2: 200 active transfers of two clients at the same time", needs_masqgate=True)
def many(lab):
    lab.masqgate.start(configuration())
    serve_ftp(lab, lab.server)
    running = [host.start("curl", "-sS", "--max-time", "120", *ACTIVE["PORT"], "-r", "0-99999", "-o", "/dev/null",
                          f"ftp://{l.SERVER}/file")
               for host in (lab.alice, lab.bob) for _ in range(100)]
    check_equal([p.wait(130) for p in running], [0] * 200, "how they ended")


@story("H2: 64 MB by lftp, active and passive, with equal checksums", needs_masqgate=True)
def checksums(lab):
    lab.masqgate.start(configuration())
    serve_ftp(lab, lab.server)
    content = random.Random(1).randbytes(64_000_000)
    (lab.directory / "ftp/big").write_bytes(content)
    (lab.directory / "ftp/big").chmod(0o644)
    wanted = hashlib.sha256(content).hexdigest()
    for passive in ("no", "yes"):
        got = lab.directory / f"got-{passive}"
        lab.alice.run("lftp", "-c", f"set ftp:passive-mode {passive}; set net:max-retries 1; open {l.SERVER}; "
                      f"get big -o {got}", env={**os.environ, "HOME": str(lab.directory)})
        check_equal(hashlib.sha256(got.read_bytes()).hexdigest(), wanted, f"checksum, passive: {passive}")
    check_equal(helper(lab, "ftp")["fulfilled"], 2, "fulfilled")


@story("T-09: with its helper off an active client gets nothing, at once and for connections that are there",
       needs_masqgate=True)
def switched_off(lab):
    config = configuration()
    lab.masqgate.start(config)
    content = serve_ftp(lab, lab.server)
    check(fetch(lab, lab.alice, l.SERVER, *ACTIVE["PORT"]) == content, "other bytes came")
    document = lab.masqgate.rest.get("/v1/config")
    document["helpers"]["ftp"]["enabled"] = False
    lab.masqgate.rest.put("/v1/config", document)
    done = lab.alice.run("curl", "-sS", "--max-time", "5", *ACTIVE["PORT"], "-o", "/dev/null", f"ftp://{l.SERVER}/file",
                         check=False)
    check(done.returncode != 0, "it came although nobody helped")


@story("H4: TFTP, read and written by a client inside", needs_masqgate=True)
def tftp(lab):
    lab.masqgate.start(configuration())
    root = lab.directory / "tftp"
    root.mkdir()
    root.chmod(0o777)
    content = bytes(range(256)) * 400
    (root / "file").write_bytes(content)
    (root / "file").chmod(0o666)
    lab.server.start("in.tftpd", "-L", "-4", "-a", f"{l.SERVER}:69", "-u", "root", "-c", "-s", root)
    l.wait_until(lambda: ":69 " in lab.server.run("ss", "-lun").stdout, "in.tftpd to listen")
    got = lab.directory / "got"
    lab.alice.run("atftp", "--get", "-r", "file", "-l", got, l.SERVER, 69)
    check(got.read_bytes() == content, "other bytes came")
    lab.alice.run("atftp", "--put", "-r", "new", "-l", got, l.SERVER, 69)
    check((root / "new").read_bytes() == content, "other bytes went")
    lab.alice.run("tftp", "-m", "binary", l.SERVER, "-c", "get", "file", lab.directory / "got2")
    check((lab.directory / "got2").read_bytes() == content, "other bytes came to tftp-hpa")
    check_equal(helper(lab, "tftp")["fulfilled"], 3, "fulfilled")


class Irc:
    """A person on IRC."""

    def __init__(self, host, nick, server):
        with host.inside():
            self.socket = socket.create_connection((server, 6667), 10)
        self.text = ""
        self.say(f"NICK {nick}")
        self.say(f"USER {nick} 0 * :{nick}")
        self.wait_for(r" 001 ")

    def say(self, line):
        self.socket.sendall(f"{line}\r\n".encode())

    def wait_for(self, pattern):
        while not (found := re.search(pattern, self.text)):
            more = self.socket.recv(4096).decode()
            check(more, f"the server hung up before {pattern}: {self.text}")
            for token in re.findall(r"PING :?(\S+)", more):
                self.say(f"PONG {token}")
            self.text += more
        self.text = self.text[found.end():]
        return found


def decimal(address):
    return int.from_bytes(socket.inet_aton(address), "big")


def listen(host, address):
    with host.inside():
        return socket.create_server((address, 0))


@story("H3: DCC offers of a client inside reach people outside, with RESUME", needs_masqgate=True)
def dcc(lab):
    lab.masqgate.start(configuration())
    ngircd(lab.server, l.SERVER)
    alice, eve = Irc(lab.alice, "alice", l.SERVER), Irc(lab.server, "eve", l.SERVER)
    for kind, name, size in (("SEND", "file.txt", " 1000"), ("CHAT", "chat", "")):
        listener = listen(lab.alice, l.ALICE)
        port = listener.getsockname()[1]
        alice.say(f"PRIVMSG eve :\x01DCC {kind} {name} {decimal(l.ALICE)} {port}{size}\x01")
        offer = eve.wait_for(rf"DCC {kind} {name} (\d+) (\d+)")
        check_equal(int(offer[1]), decimal(l.ROUTER_WAN), "the offered address")
        if kind == "SEND":
            eve.say(f"PRIVMSG alice :\x01DCC RESUME {name} {offer[2]} 500\x01")
            check_equal(int(alice.wait_for(rf"DCC RESUME {name} (\d+) 500")[1]), port, "the resumed port")
        with lab.server.inside():
            caller = socket.create_connection((l.ROUTER_WAN, int(offer[2])), 10)
        listener.settimeout(10)
        accepted = listener.accept()[0]
        accepted.sendall(b"hello")
        check_equal(caller.recv(5), b"hello", "what came by DCC")
    # The other way round nobody needs help: who is offered something connects outward.
    listener = listen(lab.server, l.SERVER)
    eve.say(f"PRIVMSG alice :\x01DCC CHAT chat {decimal(l.SERVER)} {listener.getsockname()[1]}\x01")
    offer = alice.wait_for(r"DCC CHAT chat (\d+) (\d+)")
    with lab.alice.inside():
        socket.create_connection((l.SERVER, int(offer[2])), 10)


if __name__ == "__main__":
    main()
