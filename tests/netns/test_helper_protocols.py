#!/usr/bin/env python3
"""H2, H4, H6: SIP with sipp, PPTP with peers that speak its control protocol and GRE, SNMP with snmpd, Amanda."""
import contextlib
import re
import socket
import struct
import threading

import lab as l
import router as r
from story import check, check_equal, main, story

UAS_HOLD = """<?xml version="1.0"?>
<scenario name="answers, is put on hold, and is taken back">{rounds}
  <recv request="BYE"/>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
</scenario>"""
UAS_ROUND = """
  <recv request="INVITE"/>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=7
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:[local_ip]:[local_port]>
Content-Type: application/sdp
Content-Length: [len]

v=0
o=u 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
]]></send>
  <recv request="ACK"/>"""
UAC_HOLD = """<?xml version="1.0"?>
<scenario name="calls, puts on hold, and takes back">{rounds}
  <send><![CDATA[
BYE sip:u@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:a@[local_ip]:[local_port]>;tag=1
To: <sip:u@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 9 BYE
Content-Length: 0

]]></send>
  <recv response="200"/>
</scenario>"""
UAC_ROUND = """
  <send><![CDATA[
INVITE sip:u@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:a@[local_ip]:[local_port]>;tag=1
To: <sip:u@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: {number} INVITE
Contact: <sip:a@[local_ip]:[local_port]>
Content-Type: application/sdp
Content-Length: [len]

v=0
o=a 1 {number} IN IP[local_ip_type] [local_ip]
s=-
c=IN IP4 {address}
t=0 0
m=audio [media_port] RTP/AVP 0
]]></send>
  <recv response="200"/>
  <send><![CDATA[
ACK sip:u@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:a@[local_ip]:[local_port]>;tag=1
To: <sip:u@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: {number} ACK
Content-Length: 0

]]></send>
  <pause milliseconds="200"/>"""


def configuration(**helpers):
    """Nobody outside may begin a connection, unless a helper has announced it."""
    return {**r.configuration(), "helpers": {name: {"enabled": True, **more} for name, more in helpers.items()}}


def forwarded(name, port):
    """The same with one helper, and its port of UDP leads to alice."""
    config = configuration(**{name: {}})
    config["nat"].insert(0, {"dnat": "wan", "protocol": "udp", "destination_port": port, "to": l.ALICE})
    config["firewall"]["forward"]["rules"].append({"id": name, "protocol": "udp", "destination_port": port,
                                                   "action": "accept"})
    return config


def helper(lab, name):
    return next(h for h in lab.masqgate.rest.get("/v1/helpers")["helpers"] if h["name"] == name)


SERVERS = {"networks": [f"{l.SERVER}/32"]}


def sipp(lab, host, *options, messages):
    return host.start("sipp", "-i", host.lab.addresses[host.name], "-m", 1, "-nostdin", "-trace_msg",
                      "-message_file", messages, *options)


def told_media(messages):
    """Where the INVITEs in this log want their media, in their order."""
    text = messages.read_text(errors="replace") if messages.exists() else ""
    found = []
    for invite in re.findall(r"INVITE sip:.*?\nm=audio (?:\d+)", text, re.S):
        found.append((re.search(r"\nc=IN IP4 (\S+)", invite)[1], int(re.search(r"m=audio (\d+)", invite)[1])))
    return found


def call(lab, *transport):
    """A call of alice to the server; returns what the server was told, once media went there and back."""
    lab.addresses = {"alice": l.ALICE, "server": l.SERVER}
    heard, said = lab.directory / "uas.msg", lab.directory / "uac.msg"
    uas = sipp(lab, lab.server, "-sn", "uas", "-p", 5060, "-mp", 7000, *transport, messages=heard)
    port = ":5060 "
    l.wait_until(lambda: port in lab.server.run("ss", "-ltun").stdout, "sipp to listen")
    uac = sipp(lab, lab.alice, "-sn", "uac", "-p", 5060, "-mp", 16000, "-rtp_echo", "-d", 3000, *transport,
               f"{l.SERVER}:5060", messages=said)
    address, port = l.wait_until(lambda: told_media(heard), "an INVITE at the server")[0]
    check_equal(address, l.ROUTER_WAN, "where the server sends its media")
    with lab.server.inside():
        media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        media.bind((l.SERVER, 7100))  # sipp has its own
    media.settimeout(0.2)

    def echoed():
        media.sendto(b"\x80\x00" + b"rtp" * 50, (address, port))
        try:
            return media.recvfrom(2000)
        except TimeoutError:
            return None
    data, sender = l.wait_until(echoed, "the echo of what was said")
    check_equal((data[2:5], sender), (b"rtp", (address, port)), "what came back, and from where")
    check_equal(uac.wait(30), 0, "how the caller ended")
    uas.stop()
    media.close()
    return heard.read_text(errors="replace")


def check_clean(text):
    """A Call-ID is a name, which nobody translates."""
    check(l.ALICE not in re.sub(r"Call-ID:.*", "", text), f"the server heard of the inside address:\n{text}")


