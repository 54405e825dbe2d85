#!/usr/bin/env python3
"""Issue 6: packets diverted to real programs, which answer, sleep, die, lie, and come back."""
import os
import signal
import subprocess
import sys

import lab as l
import router as r
import servers
from divert_stories import (CLIENTS, EXAMPLES, LISTENER, NUMBERS, PORT, Accepting, divert, example, last_words,
                            program, send_numbers, start, state, stop)
from story import check, check_equal, main, story


@story("D1: nobody listens: dropped as DENY, or passed where the rule says so; counted", needs_masqgate=True)
def nobody(lab):
    start(lab, PORT, protocol="icmp")
    ping = ("ping", "-c", "1", "-W", "1", l.SERVER)
    check(lab.alice.run(*ping, check=False).returncode != 0, "a packet passed although nobody listens")
    l.wait_until(lambda: lab.masqgate.rest.get("/v1/drops")["drops"]["divert_nobody"] >= 1, "a drop to be counted")
    config = lab.masqgate.rest.get("/v1/config")
    config["firewall"]["forward"]["rules"][0]["action"] = {"divert": {"port": PORT, "nobody": "pass"}}
    lab.masqgate.rest.put("/v1/config", config)
    lab.alice.run(*ping)
    check(state(lab)["ports"][0]["nobody_passed"] >= 1, "no pass was counted")


@story("D2, D4: a program in Python sees both ways of a page and a ping, and its replacement arrives", needs_masqgate=True)
def python_program(lab):
    start(lab, PORT)
    servers.Http(lab.server, page=b"a page" * 10000)
    listener = Accepting(lambda p: p.accept(), options=["in_if", "out_if", "original"])
    page = lab.alice.run("curl", "-sS", "--max-time", "10", f"http://{l.SERVER}/").stdout
    check_equal(len(page), 60000, "bytes of the page")
    check_equal({p.in_if for p in listener.seen}, {"lan", "wan"}, "where packets came in")
    check(all(p.dport == 80 or p.sport == 80 for p in listener.seen if p.tcp), "ports are wrong")
    listener.what = lambda p: p.replace(bytes(p.bytes).replace(b"\x00\x00\x00\x05", b"\x00\x00\x00\x63"))
    check_equal(send_numbers(lab, 6, lambda: None), [0, 1, 2, 3, 4, 99], "what arrives")
    row = state(lab)["listeners"][0]
    check(row["modified"] >= 6 and row["accepted"] > 10 and row["p99_us"] > 0, f"counters: {row}")
    listener.close()


@story("R1: kill -9 of a listener under load, another within a second: no packet lost, none out of order",
       needs_masqgate=True)
def killed(lab):
    start(lab, PORT, protocol="udp")
    listeners = [program()]

    def kill():
        l.wait_until(lambda: state(lab)["listeners"][0]["delivered"] > 300, "packets to be delivered")
        os.kill(listeners[0].pid, signal.SIGSTOP)  # so that it has packets in its hands
        l.wait_until(lambda: state(lab)["ports"][0]["held"] > 50, "packets to wait")
        stop(listeners[0])
        listeners.append(program())

    got = send_numbers(lab, 3000, kill)
    check_equal(got, list(range(3000)), "what arrived")
    port = state(lab)["ports"][0]
    check(port["redelivered"] > 0 and port["deaths"] == 1, f"nothing was redelivered: {port}")
    stop(listeners[1])


@story("R2: a listener that is stopped stops nobody else; what waits for it is bounded", needs_masqgate=True)
def stopped(lab):
    start(lab, {"port": PORT, "deadline_ms": 1000}, protocol="udp")
    servers.Http(lab.server, page=b"x" * 100000)
    listener = program()
    os.kill(listener.pid, signal.SIGSTOP)
    got = send_numbers(lab, 6000, lambda: [
        check_equal(len(lab.alice.run("curl", "-sS", "--max-time", "5", f"http://{l.SERVER}/").stdout), 100000, "page")
        for _ in range(5)], pause=0)
    check_equal(got, [], "what arrived")
    drops = lab.masqgate.rest.get("/v1/drops")["drops"]
    check_equal(drops["divert_full"] + drops["divert_late"], 6000, "drops by name")
    check_equal(drops["no_frames"], 0, "packets without a frame")
    os.kill(listener.pid, signal.SIGCONT)
    check_equal(send_numbers(lab, 20, lambda: None), list(range(20)), "afterwards")
    stop(listener)


