#!/usr/bin/env python3
"""Issue 6: the tables that other systems test their diverting with, asked of masqgate.

FreeBSD: tests/sys/netpfil/pf/divert-to.sh; OpenBSD: regress/sys/net/pf_divert; Linux: selftests/net/netfilter/nft_queue.sh.
"""
import hashlib
import itertools
import random
import struct
import sys

import lab as l
import router as r
import servers
from divert_stories import LISTENER, PORT, Accepting, divert, program, send_numbers, start, state, stop
from story import check, check_equal, main, story

ECHO = """
import socket, sys
with socket.create_connection((sys.argv[1], 7), 10) as s:
    for size in (1, 1000, 100000):
        s.sendall(b"e" * size)
        while size > 0: size -= len(s.recv(size))
print("ok")
"""
PORTS = {"input": 2301, "forward": 2302, "output": 2303}
QUESTIONS = {4: {"protocol": "icmp", "icmp_type": ["8"]}, 6: {"protocol": "icmpv6", "icmp_type": ["128"]}}


def questions(lab, action=lambda chain: {"divert": PORTS[chain]}):
    """Every echo request meets one rule that diverts it: to the router, through it, or from it."""
    config = r.configuration()
    for chain in PORTS:
        rules = config["firewall"].setdefault(chain, {"rules": []})["rules"]
        rules[:0] = [{"id": f"look{family}", **match, "action": action(chain)} for family, match in QUESTIONS.items()]
    lab.masqgate.start(config)


def is_answered(lab, chain, family, patience=0.5):
    who = lab.router if chain == "output" else lab.alice
    whom = {4: (l.ROUTER_LAN, l.SERVER), 6: (l.ROUTER_LAN_6, l.SERVER_6)}[family][chain != "input"]
    return who.run("ping", "-c", "1", "-W", str(patience), whom, check=False).returncode == 0


def eat(packet):
    packet.drop()


def give_back(packet):
    packet.accept()


def turn(packet):
    """What came in goes out, as if the router had sent it; what the router sent comes in, as if received where it left;
    what is forwarded comes in anew."""
    packet.drop()
    listener = packet._d
    if packet.hook == "input":
        listener.inject(packet.bytes, out=True)
    else:
        listener.inject(packet.bytes, in_port=packet.in_port or packet.out_port)


def drops(lab):
    return {reason: count for reason, count in lab.masqgate.rest.get("/v1/drops")["drops"].items() if count}


@story("FreeBSD: in, through and out, both families: given back, eaten, given back in the other direction",
       needs_masqgate=True)
def directions(lab):
    questions(lab)
    listeners = {chain: Accepting(give_back, port, permissions=["inject", "inject_spoofed"])
                 for chain, port in PORTS.items()}
    before = drops(lab)
    for chain, family, (how, arrives) in itertools.product(PORTS, QUESTIONS, (
            (give_back, True), (eat, False), (turn, True))):
        one = listeners[chain]
        one.what, seen = how, len(one.seen)
        if how is turn and chain == "output":
            arrives = False  # nobody else may have our address
        what = f"{chain}, IPv{family}, {how.__name__}"
        check_equal(is_answered(lab, chain, family, 5 if arrives else 0.3), arrives, f"{what}: answered")
        l.wait_until(lambda: len(one.seen) > seen and state(lab)["held"] == 0, f"{what}: a verdict")
        check_equal(([packet.hook for packet in one.seen[seen:]], one.listener.notices), ([chain], []), f"{what}: seen")
        one.what = give_back
    count = {reason: count - before.get(reason, 0) for reason, count in drops(lab).items()}
    check_equal((count["divert_verdict"], count["martian"], count.get("divert_loop", 0)), (12, 2, 0), "drops")
    for one in listeners.values():
        one.close()


@story("FreeBSD: two ports in both directions on a forwarder: each packet passes each program once",
       needs_masqgate=True)
