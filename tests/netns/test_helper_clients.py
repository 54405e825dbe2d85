#!/usr/bin/env python3
"""H2 to H4: helpers with more programs of Debian: irssi sends files by DCC, proftpd, rsh, talk, Amanda's amservice.

Debian's rsh-redone 85-4 loses what commands write to their standard error, without any router between; so rsh is
netkit's. Debian's FTP servers exclude each other, and the other stories have vsftpd: proftpd is asked where it is
installed instead, else pyftpdlib. Of Amanda amservice asks for a backup, as the server's planner and dumper do, who
would need a tape.
"""
import contextlib
import hashlib
import os
import pathlib
import pty
import random
import select
import shutil
import socket
import struct
import subprocess
import threading
import time

import lab as l
import router as r
from servers import ngircd
from story import check, check_equal, main, story

PROFTPD = """
ServerType standalone
ServerName test
Port 21
DefaultAddress {address}
UseIPv6 off
UseReverseDNS off
User root
Group root
PidFile {folder}/pid
ScoreboardFile {folder}/scoreboard
SystemLog {folder}/system.log
TransferLog none
WtmpLog off
DelayEngine off
AuthUserFile {folder}/users
AuthGroupFile {folder}/groups
AuthOrder mod_auth_file.c
RequireValidShell off
RootLogin on
"""


def configuration(*nat, inward=(), **helpers):
    """Nobody outside may begin a connection, but to ports that are named, unless a helper has announced it."""
    config = {**r.configuration(), "helpers": {name: {"enabled": True} for name in helpers}}
    config["nat"] = [*nat, *config["nat"]]
    for protocol, port in inward:
        config["firewall"]["forward"]["rules"].append(
            {"id": f"{protocol}-{port}", "protocol": protocol, "destination_port": port, "action": "accept"})
    return config


def helper(lab, name):
    return next(h for h in lab.masqgate.rest.get("/v1/helpers")["helpers"] if h["name"] == name)


def refusals(lab, name):
    return {why: count for why, count in helper(lab, name)["refusals"].items() if count}


class Terminal:
    """A program that wants a terminal: what it draws is kept, and text can be typed."""

    def __init__(self, host, *command, **environment):
        master, slave = pty.openpty()
        self.master, self.text = master, b""
        self.popen = subprocess.Popen(host.command(*command), stdin=slave, stdout=slave, stderr=slave,
                                      start_new_session=True,
                                      env={**os.environ, "TERM": "xterm", "LANG": "C.UTF-8", **environment})
        os.close(slave)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        with contextlib.suppress(OSError):
            while more := os.read(self.master, 65536):
                self.text += more

    def type(self, line):
        os.write(self.master, line.encode() + b"\n")

    def say_to(self, other, line):
        """Types until the other shows it: what is typed while a program is still busy may be thrown away."""
        for _ in range(20):
            self.type(line)
            with contextlib.suppress(l.Failed):
                l.wait_until(lambda: line.encode() in other.text, line, 3)
                return
        other.wait_for(line)

    def wait_for(self, text):
        l.wait_until(lambda: text.encode() in self.text or self.popen.poll() is not None, f"{text} in {self.text!r}")
        check(text.encode() in self.text, f"ended before {text}: {self.text!r}")

    def close(self):
        self.popen.kill()
        self.popen.wait()
        os.close(self.master)


@contextlib.contextmanager
def terminal(*arguments, **environment):
    one = Terminal(*arguments, **environment)
    try:
        yield one
    finally:
        one.close()


def irssi(host, nick, server):
    home = host.lab.directory / f"irssi-{nick}"
    home.mkdir()
    (home / "got").mkdir()
    (home / "config").write_text(
        f'settings = {{ core = {{ user_name = "{nick}"; real_name = "{nick}"; nick = "{nick}"; }};'
        f' "irc/dcc" = {{ dcc_autoget = "yes"; dcc_download_path = "{home}/got"; }}; }};\n')
    return terminal(host, "irssi", f"--home={home}", "-c", server, "-n", nick, HOME=str(home))


@story("H3: irssi sends files by DCC both ways", needs_masqgate=True)
def dcc(lab):
    lab.masqgate.start(configuration())
    ngircd(lab.server, l.SERVER)
    content = random.Random(1).randbytes(3_000_000)
    (lab.directory / "sent").write_bytes(content)
    with irssi(lab.alice, "alice", l.SERVER) as alice, irssi(lab.server, "eve", l.SERVER) as eve:
        for one in (alice, eve):
            one.wait_for("irc.example")
        for one, other, name in ((alice, "eve", "alice"), (eve, "alice", "eve")):
            got = lab.directory / f"irssi-{other}" / "got" / "sent"

            def sent(one=one, other=other, got=got):
                one.type(f"/DCC SEND {other} {lab.directory / 'sent'}")
                with contextlib.suppress(l.Failed):
                    l.wait_until(lambda: got.exists() and got.stat().st_size == len(content), "the file", 5)
                    return True
                return False
            try:
                l.wait_until(sent, f"what {name} sends")
            except l.Failed as failed:
                raise l.Failed(f"{failed}\n{alice.text[-3000:]!r}\n{eve.text[-3000:]!r}") from None
            check_equal(hashlib.sha256(got.read_bytes()).hexdigest(), hashlib.sha256(content).hexdigest(), "checksum")
    irc = helper(lab, "irc")
    check(irc["fulfilled"] >= 1, f"nobody came by what alice offered: {irc}")