@story("D3: rubbish closes the connection with a reason; others go on", needs_masqgate=True)
def rubbish(lab):
    start(lab, PORT, protocol="icmp")
    good = program()
    bad = divert.open(PORT, priority=-1)
    bad.socket.send(b"rubbish" * 9)
    words = last_words(bad)
    check("DVT1" in words, f"the reason: {words}")
    bad.close()
    lab.alice.run("ping", "-c", "2", l.SERVER)
    stop(good)


NOBODY = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for port in sys.argv[1:]:
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect("/run/masqgate/divert.sock")
    s.send(b"listen " + port.encode())
    print("listening", flush=True)
    answer = s.recv(1000)
    print(port, answer[:7] if answer[:7] == b"may not" else "a packet", flush=True)
"""


@story("D3: who is not the superuser listens where the configuration lets him, and nowhere else", needs_masqgate=True)
def permissions(lab):
    start(lab, PORT, access=[{"ports": PORT, "user": 65534}], protocol="icmp")
    divert.open(PORT, permissions=["inject"]).close()  # the superuser may everything
    for wrong in (dict(port=0), dict(port=PORT, weight=0)):
        try:
            divert.open(**wrong)
            raise l.Failed(f"{wrong} was accepted")
        except divert.Refused:
            pass
    nobody_else = lab.router.start(sys.executable, "-c", NOBODY, PORT + 1, PORT)
    nobody_else.wait_for(f"{PORT + 1} b'may not'")
    l.wait_until(lambda: any(one["uid"] == 65534 for one in state(lab)["listeners"]), "him to listen")
    lab.alice.run("ping", "-c", "1", "-W", "1", l.SERVER, check=False)
    nobody_else.wait_for(f"{PORT} a packet")


@story("D3: two programs share the flows; one leaves and the other has all", needs_masqgate=True)
def group(lab):
    start(lab, PORT, protocol="udp")
    first, second = Accepting(lambda p: p.accept()), Accepting(lambda p: p.accept())

    def flows():
        for port in range(5000, 5040):
            lab.alice.run(sys.executable, "-c", f"import socket; s = socket.socket(2, 2); s.bind(('', {port}));"
                          f" [s.sendto(b'x', ('{l.SERVER}', 9)) for _ in range(3)]")
    flows()
    l.wait_until(lambda: len(first.seen) + len(second.seen) >= 120, "packets to come")
    one, two = ({p.sport for p in x.seen} for x in (first, second))
    check(one and two and not one & two, f"flows are split: {sorted(one & two)}")
    second.close()
    first.seen.clear()
    flows()
    l.wait_until(lambda: len(first.seen) >= 120, "all flows to come to one")
    first.close()


@story("D4: a program in C++ passes a page whole, TCP segments uncut", needs_masqgate=True)
def cpp_program(lab):
    if "ACCEPT_ALL" not in os.environ:
        return  # told by hand, without the build's environment
    start(lab, PORT)
    servers.Http(lab.server, page=b"x" * 300000)
    listener = lab.router.start(os.environ["ACCEPT_ALL"], str(PORT))
    listener.wait_for("ready")
    page = lab.alice.run("curl", "-sS", "--max-time", "20", f"http://{l.SERVER}/").stdout
    check_equal(len(page), 300000, "bytes of the page")
    row = state(lab)["listeners"][0]
    check(row["name"] == "accept_all" and row["accepted"] > 10, f"the listener: {row}")


@story("D4: a translator of thirty lines does what natd did", needs_masqgate=True)
def natd(lab):
    config = r.configuration()
    config["nat"] = []
    config["firewall"] = {"prerouting": {"rules": [{"id": "natd", "action": {"divert": 8668}}]}}
    lab.masqgate.start(config)
    web = servers.Http(lab.server, page=b"x" * 50000)
    with subprocess.Popen([sys.executable, EXAMPLES / "natd.py", l.ROUTER_WAN, "192.168."],
                          env={**os.environ, "PYTHONPATH": str(CLIENTS)}) as translator:
        l.wait_until(lambda: state(lab)["listeners"], "the translator to listen")
        page = lab.alice.run("curl", "-sS", "--max-time", "20", f"http://{l.SERVER}/").stdout
        check_equal(len(page), 50000, "bytes of the page")
        check_equal({peer[0] for peer in web.peers}, {l.ROUTER_WAN}, "whom the server saw")
        translator.kill()


@story("D4: the first program in C prints what comes and lets it pass", needs_masqgate=True)
def c_program(lab):
    start(lab, PORT)
    listener = example(lab, "FIRST_IN_C", PORT)
    if listener is None:
        return
    lab.alice.run("ping", "-c", "2", l.SERVER)
    listener.wait_for("protocol 1 by rule 1")


@story("D4: a program of old, not built anew: a translator on two divert sockets, preloaded", needs_masqgate=True)
def natd_classic(lab):
    config = r.configuration()
    config["nat"] = []
    config["firewall"] = {"prerouting": {"rules": [{"id": "in", "in": "wan", "action": {"divert": 8668}},
                                                   {"id": "out", "in": "lan", "action": {"divert": 8669}}]}}
    lab.masqgate.start(config)
    web = servers.Http(lab.server, page=b"x" * 50000)
    if example(lab, "NATD_CLASSIC", l.ROUTER_WAN, 8668, 8669, LD_PRELOAD=os.environ.get("DIVERT_PRELOAD")) is None:
        return
    l.wait_until(lambda: len(state(lab)["listeners"]) == 2, "both sockets")
    page = lab.alice.run("curl", "-sS", "--max-time", "20", f"http://{l.SERVER}/").stdout
    check_equal(len(page), 50000, "bytes of the page")
    check_equal({peer[0] for peer in web.peers}, {l.ROUTER_WAN}, "whom the server saw")
    check(all(row["modified"] > 5 for row in state(lab)["listeners"]), "the packets were not changed")


# sin_zero, where the token is, does not come through Python; and all four go back with the address of the last one.
MIXED_UP = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 254)
s.bind(("0.0.0.0", %d))
print("ready", flush=True)
while True:
    packets = []
    for _ in range(4):
        packet, address = s.recvfrom(65535)
        packets.append(packet)
    for packet in reversed(packets):
        s.sendto(packet, address)
""" % PORT


