#!/usr/bin/env python3
"""Reloads under load: rules are replaced as often as the door takes it, up to 100 times a second, while connections
begin and go on. Paired rules tell a packet that was judged by two rule sets; RELOAD_SECONDS=60 makes it long."""
import json
import os
import threading
import time

import lab as l
import router as r
import servers
from story import check, check_equal, main, story

SECONDS = float(os.environ.get("RELOAD_SECONDS", "4"))
MOST_PER_SECOND = 100


def rule_set(number):
    """prerouting marks by this number, forward and leaving drop what another rule set has marked."""
    other = {"mark": f"!0x{number:x}", "action": "drop"}
    return {
        "prerouting": {"rules": [{"id": "mark", "action": {"mark": f"0x{number:x}"}}]},
        "forward": {"rules": [{"id": "mixture", **other}, {"id": "counted", "action": "continue"}]},
        "leaving": {"rules": [{"id": "mixture", "in": "lan", **other}]},
    }


class Load:
    """New UDP connections from many sockets, until it is stopped."""

    def __init__(self, host, address):
        self.address, self.sent, self.failures, self.over = address, 0, [], threading.Event()
        self.sockets = [servers.udp_socket(host) for _ in range(64)]
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        port = 20000
        while not self.over.is_set():
            for one in self.sockets:
                port = 20000 + (port - 19999) % 20000
                try:
                    one.sendto(b"new", (self.address, port))
                    self.sent += 1
                except OSError as problem:
                    self.failures.append(str(problem))
            time.sleep(0.002)

    def stop(self):
        self.over.set()
        self.thread.join()


@story("F7: a hundred reloads a second, and no packet sees half of one, no connection ends", needs_masqgate=True)
def reloads(lab):
    config = r.configuration()
    config["firewall"] = rule_set(1)
    lab.masqgate.start(config)
    rest = lab.masqgate.rest
    servers.TcpEcho(lab.server)
    connections = [servers.connect(lab.alice, (l.INTERNET, 7)) for _ in range(8)]
    document = rest.get("/v1/config")
    documents = [{**document, "firewall": rule_set(number)} for number in (1, 2)]
    load = Load(lab.bob, l.INTERNET)
    begin, count = time.monotonic(), 0
    while time.monotonic() < begin + SECONDS:
        rest.put("/v1/config", documents[count % 2])
        count += 1
        if count % 25 == 0:
            check(all(servers.answers(one) for one in connections), f"a connection ended at reload {count}")
        time.sleep(max(0.0, begin + count / MOST_PER_SECOND - time.monotonic()))
    took = time.monotonic() - begin
    load.stop()
    print(f"# {count} reloads in {took:.1f} s, {load.sent} packets of new connections")
    check(all(servers.answers(one) for one in connections), "a connection ended")
    check(count > 20 and load.sent > 200, f"{count} reloads, {load.sent} packets are no load")
    check_equal(rest.get("/v1/drops")["drops"]["rule"], 0, "packets judged by a mixture")
    check(rest.get("/v1/status")["connections"]["created"] > 200, "no new connections")
    counters = {(rule["chain"], rule["rule"]): rule["packets"] for rule in rest.get("/v1/rules")["rules"]}
    check(counters["forward", "counted"] > 200, "the counter of a rule that stayed went on over all reloads")


@story("F2: a named set changes without its rules: who is put in is refused at once", needs_masqgate=True)
def sets(lab):
    config = r.configuration()
    config["sets"] = {"blocked": {"addresses": []}, "spare": {"ports": [80]}}
    config["firewall"]["forward"]["rules"].insert(0, {"id": "set", "source_set": "blocked", "action": "drop"})
    lab.masqgate.start(config)
    rest = lab.masqgate.rest
    lab.alice.run("ping", "-c", "1", "-W", "5", l.INTERNET)
    rest.put("/v1/sets", {**rest.get("/v1/sets"), "blocked": {"addresses": [f"{l.ALICE}-{l.ALICE}"]}})
    check(lab.alice.run("ping", "-c", "1", "-W", "1", l.INTERNET, check=False).returncode != 0, "alice came through")
    lab.bob.run("ping", "-c", "1", "-W", "5", l.INTERNET)

    def dropped():
        return next(rule["packets"] for rule in rest.get("/v1/rules")["rules"] if rule["rule"] == "set")
    before = dropped()
    check(before > 0, "nothing was dropped")
    rest.delete("/v1/sets/spare")
    try:
        rest.delete("/v1/sets/blocked")
        raise l.Failed("taken away")
    except r.Refused as refusal:
        check_equal((refusal.status, refusal.problem["pointer"]), (422, "/firewall/forward/rules/0/source_set"), "place")
    rest.put("/v1/sets", {"blocked": {"addresses": []}})
    lab.alice.run("ping", "-c", "1", "-W", "5", l.INTERNET)
    check_equal(dropped(), before, "the counter of the rule")


@story("F7: ?rejudge=1 lists the connections that new rules would not admit, and on confirmation they end",
       needs_masqgate=True)