def both_directions(lab):
    config = r.configuration()
    config["firewall"]["prerouting"] = {"rules": [{"id": "in", "protocol": "tcp", "action": {"divert": 2301}}]}
    config["firewall"]["postrouting"] = {"rules": [{"id": "out", "protocol": "tcp", "action": {"divert": 2302}}]}
    lab.masqgate.start(config)
    servers.Http(lab.server, page=b"x" * 300000)
    listeners = [Accepting(give_back, port) for port in (2301, 2302)]
    page = lab.alice.run("curl", "-sS", "--max-time", "20", f"http://{l.SERVER}/").stdout
    check_equal(len(page), 300000, "bytes of the page")

    def ways():
        """How many packets each program saw to the server, and from it."""
        return [[sum((p.dport if to_server else p.sport) == 80 for p in one.seen) for to_server in (True, False)]
                for one in listeners]
    l.wait_until(lambda: ways()[0] == ways()[1] and state(lab)["held"] == 0, "both programs to see the same packets")
    check(min(ways()[0]) > 2, f"packets: {ways()}")
    for one in listeners:
        one.close()


@story("FreeBSD PR 260867: every chain diverts to one program: TCP through the router and to it, each packet "
       "once in each chain", needs_masqgate=True)
def no_loop(lab):
    config = r.configuration()
    for chain in ("prerouting", "input", "forward", "output", "postrouting"):
        rules = config["firewall"].setdefault(chain, {"rules": []})["rules"]
        rules.insert(0, {"id": "look", "protocol": "tcp", "action": {"divert": PORT}})
    lab.masqgate.start(config)
    servers.TcpEcho(lab.server), servers.TcpEcho(lab.router)
    one = Accepting(give_back)
    for host, whom, chains in ((lab.alice, l.SERVER, ["prerouting", "forward", "postrouting"]),
                               (lab.alice, l.ROUTER_LAN, ["prerouting", "input"]),
                               (lab.router, l.SERVER, ["output", "postrouting"])):
        one.seen.clear()
        echoed = host.run(sys.executable, "-c", ECHO, whom).stdout
        check_equal(echoed, "ok\n", f"echo from {whom}")
        syns = [p.hook for p in one.seen if p.bytes[p._field(22) + 13] == 2]
        check_equal(syns, chains, f"where the SYN to {whom} was seen")
        check_equal([p.hops for p in one.seen if p.bytes[p._field(22) + 13] == 2], [*range(1, len(chains) + 1)], "hops")
    check_equal(drops(lab).get("divert_loop", 0), 0, "loops")
    one.close()


UDP_ECHO = """
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", 7))
print("ready", flush=True)
while True: s.sendto(*s.recvfrom(2000))
"""
UDP_ASK = """
import socket, sys
family, _, _, _, address = socket.getaddrinfo(sys.argv[1], 7, type=socket.SOCK_DGRAM)[0]
s = socket.socket(family, socket.SOCK_DGRAM)
s.settimeout(10)
s.sendto(sys.argv[2].encode(), address)
print(s.recv(2000).decode())
"""


@story("OpenBSD: a program changes the first packet or the reply, of UDP and ICMP, over both families, begun from either "
       "side", needs_masqgate=True)