@story("F1, complaint 1: a program that mixes up addresses and gives packets back in another order loses none", needs_masqgate=True)
def mixed_up(lab):
    if "DIVERT_PRELOAD" not in os.environ:
        return
    start(lab, PORT, protocol="udp")
    with subprocess.Popen([sys.executable, "-c", MIXED_UP], stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "LD_PRELOAD": os.environ["DIVERT_PRELOAD"]}) as process:
        check_equal(process.stdout.readline(), "ready\n", "what it says")
        check_equal(sorted(send_numbers(lab, 400, lambda: None)), list(range(400)), "what arrives")
        row = state(lab)["listeners"][0]
        check_equal((row["accepted"], row["modified"], row["injected"]), (400, 0, 0), "accepted by id, as they were")
        process.kill()


INJECTOR = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 254)
s.bind(("0.0.0.0", %d))
def ping(source, target):
    head = bytes.fromhex("4500001c000100004001") + bytes(2) + socket.inet_aton(source) + socket.inet_aton(target)
    return head + bytes.fromhex("0800000000000007")
s.sendto(ping(sys.argv[1], sys.argv[2]), ("0.0.0.0", 0))
s.sendto(ping(sys.argv[3], sys.argv[2]), (sys.argv[4], 0))
try:
    s.sendto(ping(sys.argv[3], sys.argv[2]), ("203.0.113.99", 0))
