#!/usr/bin/env python3
"""Issue 4.8, R2: single rules, chains and sets by their own URLs, and by masqctl, while packets pass."""
import json

import lab as l
import router as r
import servers
from story import check, check_equal, main, story

FORWARD = "/v1/firewall/forward/rules"


def refused(function, *arguments, **query):
    """The Refused that the call raises."""
    try:
        shown = function(*arguments, **query)
    except r.Refused as refusal:
        return refusal
    raise l.Failed(f"was not refused: {arguments}: {shown}")


def ids(lab, rules=FORWARD):
    return [rule["id"] for rule in lab.masqgate.rest.get(rules)]


def packets(lab, rule, chain="forward"):
    return next(c["packets"] for c in lab.masqgate.rest.get("/v1/rules")["rules"]
                if (c["chain"], c["rule"]) == (chain, rule))


def passes(host):
    return host.run("ping", "-c", "1", "-W", "1", l.INTERNET, check=False).returncode == 0


def masqctl(lab, *words, check=True):
    socket = lab.masqgate.runtime / "api.sock"
    return lab.router.run(lab.masqgate.control, "--socket", socket, *words, check=check)


@story("F7, R2: a rule is added, replaced and deleted by its URL; what the others have counted stays", needs_masqgate=True)
def one_rule(lab):
    lab.masqgate.start()
    rest = lab.masqgate.rest
    l.wait_until(lambda: passes(lab.alice), "alice to come through")
    counted = packets(lab, "out-lan")
    check(counted > 0, "nothing was counted")
    added = rest.post(FORWARD, {"id": "no-ping", "protocol": "icmp", "in": "lan", "action": "drop"}, before="answers")
    check_equal(added["id"], "no-ping", "the answer")
    check_equal(ids(lab), ["no-ping", "answers", "out-lan", "out-lan2"], "order")
    check(not passes(lab.alice), "alice came through a rule that drops")
    check_equal(packets(lab, "out-lan"), counted, "the counter of a rule that stayed")
    check(packets(lab, "no-ping") > 0, "the new rule counts")
    check_equal(rest.get(FORWARD + "/no-ping"), added, "the rule")
    rest.put(FORWARD + "/no-ping", {"protocol": "icmp", "in": "lan2", "action": "drop"})
    l.wait_until(lambda: passes(lab.alice), "alice to come through again")
    check_equal(ids(lab)[0], "no-ping", "it has kept its place and its id")
    rest.delete(FORWARD + "/no-ping")
    check_equal(ids(lab), ["answers", "out-lan", "out-lan2"], "order")
    check(packets(lab, "out-lan") > counted, "the counter goes on")
    rest.post(FORWARD, {"action": "continue"}, after="out-lan")
    check_equal(ids(lab), ["answers", "out-lan", "forward-4", "out-lan2"], "a free id")


@story("R2: rules that are not there, there already, stale or wrong are refused and change nothing", needs_masqgate=True)
def refusals(lab):
    lab.masqgate.start()
    rest = lab.masqgate.rest
    before = rest.get("/v1/config")
    rule = {"id": "new", "action": "accept"}
    for status, call in ((404, lambda: rest.get(FORWARD + "/nobody")), (404, lambda: rest.get("/v1/firewall/nobody/rules")),
                         (404, lambda: rest.post("/v1/firewall/nobody/rules", rule)),
                         (404, lambda: rest.post(FORWARD, rule, before="nobody")),
                         (404, lambda: rest.put(FORWARD + "/nobody", rule)), (404, lambda: rest.delete(FORWARD + "/nobody")),
                         (409, lambda: rest.post(FORWARD, {**rule, "id": "answers"})),
                         (400, lambda: rest.post(FORWARD, rule, before="answers", after="out-lan")),
                         (428, lambda: rest.request("POST", FORWARD, rule)),
                         (428, lambda: rest.request("DELETE", FORWARD + "/answers")),
                         (412, lambda: rest.request("PUT", FORWARD + "/answers", rule, {"If-Match": '"old"'})),
                         (412, lambda: rest.request("POST", FORWARD, rule, {"If-Match": '"old"'}))):
        refusal = refused(call)
        check_equal(refusal.status, status, f"status of {refusal}")
        check(refusal.problem["detail"], "no sentence")
    for wrong, pointer in (({"id": "new"}, ""), ({**rule, "in": 7}, "/in"), ({**rule, "state": ["happy"]}, "/state/0"),
                           ({**rule, "id": "a b"}, "/id"), ({**rule, "action": {"jump": "no"}}, "/action/jump"),
                           ({**rule, "source_set": "none"}, "/source_set")):
        refusal = refused(rest.post, FORWARD, wrong)
        check_equal((refusal.status, refusal.problem.get("pointer", "")), (422, pointer), f"{wrong}: {refusal}")
    check_equal(refused(rest.put, FORWARD + "/answers", {"id": "other", "action": "drop"}).problem["pointer"], "/id", "id")
    tried = rest.post(FORWARD, rule, dry_run="1")
    check_equal([change["op"] for change in tried["changes"]], ["add"], "changes of a dry run")
    check_equal(rest.get("/v1/config"), before, "the configuration")