def rejudge(lab):
    lab.masqgate.start()
    rest = lab.masqgate.rest
    servers.TcpEcho(lab.server)
    servers.UdpEcho(lab.server)
    connections = {host: servers.connect(host, (l.INTERNET, 7)) for host in (lab.alice, lab.bob, lab.carol)}
    check(servers.echoed(servers.udp_socket(lab.alice), (l.INTERNET, 7)), "no answer")
    ids = {c["original"]["source"]: c["id"] for c in lab.masqgate.connections(protocol="tcp")}
    rules = "/v1/firewall/forward/rules"
    rule = {"id": "no-echo", "protocol": "tcp", "source": l.LAN, "destination_port": "7", "action": "drop"}
    before = rest.get("/v1/config")

    def refused_of(report):
        return {(c["id"], c["refused_by"]["rule"]) for c in report["rejudge"]["connections"]}
    inside = {(ids[l.ALICE], "no-echo"), (ids[l.BOB], "no-echo")}
    tried = rest.post(rules, rule, before="out-lan", rejudge="1")
    check_equal(refused_of(tried), inside, "listed")
    check_equal((tried["rejudge"]["judged"], tried["rejudge"]["ended"]), (4, 0), "judged and ended")
    check_equal(rest.get("/v1/config"), before, "the configuration after a question")
    check(all(servers.answers(one) for one in connections.values()), "a connection ended by a question")
    rest.post(rules, rule, before="out-lan")
    check(all(servers.answers(one) for one in connections.values()), "established connections do not stay")
    again = rest.put("/v1/config", rest.get("/v1/config"), rejudge="1")
    check_equal((refused_of(again), again["changes"]), (inside, []), "by the rules in force")
    file = lab.directory / "same.json"
    file.write_text(json.dumps(rest.get("/v1/config")))
    shown = lab.router.run(lab.masqgate.control, "--socket", rest.path, "config", "apply", "--rejudge", file).stdout
    check("refused 2, ended 2" in shown, f"masqctl said {shown}")
    check(ids[l.ALICE] in shown and "forward/no-echo" in shown, f"masqctl said {shown}")
    left = {c["original"]["source"] for c in lab.masqgate.connections(protocol="tcp")}
    check_equal(left, {l.CAROL}, "connections that stay")
    check(servers.answers(connections[lab.carol]), "carol's connection ended")
    check_equal(rest.get("/v1/status")["connections"]["refused"], 2, "counted")
    connections[lab.alice].settimeout(1)
    check(not servers.answers(connections[lab.alice]), "alice's connection goes on")
    drops = rest.get("/v1/drops")["drops"]
    check(drops["rule"] > 0, f"its packets were not judged anew: {drops}")
    try:
        rest.put("/v1/config", before, rejudge="perhaps")
        raise l.Failed("was taken")
    except r.Refused as refusal:
        check_equal(refusal.status, 400, "an unknown word")


@story("F2: an element of a set has its time, shows what is left, goes on over a reload, and is gone", needs_masqgate=True)
def timeouts(lab):
    config = r.configuration()
    config["sets"] = {"blocked": {"addresses": [l.BOB], "timeout": 0}}
    config["firewall"]["forward"]["rules"].insert(0, {"id": "set", "source_set": "blocked", "action": "drop"})
    lab.masqgate.start(config)
    rest = lab.masqgate.rest

    def passes(host):
        return host.run("ping", "-c", "1", "-W", "1", l.INTERNET, check=False).returncode == 0

    def masqctl(*words):
        return lab.router.run(lab.masqgate.control, "--socket", rest.path, *words).stdout
    l.wait_until(lambda: passes(lab.alice), "alice to come through")
    begin = time.monotonic()
    masqctl("sets", "add", "blocked", l.ALICE, "--timeout", "6")
    check(not passes(lab.alice), "alice came through although she was put in")
    version = rest.request("GET", "/v1/sets")[0]["ETag"]
    rest.put("/v1/config", rest.get("/v1/config"))
    _, shown = rest.get("/v1/sets/blocked")["addresses"]
    left, passed = shown.pop("expires"), time.monotonic() - begin
    check_equal(shown, {"element": l.ALICE, "timeout": 6}, "the element")
    check(6 - passed <= left < 6, f"{left} s are left when {passed} s have passed: the reload began anew")
    check(l.ALICE in masqctl("sets"), "masqctl does not show it")
    check_equal(rest.request("GET", "/v1/sets")[0]["ETag"], version, "time that passes is no new version")
    l.wait_until(lambda: passes(lab.alice), "alice's time to be over")
    check(time.monotonic() - begin > 6, "it was over too soon")
    check_equal(rest.get("/v1/sets"), {"blocked": {"addresses": [l.BOB]}}, "what is left")
    check(not passes(lab.bob), "bob has no time-out")
    masqctl("sets", "delete", "blocked", l.BOB)
    l.wait_until(lambda: passes(lab.bob), "bob to come through")
    masqctl("sets", "add", "blocked", "10.0.0.0/8")
    check_equal(rest.get("/v1/sets/blocked/elements"), ["10.0.0.0/8"], "elements")
    for method, path, document, status in (("POST", "blocked", {"element": "x"}, 422), ("POST", "none", "10.0.0.1", 404),
                                           ("DELETE", "blocked", None, 400)):
        try:
            rest.request(method, f"/v1/sets/{path}/elements", document)
            raise l.Failed("was taken")
        except r.Refused as refusal:
            check_equal(refusal.status, status, f"{method} {path}")
            check_equal(refusal.problem.get("pointer", ""), "/element" if status == 422 else "", "place")


if __name__ == "__main__":
    main()
