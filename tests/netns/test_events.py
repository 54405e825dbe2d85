#!/usr/bin/env python3
"""Issue 6: what happens is told as it happens, to people, to programs that follow, and to listeners."""
import contextlib
import json
import os
import socket
import sys

import lab as l
import router as r
import servers
from divert_stories import CLIENTS, PORT, Accepting, divert, program, start_with
from story import check, check_equal, main, story

HOLDING = """
import time
import masqgate_divert as divert
d = divert.open(%d, retry=10, name="holding", credit=2)
print("ready", flush=True)
while True: time.sleep(60)
""" % PORT
SEND = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(int(sys.argv[3])):
    s.sendto(b"x", (sys.argv[1], int(sys.argv[2])))
"""


def start(lab, action=PORT, divert_options=None, **match):
    start_with(lab, {"divert": action}, divert_options, **match)


REFLECT = """
import os, sys
sys.path.insert(0, sys.argv[1])
import masqgate_divert as divert
os.setgroups([]); os.setgid(65534); os.setuid(65534)
with divert.open(2223, name="stranger", reflect=True) as d:
    for e in d.follow():
        print(e.name, e.event, e.end, e.deadline_ms, flush=True)
"""


def send_until(lab, port, seen, packets=1):
    """Packets go out until `seen` holds: a busy kernel may lose one before the router has it."""
    for _ in range(5):
        lab.alice.run(sys.executable, "-c", SEND, l.SERVER, port, packets)
        with contextlib.suppress(l.Failed):
            return l.wait_until(seen, "packets to be seen", 4)
    raise l.Failed(f"nothing is seen of packets to port {port}")


PLAIN = """
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect("/run/masqgate/divert.sock")
s.send(b"listen " + sys.argv[1].encode())
print("listening", flush=True)
while datagram := s.recv(1 << 17):
    s.send(datagram[:16])