@story("H2: SIP by UDP: a call of sipp, with media both ways", needs_masqgate=True)
def sip_udp(lab):
    lab.masqgate.start(configuration(sip=SERVERS))
    text = call(lab)
    check_clean(text)
    check_equal((helper(lab, "sip")["announced"], sum(helper(lab, "sip")["refusals"].values())), (4, 0),
                "announced by both, and refused")


@story("H2: SIP by TCP", needs_masqgate=True)
def sip_tcp(lab):
    lab.masqgate.start(configuration(sip_tcp=SERVERS))
    text = call(lab, "-t", "t1")
    check_clean(text)


@story("H2: SIP: hold and back again keep the ports (re-INVITE)", needs_masqgate=True)
def sip_hold(lab):
    lab.masqgate.start(configuration(sip=SERVERS))
    lab.addresses = {"alice": l.ALICE, "server": l.SERVER}
    uas_file, uac_file, heard = (lab.directory / name for name in ("uas.xml", "uac.xml", "uas.msg"))
    uas_file.write_text(UAS_HOLD.format(rounds=UAS_ROUND * 3))
    addresses = ["[media_ip]", "0.0.0.0", "[media_ip]"]
    uac_file.write_text(UAC_HOLD.format(rounds="".join(UAC_ROUND.format(number=i + 1, address=address)
                                                      for i, address in enumerate(addresses))))
    uas = sipp(lab, lab.server, "-sf", uas_file, "-p", 5060, "-mp", 7000, messages=heard)
    l.wait_until(lambda: ":5060 " in lab.server.run("ss", "-lun").stdout, "sipp to listen")
    uac = sipp(lab, lab.alice, "-sf", uac_file, "-p", 5060, "-mp", 16000, f"{l.SERVER}:5060",
               messages=lab.directory / "uac.msg")
    check_equal((uac.wait(30), uas.wait(30)), (0, 0), "how both ended")
    told = list(dict.fromkeys(told_media(heard)))
    check_equal([address for address, _ in told], [l.ROUTER_WAN, "0.0.0.0"], "the addresses of the INVITEs")
    check_equal(len({port for address, port in told_media(heard) if address == l.ROUTER_WAN}), 1, "ports of the call")


@story("K-06: SIP is not switched on without servers that may say what is opened", needs_masqgate=True)
def sip_without_servers(lab):
    lab.masqgate.start(configuration())
    document = lab.masqgate.rest.get("/v1/config")
    document["helpers"]["sip"]["enabled"] = True
    try:
        lab.masqgate.rest.put("/v1/config", document)
        check(False, "it was accepted")
    except r.Refused as refused:
        check("networks" in str(refused.problem), f"why: {refused.problem}")


MAGIC = 0x1A2B3C4D


def control(kind, body):
    return struct.pack(">HHIHH", 12 + len(body), 1, MAGIC, kind, 0) + body


def receive(connection):
    """The next control message: its type, and its body."""
    def exactly(size):
        data = b""
        while len(data) < size:
            more = connection.recv(size - len(data))
            check(more, "the control connection ended")
            data += more
        return data
    size, _, magic, kind, _ = struct.unpack(">HHIHH", exactly(12))
    check_equal(magic, MAGIC, "the magic word")
    return kind, exactly(size - 12)


