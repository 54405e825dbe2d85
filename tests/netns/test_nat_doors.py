#!/usr/bin/env python3
"""Issue 3.8, U-09: what translation does, by REST, the tree and masqctl: rules, profiles, mappings, forwards."""
import json

import lab as l
import router as r
import servers
from story import check, check_equal, main, story


def masqctl(lab, *words):
    socket = lab.masqgate.runtime / "api.sock"
    return lab.router.run(lab.masqgate.control, "--socket", socket, *words).stdout


@story("issue 3.8, U-09: rules tell how they behave, part by part, and presets too", needs_masqgate=True)
def rules(lab):
    config = r.configuration()
    config["nat"][0]["profile"] = {"preset": "symmetric", "hairpin": "off"}
    config["nat"][1]["profile"] = "classic-2.2"
    config["ip_masq_udp_dloose"] = True
    lab.masqgate.start(config)
    shown = lab.masqgate.rest.get("/v1/nat/rules")["rules"]
    check_equal([rule["rule"]["masquerade"] for rule in shown], ["wan", "wan"], "rules")
    check_equal((shown[0]["behaviour"]["filtering"], shown[0]["behaviour"]["hairpin"]),
                ("address-and-port-dependent", "off"), "parts of the first rule")
    check("behaviour_udp" not in shown[0], "the first rule is loose")
    check_equal(shown[1]["behaviour_udp"]["filtering"], "endpoint-independent", "loose UDP of the second rule")
    check_equal(json.loads(lab.masqgate.text("nat/rules"))["rules"], shown, "the file")
    presets = {one["name"]: one for one in lab.masqgate.rest.get("/v1/nat/profiles")["profiles"]}
    check_equal(set(presets), {"rfc", "linux", "classic-2.2", "symmetric", "open"}, "presets")
    check_equal(presets["rfc"]["mapping"], "endpoint-independent", "default")
    check("symmetric" in masqctl(lab, "nat", "profiles"), "masqctl nat profiles")


@story("issue 3.8: mappings are listed once each, in pages, filtered, and one can be deleted", needs_masqgate=True)
def mappings(lab):
    lab.masqgate.start()
    echo = servers.UdpEcho(lab.server)
    near = servers.UdpEcho(lab.server, l.SERVER)
    flows = [servers.udp_socket(host) for host in (lab.alice, lab.carol) for _ in range(20)]
    for flow in flows:
        for peer in ((l.INTERNET, 7), (l.SERVER, 7)):
            check(servers.echoed(flow, peer), "no answer")
    check_equal(set(echo.peers), set(near.peers), "outside endpoints")
    listed = lab.masqgate.rest.pages("/v1/nat/mappings", "mappings", protocol="udp", limit=7)
    check_equal({(m["outside"]["address"], m["outside"]["port"]) for m in listed}, set(echo.peers), "mappings")
    check_equal({m["connections"] for m in listed}, {2}, "connections of each")
    check_equal(len(listed), len(flows), "mappings")
    check_equal({m["filtering"] for m in listed}, {"address-dependent"}, "filters")
    of_alice = lab.masqgate.rest.get("/v1/nat/mappings", address=l.ALICE)["mappings"]
    check_equal({m["inside"]["address"] for m in of_alice}, {l.ALICE}, "inside addresses")
    table = masqctl(lab, "nat", "mappings", "--address", l.ALICE).splitlines()
    check_equal(len(table), 21, "lines of masqctl nat mappings")
    gone = of_alice[0]
    masqctl(lab, "nat", "mappings", "delete", gone["id"])
    left = [c for c in lab.masqgate.connections(protocol="udp", address=l.ALICE)
            if c["original"]["source_port"] == gone["inside"]["port"]]
    check_equal(left, [], "its connections")
    check_equal(len(lab.masqgate.connections(protocol="udp")), 2 * len(flows) - 2, "the others")
    try:
        lab.masqgate.rest.delete(f"/v1/nat/mappings/{gone['id']}")
        check(False, "deleted twice")
    except r.Refused as refusal:
        check_equal(refusal.status, 404, "the second time")


@story("issue 3.8, P1 to P3: the tables of ipmasqadm as documents", needs_masqgate=True)
def forwards(lab):
    lab.masqgate.start()
    masqctl(lab, "ipmasqadm", "portfw", "-a", "-P", "tcp", "-L", l.ROUTER_WAN, "80", "-R", l.ALICE, "8080", "-p", "3")
    shown = lab.masqgate.rest.get("/v1/nat/forwards")
    check_equal(shown["portfw"], [{"protocol": "tcp", "local": {"address": l.ROUTER_WAN, "port": 80},
                                   "remote": {"address": l.ALICE, "port": 8080}, "preference": 3, "count": 3}], "portfw")
    check_equal((shown["autofw"], shown["mfw"]), ([], []), "the others")
    check(l.ALICE in masqctl(lab, "nat", "forwards"), "masqctl nat forwards")


if __name__ == "__main__":
    main()