def serve_by_proftpd(host, address, folder):
    """One file for tester, whose password is secret."""
    password = subprocess.run(["openssl", "passwd", "-5", "secret"], capture_output=True, text=True, check=True)
    (folder / "users").write_text(f"tester:{password.stdout.strip()}:0:0::{folder}:/bin/sh\n")
    (folder / "groups").write_text("root:x:0:\n")
    for secret in ("users", "groups"):
        (folder / secret).chmod(0o600)
    (folder / "conf").write_text(PROFTPD.format(folder=folder, address=address))
    host.start("proftpd", "-n", "-q", "-c", folder / "conf")


def serve_by_pyftpdlib(host, address, folder):
    host.start("/usr/bin/python3", "-m", "pyftpdlib", "-i", address, "-p", 21, "-d", folder, "-u", "tester",
               "-P", "secret")


# Debian installs one server of its own at a time, and the other stories have vsftpd.
serve_by_another = serve_by_proftpd if shutil.which("proftpd") else serve_by_pyftpdlib


@story("H2: another FTP server, active and passive in all four ways, outside and behind a forward",
       needs_masqgate=True)
def another_server(lab):
    lab.masqgate.start(configuration({"dnat": "wan", "protocol": "tcp", "destination_port": 21, "to": l.BOB},
                                     inward=[("tcp", 21)]))
    lab.directory.chmod(0o755)
    content = random.Random(2).randbytes(5_000_000)
    ways = {"PORT": ("-P", "-", "--disable-eprt"), "EPRT": ("-P", "-"), "PASV": ("--disable-epsv",), "EPSV": ()}
    for server, address, client, shown in ((lab.server, l.SERVER, lab.alice, l.SERVER),
                                           (lab.bob, l.BOB, lab.server, l.ROUTER_WAN)):
        folder = lab.directory / f"ftp-{server.name}"
        folder.mkdir()
        (folder / "file").write_bytes(content)
        serve_by_another(server, address, folder)
        l.wait_until(lambda host=server: ":21 " in host.run("ss", "-ltn").stdout, "the server to listen")
        for name, options in ways.items():
            got = lab.directory / f"got-{server.name}-{name}"
            client.run("curl", "-sS", "--max-time", "40", "-u", "tester:secret", *options, "-o", got,
                       f"ftp://{shown}/file")
            check(got.read_bytes() == content, f"{server.name}, {name}: other bytes came")
    check_equal(refusals(lab, "ftp"), {}, "refused")


class Inetd(threading.Thread):
    """As inetd: each connection to a port gets a program whose standard input and output it is."""

    def __init__(self, host, port, *command, **environment):
        super().__init__(daemon=True)
        self.command, self.environment = host.command(*command), {**os.environ, **environment}
        self.children = []
        with host.inside():
            self.listener = socket.create_server(("", port))
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self.listener.accept()[0]
                self.children.append(subprocess.Popen(self.command, stdin=connection, stdout=connection,
                                                      stderr=connection, env=self.environment))
                connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        for child in self.children:
            child.kill()
            child.wait()


class DatagramInetd(threading.Thread):
    """As inetd with "wait": whatever comes to a port of UDP is for one program at a time, whose input it is."""

    def __init__(self, host, port, *command):
        super().__init__(daemon=True)
        self.command, self.child, self.ends = host.command(*command), None, False
        with host.inside():
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("", port))
        self.start()

    def run(self):
        while not self.ends:
            if select.select([self.socket], [], [], 0.1)[0]:
                self.child = subprocess.Popen(self.command, stdin=self.socket, stdout=self.socket,
                                              stderr=subprocess.DEVNULL)
                self.child.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ends = True
        if self.child:
            self.child.kill()
        self.join()
        self.socket.close()


@contextlib.contextmanager
def instead(files, folders=()):
    """Puts other text in the place of these files, and empty folders, for the programs of this laboratory only."""
    with contextlib.ExitStack() as undo:
        def mount(place, *options):
            subprocess.run(["mount", *options, place], check=True)
            undo.callback(subprocess.run, ["umount", "--lazy", place], check=True)
        for place, text in files.items():
            file = pathlib.Path("/run", place.replace("/", "-"))
            file.write_text(text)
            mount(place, "--bind", str(file))
        for place in folders:
            mount(place, "-t", "tmpfs", "-o", "mode=1777", "tmpfs")
        yield


WITHOUT_DNS = {"/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n"}