except OSError as error:
    print("refused:", error.errno, flush=True)
s.recv(100)
""" % PORT


@story("F1: pure injection: out with no address, in with an interface's; with a stranger's it is refused",
       needs_masqgate=True)
def classic_injection(lab):
    if "DIVERT_PRELOAD" not in os.environ:
        return
    start(lab, PORT, protocol="tcp")
    lab.alice.run("ping", "-c", "1", l.SERVER)
    # The second one gets another identifier: the first has begun a connection with the router's own address.
    seen = l.Capture(lab.server, "eth0", "icmp[0] == 8 and icmp[6:2] == 7")
    injector = lab.router.start("env", "LD_PRELOAD=" + os.environ["DIVERT_PRELOAD"], sys.executable, "-c", INJECTOR,
                                l.ROUTER_WAN, l.SERVER, l.ALICE, l.ROUTER_LAN)
    injector.wait_for("refused: 99")
    l.wait_until(lambda: state(lab)["listeners"][0]["injected"] == 2, "both to be sent")
    l.wait_until(lambda: len(seen.packets()) == 2, "both to arrive")


ASYNC = """
import asyncio
import masqgate_divert as divert
async def main():
    with divert.open(%d, options=["rule"]) as d:
        print("ready", flush=True)
        async for p in d:
            print(p.rule_name, p.protocol, flush=True)
            p.accept()