def first_and_reply(lab):
    lab.witness.dismiss()  # nothing is translated
    config = r.configuration()
    config["nat"] = []
    config["firewall"]["forward"] = {"rules": [
        {"id": "first", "state": ["new"], "action": {"divert": 2301}},
        {"id": "reply", "state": ["established"], "action": {"divert": 2302}}]}
    lab.masqgate.start(config)
    lab.server.ip(f"route add {l.LAN} via {l.ROUTER_WAN}")
    for host in (lab.alice, lab.server):
        host.start(sys.executable, "-c", UDP_ECHO).wait_for("ready")
    first, reply = Accepting(give_back, 2301), Accepting(give_back, 2302)

    def edit(packet):
        packet.replace(bytes(packet.bytes).replace(b"asked", b"a longer question"))

    for v6, (changing, untouched) in itertools.product((False, True), ((first, reply), (reply, first))):
        ends = {lab.alice: (l.ALICE, l.ALICE_6)[v6], lab.server: (l.SERVER, l.SERVER_6)[v6]}
        for asker, whom in ((lab.alice, ends[lab.server]), (lab.server, ends[lab.alice])):
            first.seen.clear(), reply.seen.clear()
            changing.what, untouched.what = edit, give_back
            said = asker.run(sys.executable, "-c", UDP_ASK, whom, "asked").stdout
            check_equal(said, "a longer question\n", f"the answer of {whom}")
            asker.run("ping", "-c", "1", "-W", "5", "-p", "61736b6564", whom)  # the pattern is "asked": 3 times or more
            for one, source in ((first, ends[asker]), (reply, whom)):
                check_equal([(p.udp, str(p.src)) for p in one.seen], [(True, source), (False, source)], "who was seen")
    first.close(), reply.close()


@story("Linux: no program: a black hole in every chain for both families; or all passes, where the rule says so",
       needs_masqgate=True)
def nobody(lab):
    questions(lab)
    for chain, family in itertools.product(PORTS, QUESTIONS):
        check(not is_answered(lab, chain, family, 0.3), f"{chain}, IPv{family}: passed, and nobody listens")
    check_equal(drops(lab)["divert_nobody"], 6, "drops")
    config = lab.masqgate.rest.get("/v1/config")
    for chain in PORTS:
        for rule in config["firewall"][chain]["rules"][:2]:
            rule["action"] = {"divert": {"port": PORTS[chain], "nobody": "pass"}}
    lab.masqgate.rest.put("/v1/config", config)
    for chain, family in itertools.product(PORTS, QUESTIONS):
        check(is_answered(lab, chain, family, 5), f"{chain}, IPv{family}: dropped, and the rule says pass")
    check_equal({row["port"]: row["nobody_passed"] for row in state(lab)["ports"]}, dict.fromkeys(PORTS.values(), 2),
                "passed")


@story("Linux: 20 MB of TCP through a program, for a host inside and for the router itself", needs_masqgate=True)
def bulk(lab):
    config = r.configuration()
    for chain in ("forward", "output"):
        rules = config["firewall"].setdefault(chain, {"rules": []})["rules"]
        rules.insert(0, {"id": "look", "protocol": "tcp", "action": {"divert": PORT}})
    lab.masqgate.start(config)
    page = random.Random(1).randbytes(20 << 20)
    servers.Http(lab.server, page=page)
    listener = program()
    for host in (lab.alice, lab.router):
        before = state(lab)["ports"][0]["diverted"]
        got = host.run("sh", "-c", f"curl -sS --max-time 50 http://{l.SERVER}/ | sha256sum").stdout.split()[0]
        check_equal(got, hashlib.sha256(page).hexdigest(), "the page")
        check(state(lab)["ports"][0]["diverted"] > before + 100, "it was not diverted")
    stop(listener)


LATE = """
import heapq, select, time
import masqgate_divert as divert
with divert.open(%d, permissions=["steer"]) as d:
    print("ready", flush=True)
    waiting = []
    while True:
        select.select([d], [], [], 0.01)
        waiting += [(time.monotonic() + 0.2, p) for p in d.take()]
        while waiting and waiting[0][0] <= time.monotonic(): waiting.pop(0)[1].requeue(%d)
        d.flush()
""" % (PORT, PORT + 1)


@story("Linux: a program hands every packet to another queue after a while: all arrive, in order", needs_masqgate=True)
def requeued(lab):
    start(lab, PORT, protocol="udp")
    first, second = program(LATE), program(LISTENER.replace(str(PORT), str(PORT + 1)))
    check_equal(send_numbers(lab, 500, lambda: None), list(range(500)), "what arrives")
    check_equal({row["port"]: row["diverted"] for row in state(lab)["ports"]}[PORT], 500, "diverted")
    check_equal([row["accepted"] for row in state(lab)["listeners"] if row["port"] == PORT + 1], [500], "accepted there")
    stop(first), stop(second)