def is_here(*programs):
    """Releases of Debian have not all of them."""
    missing = [program for program in programs if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")]
    if missing:
        print("not told, for want of", *missing)
    return not missing


@story("H4: rsh brings home what a command says to standard error, by a connection backwards", needs_masqgate=True)
def rsh(lab):
    if not is_here("netkit-rsh", "in.rshd"):
        return
    lab.masqgate.start(configuration(rsh={}))
    # Who may come is not what is asked here.
    permits = "".join(f"{kind} required pam_permit.so\n" for kind in ("auth", "account", "session"))
    with instead({**WITHOUT_DNS, "/etc/pam.d/rsh": permits}), Inetd(lab.server, 514, "/usr/sbin/in.rshd"):
        rsh_commands(lab)
    check_equal((helper(lab, "rsh")["fulfilled"], refusals(lab, "rsh")), (2, {}), "connections backwards, and refusals")


def rsh_commands(lab):
    for host in (lab.alice, lab.bob):
        command = f"echo err-{host.name} >&2; read word; echo out-$word"
        with subprocess.Popen(host.command("netkit-rsh", "-l", "root", l.SERVER, command), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
            threading.Timer(40, client.kill).start()
            check_equal(client.stderr.readline(), f"err-{host.name}\n", "what came by the connection backwards")
            check_equal(client.communicate("word\n")[0], "out-word\n", "what came by the other one")


BACKUP = ("setpriv", "--reuid=backup", "--regid=backup", "--init-groups")
BACKUP_REQUEST = """<dle>
<program>GNUTAR</program>
<disk>/etc/amanda</disk>
<level>0</level>
<auth>BSD</auth>
<index>YES</index>
</dle>
"""


@story("H4: Amanda: amandad inside names four ports, and amservice outside comes to the first", needs_masqgate=True)
def amanda(lab):
    agent, asker = "/usr/lib/amanda/amandad", "amservice"
    if not is_here(agent, asker, "setpriv") or lab.alice.run(*BACKUP, "true", check=False).returncode != 0:
        return
    lab.masqgate.start(configuration({"dnat": "wan", "protocol": "udp", "destination_port": 10080, "to": l.ALICE},
                                     inward=[("udp", 10080)], amanda={}))
    files = {**WITHOUT_DNS, "/etc/amandahosts": "tapeserver backup\n",
             "/etc/hosts": f"127.0.0.1 localhost\n{l.SERVER} tapeserver\n{l.ROUTER_WAN} agent\n",
             "/etc/services": "amanda 10080/udp\namanda 10080/tcp\n"}
    with instead(files, ("/var/log/amanda", "/var/lib/amanda", "/tmp")), \
            DatagramInetd(lab.alice, 10080, *BACKUP, agent, "-auth=bsd", "amdump"):
        shutil.chown("/etc/amandahosts", "backup", "backup")
        os.chmod("/etc/amandahosts", 0o600)
        request = pathlib.Path("/tmp/request")
        request.write_text(BACKUP_REQUEST)
        lists = pathlib.Path("/var/lib/amanda/gnutar-lists")
        lists.mkdir()
        shutil.chown(lists, "backup", "backup")
        lab.server.run(*BACKUP, asker, "agent", "bsd", "noop")

        def connected():
            done = lab.server.run(*BACKUP, asker, "-f", request, "-s", "agent", "bsd", "sendbackup", check=False)
            return done.stdout.startswith("Connected")
        l.wait_until(connected, "a stream of amandad")
    counted = helper(lab, "amanda")
    check(counted["announced"] >= 4 and counted["fulfilled"] >= 1, f"ports, and who came: {counted}")
    check_equal(refusals(lab, "amanda"), {}, "refused")


@contextlib.contextmanager
def log_in(user):
    """A terminal on which utmp says that this user is there, and that takes messages; where they come out."""
    master, slave = pty.openpty()
    os.fchmod(slave, 0o620)
    line = os.ttyname(slave).removeprefix("/dev/").encode()
    record = struct.pack("hi32s4s32s256shhiii4i20s", 7, os.getpid(), line, line[-4:], user.encode(), b"", 0, 0, 0,
                         int(time.time()), 0, 0, 0, 0, 0, b"")
    pathlib.Path("/run/utmp").write_bytes(record)
    try:
        yield master
    finally:
        os.close(master)
        os.close(slave)


@story("H4: talk: who is called asks the caller's daemon where he waits, and both write", needs_masqgate=True)
def talk(lab):
    if not is_here("talk", "in.ntalkd"):
        return
    lab.masqgate.start(configuration(talk={}))
    with instead(WITHOUT_DNS), log_in("root") as bell, DatagramInetd(lab.alice, 518, "in.ntalkd"), \
            DatagramInetd(lab.server, 518, "in.ntalkd"), \
            terminal(lab.alice, "talk", f"root@{l.SERVER}") as caller:
        l.wait_until(lambda: select.select([bell], [], [], 0)[0] and b"respond with" in os.read(bell, 4096),
                     "a call on the terminal")
        with terminal(lab.server, "talk", f"root@{l.ROUTER_WAN}") as callee:
            for one in (caller, callee):
                one.wait_for("established")
            for one, other, word in ((caller, callee, "hitherto"), (callee, caller, "thither")):
                one.say_to(other, word)
    check_equal((helper(lab, "talk")["fulfilled"], refusals(lab, "talk")), (2, {}), "who came, and refusals")


if __name__ == "__main__":
    main()