@story("R2: versions belong to a rule: two who edit different rules do not meet", needs_masqgate=True)
def versions(lab):
    lab.masqgate.start()
    rest = lab.masqgate.rest
    first, second = (rest.request("GET", f"{FORWARD}/{rule}") for rule in ("out-lan", "out-lan2"))
    for (headers, rule), comment in ((first, "one"), (second, "two")):
        rest.request("PUT", f"{FORWARD}/{rule['id']}", {**rule, "comment": comment}, {"If-Match": headers["ETag"]})
    again = refused(rest.request, "PUT", FORWARD + "/out-lan", first[1], {"If-Match": first[0]["ETag"]})
    check_equal(again.status, 412, "who is late")
    check_equal([rule.get("comment") for rule in rest.get(FORWARD)], [None, "one", "two"], "comments")
    answer, _ = rest.request("GET", FORWARD)
    added, shown = rest.request("POST", FORWARD, {"action": "continue"}, {"If-Match": answer["ETag"]})
    check_equal(added["Location"], f"{FORWARD}/{shown['id']}", "Location")
    check(added["ETag"] != answer["ETag"], "the list has another version")


@story("R2: chains of one's own and sets are made, read, jumped to and taken away by their URLs", needs_masqgate=True)
def chains_and_sets(lab):
    lab.masqgate.start()
    rest = lab.masqgate.rest
    headers, made = rest.request("PUT", "/v1/firewall/guests", {"rules": []}, {"If-None-Match": "*"})
    check_equal(made, {"rules": []}, "the new chain")
    rest.put("/v1/sets/blocked", {"addresses": [l.ALICE]})
    rest.post("/v1/firewall/guests/rules", {"id": "blocked", "source_set": "blocked", "action": "drop"})
    rest.post(FORWARD, {"id": "to-guests", "in": "lan", "action": {"jump": "guests"}}, before="answers")
    check(not passes(lab.alice), "alice is in the set")
    l.wait_until(lambda: passes(lab.bob), "bob to come through")
    check(packets(lab, "blocked", "guests") > 0, "the chain counts")
    check_equal(refused(rest.request, "PUT", "/v1/firewall/guests", {"rules": []}).status, 428, "it is there now")
    for url, pointer in (("/v1/firewall/guests", "/firewall/forward/rules/0/action/jump"),
                         ("/v1/sets/blocked", "/firewall/guests/rules/0/source_set")):
        refusal = refused(rest.delete, url)
        check_equal((refusal.status, refusal.problem["pointer"]), (422, pointer), f"{url} is asked for")
    rest.put("/v1/firewall/guests", {"rules": [{"id": "blocked", "source_set": "!blocked", "action": "drop"}]})
    l.wait_until(lambda: passes(lab.alice), "alice to come through")
    rest.delete(FORWARD + "/to-guests")
    rest.delete("/v1/firewall/guests")
    rest.delete("/v1/sets/blocked")
    check_equal((list(rest.get("/v1/firewall")), rest.get("/v1/sets")), (["forward"], {}), "what is left")
    check_equal(refused(rest.delete, "/v1/firewall/guests").status, 404, "again")
    rest.put("/v1/firewall", {"ipchains": ["-A input -j ACCEPT"]})
    check_equal(refused(rest.post, FORWARD, {"action": "drop"}).status, 409, "rules of an old language")


@story("R2: masqctl shows, adds, replaces and deletes rules", needs_masqgate=True)
def by_masqctl(lab):
    lab.masqgate.start()
    rule = {"id": "no-ping", "protocol": "icmp", "action": "drop"}
    check_equal(masqctl(lab, "rules", "add", "forward", json.dumps(rule), "--before", "answers").stdout,
                "added no-ping\n", "add")
    check_equal(json.loads(masqctl(lab, "rules", "show", "forward", "no-ping").stdout), rule, "show")
    check(not passes(lab.alice), "alice came through a rule that drops")
    masqctl(lab, "rules", "replace", "forward", "no-ping", json.dumps({**rule, "action": "continue"}))
    l.wait_until(lambda: passes(lab.alice), "alice to come through")
    masqctl(lab, "rules", "delete", "forward", "no-ping")
    check_equal(ids(lab), ["answers", "out-lan", "out-lan2"], "rules")
    wrong = masqctl(lab, "rules", "add", "forward", '{"action": "perhaps"}', check=False)
    check_equal(wrong.returncode, 1, "status")
    check("(/action)" in wrong.stderr, f"no place in {wrong.stderr}")


if __name__ == "__main__":
    main()