@story("Linux: programs come and go as fast as they can, under load: nothing is lost, and the last one goes on",
       needs_masqgate=True)
def come_and_go(lab):
    start(lab, {"port": PORT, "deadline_ms": 30000, "grace_ms": 30000}, protocol="udp")

    def race():
        rounds = 0
        while rounds < 200 or state(lab)["ports"][0]["diverted"] < 1000:
            one = divert.open(PORT)
            if rounds % 3:
                one.take()  # and says nothing of what it got
            one.close()
            rounds += 1
        listeners.append(program())
    listeners = []
    got = send_numbers(lab, 2000, race)
    check_equal(sorted(got), list(range(2000)), "what arrives")
    check(state(lab)["ports"][0]["redelivered"] > 0, "nobody left with packets in his hands")
    stop(listeners[0])


def remove_the_rule(lab, while_they_are_away):
    """50 packets are with a program when their rule is removed; what arrives, when the program has done its part."""
    start(lab, {"port": PORT, "grace_ms": 50, "deadline_ms": 20000}, protocol="udp")
    config = lab.masqgate.rest.get("/v1/config")
    del config["firewall"]["forward"]["rules"][0]
    with divert.open(PORT) as listener:
        def remove():
            l.wait_until(lambda: state(lab)["held"] == 50, "packets to wait")
            lab.masqgate.rest.put("/v1/config", config)
            while_they_are_away(listener)
            l.wait_until(lambda: state(lab)["held"] == 0, "none to be left")
        return send_numbers(lab, 50, remove)


@story("Linux: a rule is removed while its packets are away: they go on where it stood", needs_masqgate=True)
def rule_removed(lab):
    def accept(listener):
        for batch in listener.batches():
            is_last = batch[len(batch) - 1].bytes[-1] == 49
            batch.accept()
            if is_last:
                return listener.flush()
    check_equal(remove_the_rule(lab, accept), list(range(50)), "what arrives")


@story("Linux: a rule is removed, and then the program ends with its packets: they are dropped by name, others pass",
       needs_masqgate=True)
def rule_and_program_removed(lab):
    check_equal(remove_the_rule(lab, lambda listener: listener.socket.close()), [], "what arrives")
    check_equal(drops(lab).get("divert_nobody", 0) + drops(lab).get("divert_died", 0), 50, f"drops: {drops(lab)}")
    check_equal(send_numbers(lab, 20, lambda: None), list(range(20)), "what arrives afterwards")


SCTP = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 132)
s.settimeout(10)
if len(sys.argv) > 1: s.connect((sys.argv[1], 0)), s.send(bytes.fromhex(sys.argv[2]))
else: print("ready", flush=True)
print(s.recv(2000)[20:].hex(), flush=True)
"""


@story("Linux: SCTP passes through a program with its checksum", needs_masqgate=True)
def sctp(lab):
    start(lab, PORT, protocol="132")
    listener = Accepting(lambda p: p.replace(p.bytes))  # the kernel has no SCTP: an INIT, made by hand
    chunk = bytes.fromhex("01000014" + "12345678" + "0000ffff" + "000a000a" + "00000001")
    init = struct.pack("!HHII", 5000, 5001, 0, 0x1234abcd) + chunk
    server = lab.server.start(sys.executable, "-c", SCTP)
    server.wait_for("ready")
    lab.alice.start(sys.executable, "-c", SCTP, l.SERVER, init.hex())
    server.wait_for(init.hex())
    check_equal([p.protocol for p in listener.seen], [132], "what was seen")
    listener.close()


if __name__ == "__main__":
    main()