asyncio.run(main())
""" % PORT


@story("D4: the same in asyncio", needs_masqgate=True)
def in_asyncio(lab):
    start(lab, PORT, protocol="icmp")
    listener = program(ASYNC)
    lab.alice.run("ping", "-c", "2", l.SERVER)
    check_equal([listener.stdout.readline() for _ in range(4)], ["look 1\n"] * 4, "what it printed")
    stop(listener)


@story("D4: plain datagrams, without any library", needs_masqgate=True)
def plain(lab):
    start(lab, PORT)
    listener = example(lab, "plain.py", PORT)
    lab.alice.run("ping", "-c", "3", l.SERVER)
    listener.wait_for("{1: 6}")
    check_equal(len(lab.alice.run("ping", "-c", "2", l.SERVER).stdout.split("bytes from")), 3, "answers")
    check_equal(state(lab)["listeners"][0]["name"], "plain", "its name")


@story("D4: the logger of names tells what was asked for", needs_masqgate=True)
def dns_logger(lab):
    start(lab, PORT, protocol="udp")
    logger = example(lab, "dns_logger.py")
    query = bytes.fromhex("123401000001000000000000") + b"\x07example\x03org\x00\x00\x01\x00\x01"
    lab.alice.run(sys.executable, "-c", f"import socket; socket.socket(2, 2).sendto({query!r}, ('{l.SERVER}', 53))")
    logger.wait_for(f"{l.ALICE} example.org")


@story("D4: the blocker of flows ends a flow with the word in it, and lets the others alone", needs_masqgate=True)
def flow_blocker(lab):
    start(lab, {"port": 2223, "nobody": "pass"})
    servers.Http(lab.server, page=b"x" * 300000)
    blocker = example(lab, "flow_blocker.py", "secret")
    fetch = ("curl", "-sS", "--max-time")
    check_equal(len(lab.alice.run(*fetch, "20", f"http://{l.SERVER}/").stdout), 300000, "bytes of the page")
    check(state(lab)["ports"][0]["offloaded"] > 0, "the flow was not let alone")
    check(lab.alice.run(*fetch, "2", f"http://{l.SERVER}/secret", check=False).returncode != 0, "the word passed")
    blocker.wait_for("blocked")
    check(state(lab)["ports"][0]["blocked"] > 0, "its later packets were not blocked")


@story("D4: delay and loss: a round trip takes as long as it was told to, and some are lost", needs_masqgate=True)
def delay_and_loss(lab):
    start(lab, 2224, protocol="icmp")
    example(lab, "delay_and_loss.py", 60, 0)
    answer = lab.alice.run("ping", "-c", "3", "-i", "0.2", l.SERVER).stdout
    fastest = float(answer.rsplit("=", 1)[1].split("/")[0])
    check(fastest >= 119, f"a round trip of {fastest} ms, and both ways were to take 60 ms")


@story("complaint 2: an interface goes down while verdicts come: the program hears no error and goes on",
       needs_masqgate=True)
def errno_storm(lab):
    config = r.configuration()  # diverted before the route is asked, which may be gone when the verdict comes
    config["firewall"]["prerouting"] = {"rules": [{"id": "look", "protocol": "udp", "action": {"divert": PORT}}]}
    lab.masqgate.start(config)
    listener = program()

    def flap():
        l.wait_until(lambda: state(lab)["listeners"][0]["accepted"] > 100, "verdicts")
        lab.router.ip("link set dev wan0 down")
        before = state(lab)["listeners"][0]["accepted"]
        lab.alice.run(sys.executable, "-c", NUMBERS, l.SERVER, "9000", "200", "0.005")
        l.wait_until(lambda: state(lab)["listeners"][0]["accepted"] > before + 100, "verdicts while it is down")
        lab.router.ip("link set dev wan0 up")
    send_numbers(lab, 2000, flap, pause=0.005)
    l.wait_until(lambda: lab.alice.run("ping", "-c", "1", "-W", "1", l.SERVER, check=False).returncode == 0, "the link")
    check_equal(send_numbers(lab, 50, lambda: None), list(range(50)), "afterwards")
    check(listener.poll() is None, "the program ended")
    stop(listener)


@story("U2, D3: drained by REST it gets no more and others take over; tree and log tell who came, went and died",
       needs_masqgate=True)
def doors(lab):
    start(lab, PORT, protocol="icmp")
    one = Accepting(lambda p: p.accept(), name="one")
    ping = ("ping", "-c", "1", "-W", "5", l.SERVER)
    lab.alice.run(*ping)
    row = lab.masqgate.text("net/divert").splitlines()[1].split()
    check_equal(row[:7], [str(PORT), str(os.getpid()), str(os.getuid()), "one", "0", "flow", "packed"], "the row")
    check_equal(lab.masqgate.text("net/netfilter/nfnetlink_queue").split()[0], str(PORT), "the queue")
    lab.masqgate.rest.delete(f"/v1/divert/{PORT}/" + state(lab)["listeners"][0]["id"])
    l.wait_until(lambda: state(lab)["listeners"][0]["draining"], "draining")
    two = Accepting(lambda p: p.accept(), name="two")
    seen = len(one.seen)
    lab.alice.run(*ping)
    check_equal((len(one.seen), len(two.seen)), (seen, 2), "who saw it")
    one.close()
    victim = program(LISTENER.replace(str(PORT), "2299"))
    stop(victim)
    log = lab.masqgate.process
    l.wait_until(lambda: "for diverted packets has left" in log.output() and "NAME=two" in log.output() and
                 "for diverted packets is gone PORT=2299" in log.output(), "the log to tell")
    try:
        lab.masqgate.rest.delete(f"/v1/divert/{PORT}/63")
        raise l.Failed("a listener that is not there was drained")
    except r.Refused as refused:
        check_equal(refused.status, 404, "status")
    two.close()


@story("D3: a copy for a tee, and it holds nothing up", needs_masqgate=True)
def tee(lab):
    config = r.configuration()
    config["firewall"]["forward"]["rules"].insert(0, {"id": "look", "protocol": "icmp", "action": {"tee": PORT}})
    lab.masqgate.start(config)
    lab.alice.run("ping", "-c", "1", l.SERVER)
    copies = Accepting(lambda p: None, tee=True)
    lab.alice.run("ping", "-c", "2", l.SERVER)
    l.wait_until(lambda: len(copies.seen) == 4, "copies of questions and answers")
    check(all(p.is_copy for p in copies.seen), "not marked as copies")
    copies.close()


if __name__ == "__main__":
    main()