class PptpServer(threading.Thread):
    """As pptpd: a call id for each call, and what comes in GRE goes back to the call's peer."""

    def __init__(self, host, address):
        super().__init__(daemon=True)
        with host.inside():
            self.listener = socket.create_server((address, 1723))
            self.gre = socket.socket(socket.AF_INET, socket.SOCK_RAW, 47)
        self.gre.bind((address, 0))
        self.calls = {}  # own id to the peer's id
        self.start()
        threading.Thread(target=self.echo, daemon=True).start()

    def run(self):
        while True:
            threading.Thread(target=self.serve, args=self.listener.accept()[:1], daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(l.Failed, OSError):  # the client is gone
            self.answer(connection)

    def answer(self, connection):
        while True:
            kind, body = receive(connection)
            if kind == 1:
                connection.sendall(control(2, bytes(144)))
            elif kind == 7:
                peer, own = struct.unpack(">H", body[:2])[0], 900 + len(self.calls)
                self.calls[own] = peer
                connection.sendall(control(8, struct.pack(">HHBB", own, peer, 1, 0) + bytes(14)))

    def echo(self):
        while True:
            packet, sender = self.gre.recvfrom(2000)
            gre = packet[(packet[0] & 15) * 4:]
            own = struct.unpack(">H", gre[6:8])[0]
            if own in self.calls:
                self.gre.sendto(gre[:6] + struct.pack(">H", self.calls[own]) + gre[8:], sender)


def dial(host, address, call):
    """As pptp-linux: the control connection, the server's call id as it is known here, and a socket for GRE."""
    with host.inside():
        connection = socket.create_connection((address, 1723), 10)
        gre = socket.socket(socket.AF_INET, socket.SOCK_RAW, 47)
    gre.settimeout(0.3)
    connection.sendall(control(1, bytes(144)))
    check_equal(receive(connection)[0], 2, "the answer to the start")
    connection.sendall(control(7, struct.pack(">H", call) + bytes(154)))
    kind, body = receive(connection)
    check_equal(kind, 8, "the answer to the call")
    own, peer = struct.unpack(">HH", body[2:4] + body[0:2])
    check_equal(own, call, "the client's call id in the answer")
    return connection, peer, gre


def exchange(name, address, call, peer, gre):
    """Sends its name through the tunnel until it comes back, to its own call id."""
    def echoed():
        gre.sendto(struct.pack(">HHHHI", 0x3001, 0x880B, len(name), peer, 1) + name, (address, 0))
        try:
            packet = gre.recv(2000)
        except TimeoutError:
            return None
        return packet[(packet[0] & 15) * 4:]
    answer = l.wait_until(echoed, f"what {name} said, through GRE")
    check_equal((struct.unpack(">H", answer[6:8])[0], answer[12:]), (call, name), "call id and text")


@story("H2: two PPTP clients of one server with the same call id", needs_masqgate=True)
def pptp(lab):
    lab.masqgate.start(configuration())
    PptpServer(lab.server, l.SERVER)
    calls = [(host, *dial(host, l.SERVER, 7777)) for host in (lab.alice, lab.bob)]
    check(calls[0][2] != calls[1][2], "both have one call")
    for _ in range(3):
        for host, _, peer, gre in calls:
            exchange(host.name.encode(), l.SERVER, 7777, peer, gre)
    check_equal(helper(lab, "pptp")["fulfilled"], 4, "fulfilled")


@story("H2: a PPTP server inside, behind a forward", needs_masqgate=True)
def pptp_inside(lab):
    config = configuration()
    config["nat"].insert(0, {"dnat": "wan", "protocol": "tcp", "destination_port": 1723, "to": l.ALICE})
    config["firewall"]["forward"]["rules"].append({"id": "pptp", "protocol": "tcp", "destination_port": 1723,
                                                   "action": "accept"})
    lab.masqgate.start(config)
    PptpServer(lab.alice, l.ALICE)
    _, peer, gre = dial(lab.server, l.ROUTER_WAN, 5)
    exchange(b"server", l.ROUTER_WAN, 5, peer, gre)


@story("H4: SNMP: the addresses in an agent's table, as the manager sees their network", needs_masqgate=True)
def snmp(lab):
    lab.masqgate.start(forwarded("snmp", 161))
    file = lab.directory / "snmpd.conf"
    file.write_text("rocommunity public\nagentAddress udp:161\n")
    lab.alice.start("snmpd", "-f", "-Lo", "-C", "-c", file, "-p", lab.directory / "snmpd.pid")
    l.wait_until(lambda: ":161 " in lab.alice.run("ss", "-lun").stdout, "snmpd to listen")

    def table():
        done = lab.server.run("snmpwalk", "-v2c", "-c", "public", "-On", l.ROUTER_WAN, ".1.3.6.1.2.1.4.20.1.1",
                              check=False)
        return done.stdout
    text = l.wait_until(lambda: "IpAddress" in table() and table(), "the agent's table")
    values = re.findall(r"IpAddress: (\S+)", text)
    first = l.ROUTER_WAN.split(".", maxsplit=1)[0]
    check(f"{first}.{l.ALICE.split('.', 1)[1]}" in values, f"alice's own address: {text}")
    check(l.ALICE not in values, f"the inside address: {text}")


@story("H4: Amanda: a backup client inside, whose answer names three ports", needs_masqgate=True)
def amanda(lab):
    lab.masqgate.start(forwarded("amanda", 10080))
    with lab.alice.inside():
        agent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        agent.bind((l.ALICE, 10080))
        streams = [socket.create_server((l.ALICE, 0)) for _ in range(3)]
    with lab.server.inside():
        asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asker.settimeout(0.5)
    agent.settimeout(10)

    def answered():
        asker.sendto(b"Amanda 2.6 REQ HANDLE 0 SEQ 0\nSERVICE sendbackup\n", (l.ROUTER_WAN, 10080))
        _, sender = agent.recvfrom(2000)
        data, mesg, index = (s.getsockname()[1] for s in streams)
        agent.sendto(f"Amanda 2.6 REP HANDLE 0 SEQ 0\nCONNECT DATA {data} MESG {mesg} INDEX {index}\n".encode(),
                     sender)
        try:
            return asker.recv(2000).decode()
        except TimeoutError:
            return None
    answer = l.wait_until(answered, "the agent's answer")
    for stream, port in zip(streams, re.findall(r"(?:DATA|MESG|INDEX) (\d+)", answer)):
        with lab.server.inside():
            caller = socket.create_connection((l.ROUTER_WAN, int(port)), 10)
        stream.settimeout(10)
        accepted = stream.accept()[0]
        caller.sendall(b"backup")
        check_equal(accepted.recv(6), b"backup", "what came by the stream")


if __name__ == "__main__":
    main()