"""


class Following(Accepting):
    """A listener in this process that accepts, or does `what`, and keeps its packets and events."""

    def __init__(self, port, **options):
        self.told = []
        super().__init__(lambda p: p.accept(), port, on_event=self.told.append, **options)

    def wait_for(self, which):
        """The first event of which `which` holds."""
        return l.wait_until(lambda: self.find(which), "an event", 30)

    def find(self, which):
        return next((e for e in list(self.told) if which(e)), None)


class Followed:
    """A connection to /v1/events."""

    def __init__(self, lab, query="", last=None):
        self.connection = r.UnixConnection(str(lab.masqgate.rest.path))
        self.connection.request("GET", "/v1/events" + query, headers={} if last is None else {"Last-Event-ID": last})
        self.answer = self.connection.getresponse()
        check_equal((self.answer.status, self.answer.getheader("Content-Type")), (200, "text/event-stream"), "the answer")
        self.id = None

    def next(self):
        """(type, data) of the next event; comments are read over."""
        kind = data = None
        while line := self.answer.readline():
            name, _, value = line.decode().rstrip("\n").partition(":")
            if name == "id":
                self.id = value.strip()
            elif name == "event":
                kind = value.strip()
            elif name == "data":
                data = json.loads(value)
            elif line == b"\n" and data is not None:
                return kind, data
        raise l.Failed("the stream has ended")

    def wait_for(self, kind, **members):
        """The data of the next event of this type with these members."""
        while True:
            got, data = self.next()
            if got == kind and all(data.get(name) == value for name, value in members.items()):
                return data

    def close(self):
        self.connection.close()


@story("D4, events: a program comes, dies, is sent away and drained: each is told once, with who it was", needs_masqgate=True)
def programs(lab):
    start(lab, protocol="icmp")
    events = Followed(lab, "?types=divert")
    victim = program(HOLDING)
    me = {"port": PORT, "pid": victim.pid, "uid": os.getuid(), "name": "holding"}
    events.wait_for("divert.attached", **me)
    lab.alice.run("ping", "-c", "2", "-i", "0.2", "-W", "1", l.SERVER, check=False)
    victim.kill()
    victim.wait()
    check("packets" in events.wait_for("divert.died", **me), "nothing is said of its packets")
    bad = divert.open(PORT, name="b\u00e4d\n", priority=-1)
    bad.socket.send(b"rubbish" * 9)
    check("DVT1" in events.wait_for("divert.closed", pid=os.getpid())["why"], "the reason is not told")
    bad.close()
    gone = divert.open(PORT, name="gone")
    number = next(one["id"] for one in lab.masqgate.rest.get("/v1/divert")["listeners"] if one["name"] == "gone")
    lab.masqgate.rest.delete(f"/v1/divert/{PORT}/{number}")
    gone.close()
    events.wait_for("divert.drained", name="gone")
    text = lab.masqgate.text("events")
    check_equal([text.count(kind) for kind in ("divert.died", "divert.closed", "divert.drained")], [2, 1, 1],
                "how often it is told")  # the one that said rubbish is gone, too
    events.close()


@story("D4, events: no room is told when it begins and when it ends, not for each packet", needs_masqgate=True)
def overflow(lab):
    start(lab, {"port": PORT, "deadline_ms": 600}, {"packets": 64}, protocol="udp")
    holding = program(HOLDING)
    events = Followed(lab, "?types=divert.overflow,divert.overflow_end")
    lab.alice.run("ping", "-c", "1", l.SERVER)
    lab.alice.run(sys.executable, "-c", SEND, l.SERVER, 9000, 500)
    kind, first = events.next()
    check_equal((kind, first["port"]), ("divert.overflow", PORT), "the first one")
    kind, last = events.next()
    check_equal((kind, last["port"]), ("divert.overflow_end", PORT), "the second one")
    port = lab.masqgate.rest.get("/v1/divert")["ports"][0]
    check_equal(last["packets"], port["full_dropped"], "packets")
    check(first["packets"] <= last["packets"], f"{first} {last}")
    events.close()
    holding.kill()
    holding.wait()


@story("D4, events: who comes back with the last id has missed nothing; after a restart he is told", needs_masqgate=True)
def resumed(lab):
    start(lab, protocol="icmp")
    first = Followed(lab)
    divert.open(PORT, name="one").close()
    first.wait_for("divert.attached", name="one")
    first.close()
    for name in ("two", "three"):
        divert.open(PORT, name=name).close()
    config = lab.masqgate.rest.get("/v1/config")
    config["ip_forward"] = False
    lab.masqgate.rest.put("/v1/config", config)
    again = Followed(lab, last=first.id)
    seen = []
    while len([k for k, _ in seen if k == "divert.died"]) < 3:
        seen.append(again.next())
    check_equal([d["name"] for k, d in seen if k == "divert.attached"], ["two", "three"], "who came meanwhile")
    check_equal([d["members"] for k, d in seen if k == "config.changed"], [["ip_forward"]], "changes")
    again.close()
    lab.masqgate.stop()
    start(lab, protocol="icmp")
    anew = Followed(lab, last=again.id)
    check_equal(anew.next()[0], "missed", "after a restart")
    anew.close()


@story("D4, events: one that does not read harms nobody; masqctl events prints lines", needs_masqgate=True)
def followers(lab):
    start(lab, protocol="icmp")
    deaf = socket.socket(socket.AF_UNIX)
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(str(lab.masqgate.rest.path))
    deaf.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
    lines = lab.router.start(lab.masqgate.control, "events", "--types", "config,divert.attached")
    good = Followed(lab, "?types=divert.attached")
    divert.open(PORT, name="seen").close()
    good.wait_for("divert.attached", name="seen")
    lines.wait_for('divert.attached port=2222')
    config = lab.masqgate.rest.get("/v1/config")
    for _ in range(20):
        config["ip_forward"] = not config["ip_forward"]
        lab.masqgate.rest.put("/v1/config", config)
    divert.open(PORT, name="after").close()
    good.wait_for("divert.attached", name="after")
    lines.wait_for('name="after"')
    lines.wait_for("config.changed members=ip_forward")
    deaf.close()
    good.close()


@story("D4: a listener learns of the flows that it gets packets of: where they began, what went through, why they ended",
       needs_masqgate=True)
def flows(lab):
    start(lab)
    servers.Http(lab.server, page=b"x" * 50000)
    listener = Following(PORT, flows=True, segments=True)
    check_equal(len(lab.alice.run("curl", "-sS", "--max-time", "20", f"http://{l.SERVER}/").stdout), 50000, "page")
    begun = listener.wait_for(lambda e: e.started and e.original.dport == 80)
    check_equal((str(begun.original.src), str(begun.original.dst)), (l.ALICE, l.SERVER), "between whom")
    check(any(p.flow == begun.flow for p in listener.seen), "no packet has its number")
    connection = l.wait_until(lambda: lab.masqgate.connections(protocol="tcp", state="TIME_WAIT"), "the page's end")[0]
    lab.masqgate.rest.delete("/v1/connections/" + connection["id"])
    ended = listener.wait_for(lambda e: not e.started and e.flow == begun.flow)
    for got, what in ((ended.packets, "packets"), (ended.bytes, "bytes")):  # or an acknowledgement more
        before = [connection[way][what] for way in ("original", "reply")]
        check(all(0 <= now - then < 500 for now, then in zip(got, before)), f"{what} that went through: {got}, not {before}")
    check_equal(str(ended.reply.dst), l.ROUTER_WAN, "where answers came to")
    check(ended.bytes[1] > 50000 and ended.end == "closed", f"{ended}")
    listener.close()


@story("D4: flows time out, and one whose first packets are dropped has never begun", needs_masqgate=True)
def flow_ends(lab):
    config = r.configuration()
    config["firewall"]["forward"]["rules"].insert(0, {"id": "look", "protocol": "udp", "action": {"divert": PORT}})
    config["conntrack"] = {"timeouts": {"udp": 1}}
    lab.masqgate.start(config)
    listener = Following(PORT, flows=True)
    flow = send_until(lab, 9000, lambda: listener.find(lambda e: e.started)).flow
    check_equal(listener.wait_for(lambda e: e.flow == flow and not e.started).end, "timed_out", "why it ended")
    listener.what = lambda p: p.drop()
    flow = send_until(lab, 9001, lambda: listener.find(lambda e: e.started and e.original.dport == 9001)).flow
    check_equal(listener.wait_for(lambda e: e.flow == flow and not e.started).end, "not_admitted", "why it ended")
    listener.close()


@story("D4: a listener learns of others that come and go, on ports that it may listen to", needs_masqgate=True)
def reflect(lab):
    start(lab, {"port": PORT, "deadline_ms": 1234}, {"access": [{"ports": "2222-2223", "user": 65534}]}, protocol="icmp")
    was = divert.open(PORT, name="was")
    watcher = divert.open(3333, reflect=True)
    stranger = lab.router.start(sys.executable, "-c", REFLECT, str(CLIENTS))
    stranger.wait_for("was was_there")
    other = divert.open(4444, name="hidden", priority=7)
    seen = watcher.follow()
    check_equal([(e.event, e.name) for e in (next(seen), next(seen), next(seen))],
                [("was_there", "was"), ("came", "stranger"), ("came", "hidden")], "others")
    check_equal((watcher.events.maxlen, other.bound[5]), (divert.MOST_EVENTS, 7), "its priority")
    was.close()
    stranger.wait_for("was left died 1234")
    left = next(seen)
    check_equal((left.event, left.end, left.pid, left.deadline_ms), ("left", "died", os.getpid(), 1234), "who left")
    other.socket.send(b"rubbish" * 9)
    check_equal([(e.name, e.end) for e in (next(seen),)], [("hidden", "sent_away")], "who was sent away")
    check("hidden" not in stranger.output(), "a port was seen that is not his")
    other.close()
    watcher.close()


COLUMNS = """port pid uid name prio group transport outstanding queued_bytes delivered accepted modified dropped rejected repeated
expired full_drop full_pass nolistener_drop nolistener_pass redelivered injected inject_err loops lost avg_batch p50_us p99_us""".split()
IN_REST = {"prio": "priority", "inject_err": "inject_refused"}  # by other names
OF_PORT = {"full_drop": "full_dropped", "full_pass": "full_passed", "nolistener_drop": "nobody_dropped",
           "nolistener_pass": "nobody_passed", "loops": "loops"}


def rows(lab):
    """The file net/divert as dictionaries."""
    header, *lines = [line.split() for line in lab.masqgate.text("net/divert").splitlines()]
    check_equal(header, COLUMNS, "the columns")
    return [dict(zip(header, line)) for line in lines]


@story("U2: the file and REST show the same of each port and listener, in every column", needs_masqgate=True)
def introspection(lab):
    start(lab, protocol="icmp")
    packed = Following(PORT, name="packed one", priority=5)
    plain = lab.router.start(sys.executable, "-c", PLAIN, str(PORT))
    plain.wait_for("listening")
    tee = divert.open(PORT, tee=True, name="tee", any_member=True)
    any_member = divert.open(2300, any_member=True, name="any", snapshot=100, ordered=True)
    lab.alice.run("ping", "-c", "3", "-i", "0.2", l.SERVER)
    shown = l.wait_until(lambda: (lambda x: x if all(one["outstanding"] == 0 for one in x["listeners"]) else None)(
        lab.masqgate.rest.get("/v1/divert")), "all verdicts")
    check_equal([(one["name"], one["group"], one["transport"]) for one in shown["listeners"]],
                [("packed one", "flow", "packed"), ("plain", "flow", "plain"), ("tee", "tee", "packed"),
                 ("any", "any", "packed")], "listeners")
    check_equal([one["ordered"] for one in shown["listeners"]], [False, False, False, True], "who wants order")
    ports = {port["port"]: port for port in shown["ports"]}
    for row, one in zip(rows(lab), shown["listeners"]):
        for name in COLUMNS:
            value = ports[one["port"]][OF_PORT[name]] if name in OF_PORT else one[IN_REST.get(name, name)]
            text = f"{value:.1f}" if name == "avg_batch" else str(value).replace(" ", "_")
            check_equal(row[name], text, f"{name} of {one['name']}")
        alone = lab.masqgate.rest.get(f"/v1/divert/{one['port']}/{one['id']}")
        check_equal(alone, one, "the listener alone")
        port = lab.masqgate.rest.get(f"/v1/divert/{one['port']}")
        check(one in port.pop("listeners"), "it is not at its port")
        check_equal(port, ports[one["port"]], "the port alone")
    check_equal([line.split() for line in lab.masqgate.text("net/netfilter/nfnetlink_queue").splitlines()],
                [[str(one["port"]), str(one["pid"]), "0", "2", "100" if one["name"] == "any" else "65535", "0", "0",
                  str(one["delivered"]), "1"] for one in shown["listeners"] if not one["tee"]], "Linux' columns")
    for path in ("/v1/divert/1", "/v1/divert/x", f"/v1/divert/{PORT}/63", f"/v1/divert/{PORT}/x", "/v1/divert/2300/0"):
        try:
            lab.masqgate.rest.get(path)
            raise l.Failed(f"{path} is there")
        except r.Refused as refused:
            check_equal(refused.status, 404, path)
    for one in (tee, any_member, packed):
        one.close()


def silent(packet):
    packet.answered = True  # so that it gets no verdict, either


# A way to provoke each drop of a diverted packet: what its rule says, how many rules there are, what the listener does
# with a packet (None: nobody listens), how many packets come, and whether the listener dies.
REASONS = {
    "divert_nobody": ({}, 1, None, 1, False),
    "divert_verdict": ({}, 1, lambda p: p.drop(), 1, False),
    "divert_bad_packet": ({}, 1, lambda p: p.replace(b"rubbish"), 1, False),
    "divert_loop": ({}, 4, lambda p: p.accept(), 1, False),
    "divert_died": ({"death": "drop", "deadline_ms": 30000}, 1, silent, 1, True),
    "divert_late": ({"deadline_ms": 100}, 1, silent, 1, False),
    "divert_full": ({"deadline_ms": 1000}, 1, silent, 100, False),
}


class CountedDrop:
    """Whether REST counts more drops for a reason than when this was made."""

    def __init__(self, lab, name):
        self.count = lambda: lab.masqgate.rest.get("/v1/drops")["drops"][name]
        self.before = self.count()

    def __call__(self):
        return self.count() > self.before


@story("U2: every drop of a diverted packet has a counter by its name, in the tree and in REST", needs_masqgate=True)
def every_drop(lab):
    config = r.configuration()
    names = list(REASONS)
    config["divert"] = {"packets": 64, "hops": 3}
    config["firewall"]["forward"]["rules"] = [
        {"protocol": "udp", "destination_port": str(9000 + number), "action": {"divert": {"port": 2310 + number, **how}}}
        for number, (how, rules, *_) in enumerate(REASONS.values()) for _ in range(rules)
    ] + config["firewall"]["forward"]["rules"]
    lab.masqgate.start(config)
    lab.alice.run("ping", "-c", "1", l.SERVER)
    known = [name for name in lab.masqgate.rest.get("/v1/drops")["drops"] if name.startswith("divert_")]
    check_equal(sorted(known), sorted(names), "reasons that this story knows")
    for number, (name, (_, _, what, packets, dies)) in enumerate(REASONS.items()):
        listener = what and Following(2310 + number)
        if what:
            listener.what = what
        before = lab.masqgate.rest.get("/v1/drops")["drops"]
        counted = CountedDrop(lab, name)
        send_until(lab, 9000 + number, (lambda: listener.seen) if dies else counted, packets)
        if dies:
            listener.close()
        l.wait_until(counted, f"{name} in REST")
        text = dict(line.split() for line in lab.masqgate.text("drops").splitlines())
        check(int(text[name]) > before[name], f"{name} in the tree: {text[name]}, before {before[name]}")
        others = {reason for reason, count in lab.masqgate.rest.get("/v1/drops")["drops"].items()
                  if reason in names and count > before[reason]}
        check(others <= {name, "divert_late"}, f"{name}: also {others}")
        l.wait_until(lambda: lab.masqgate.rest.get("/v1/divert")["held"] == 0, "all packets to go")
        if what and not dies:
            listener.close()


@story("D4: flows in C++", needs_masqgate=True)
def cpp_flows(lab):
    if "FLOW_LOGGER" not in os.environ:
        return  # told by hand, without the build's environment
    start(lab, protocol="icmp")
    logger = lab.router.start(os.environ["FLOW_LOGGER"], str(PORT))
    logger.wait_for("ready")
    lab.alice.run("ping", "-c", "1", l.SERVER)
    logger.wait_for(f"begins {l.ALICE} > {l.SERVER}")


@story("D4: flows and other programs in C", needs_masqgate=True)
def c_flows(lab):
    if "FLOWS_IN_C" not in os.environ:
        return
    start(lab, protocol="icmp")
    program = lab.router.start(os.environ["FLOWS_IN_C"], str(PORT))
    program.wait_for("ready")
    with divert.open(PORT + 1, name="another one"):
        program.wait_for(f"another one on port {PORT + 1} listens")
    program.wait_for(f"another one on port {PORT + 1} has left")
    lab.alice.run("ping", "-c", "1", l.SERVER)
    program.wait_for(f"{l.ALICE} > {l.SERVER}: 1 and 0 packets so far")
    ping, = lab.masqgate.connections(protocol="icmp")
    lab.masqgate.rest.delete(f"/v1/connections/{ping['id']}")
    program.wait_for(f"{l.ALICE} > {l.SERVER}: 1 and 1 packets")


if __name__ == "__main__":
    main()
