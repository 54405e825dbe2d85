#!/usr/bin/python3
"""R1, R2: REST under traffic: pages, deletion, reload between two packets, refusals that change nothing."""
import contextlib
import copy

import jsonschema

import lab as l
import router as r
import servers
from story import check, check_equal, main, story


def refused(function, *arguments):
    """The Refused that the call raises."""
    try:
        shown = function(*arguments)
    except r.Refused as refusal:
        return refusal
    raise l.Failed(f"was not refused: {arguments}: {shown}")


@story("R1, C-13: connections are listed in pages, filtered, and complete", needs_masqgate=True)
def pages(lab):
    lab.masqgate.start()
    echo = servers.UdpEcho(lab.server)
    flows = [servers.udp_socket(host) for host in (lab.alice, lab.carol) for _ in range(30)]
    for flow in flows:
        check(servers.echoed(flow, (l.INTERNET, 7)), "no answer")
    listed = lab.masqgate.connections(protocol="udp", limit=7)
    outside = {c["reply"]["destination_port"] for c in listed}
    check_equal(outside, {port for _, port in echo.peers}, "outside ports")
    check_equal(len({c["id"] for c in listed}), len(flows), "connections")
    of_carol = lab.masqgate.connections(address=l.CAROL)
    check_equal({c["original"]["source"] for c in of_carol}, {l.CAROL}, "sources")
    check_equal(len(of_carol), 30, "connections of carol")
    check(all(c["masquerade"] for c in listed), "all are masqueraded")


@story("R1: a deleted connection is gone: the late answer does not come in", needs_masqgate=True)
def delete(lab):
    lab.masqgate.start()
    echo = servers.UdpEcho(lab.server)
    flow = servers.udp_socket(lab.alice, timeout=0.5)
    check(servers.echoed(flow, (l.INTERNET, 7)), "no answer")
    connection, = lab.masqgate.connections(protocol="udp")
    lab.masqgate.rest.delete(f"/v1/connections/{connection['id']}")
    check_equal(lab.masqgate.connections(protocol="udp"), [], "connections")
    check_equal(refused(lab.masqgate.rest.delete, f"/v1/connections/{connection['id']}").status, 404, "again")
    echo.socket.sendto(b"late", echo.peers[-1])
    came_in = []
    with contextlib.suppress(TimeoutError):
        while True:
            came_in.append(flow.recv(100))
    check(b"late" not in came_in, "the late answer came in")


@story("R2: a hundred reloads under traffic disturb nobody", needs_masqgate=True)
def reloads(lab):
    lab.masqgate.start()
    servers.TcpEcho(lab.server)
    transfers = [servers.Transfer(host, (l.INTERNET, 7)) for host in (lab.alice, lab.carol)]
    config = r.configuration()
    for number in range(100):
        config["firewall"]["forward"]["rules"][1]["comment"] = f"version {number}"
        lab.masqgate.rest.put("/v1/config", config)
    for transfer in transfers:
        transfer.wait_for_progress()
        transfer.stop()


@story("R2: a new rule acts on new connections, established ones stay", needs_masqgate=True)
def new_rule(lab):
    lab.masqgate.start()
    servers.TcpEcho(lab.server)
    transfer = servers.Transfer(lab.alice, (l.INTERNET, 7))
    transfer.wait_for_progress()
    config = r.configuration()
    rules = config["firewall"]["forward"]["rules"]
    rules.insert(1, {"id": "no-echo", "protocol": "tcp", "destination_port": "7", "action": "drop"})
    lab.masqgate.rest.put("/v1/config", config)
    transfer.wait_for_progress()
    try:
        servers.connect(lab.alice, (l.INTERNET, 7), timeout=1.5)
        came_through = True
    except TimeoutError:
        came_through = False
    check(not came_through, "a new connection passed the new rule")
    check(lab.masqgate.rest.get("/v1/drops")["drops"]["rule"] > 0, "the drop is counted")
    transfer.wait_for_progress()
    lab.masqgate.rest.put("/v1/config", r.configuration())
    check(servers.answers(servers.connect(lab.alice, (l.INTERNET, 7))), "without the rule again")
    transfer.stop()


def strict(schema):
    """The schema, with no member allowed that it does not describe."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    described = {name: strict(part) for name, part in schema.items()}
    if "properties" in schema:
        described.setdefault("additionalProperties", False)
    return described


def offers(document):
    """What the contract says of each URL, with variables replaced by the words that they may be: (url, method) -> ..."""
    found = {}
    for url, methods in document["paths"].items():
        for method, operation in methods.items():
            words = {p["name"]: p["schema"]["enum"] for p in operation.get("parameters", [])
                     if p["in"] == "path" and "enum" in p["schema"]}
            (name, values), = words.items() or [("", [""])]
            for value in values:
                found[url.replace(f"{{{name}}}", value), method] = operation
    return found


@story("R1: the contract describes every file and every document of the router, and nothing else", needs_masqgate=True)
def contract(lab):
    lab.masqgate.start()
    echo = servers.UdpEcho(lab.server)
    check(servers.echoed(servers.udp_socket(lab.alice), (l.INTERNET, 7)), "no answer")
    lab.alice.run("ping", "-c", "1", l.INTERNET)
    rest, document = lab.masqgate.rest, lab.masqgate.rest.get("/openapi.json")
    files = {f"/v1/{path.relative_to(lab.masqgate.tree)}" for path in lab.masqgate.tree.rglob("*") if path.is_file()}
    described = offers(document)
    readable = {url for url, method in described if method == "get" and url.startswith("/v1/") and "{" not in url}
    check_equal(files, readable - {"/v1/openapi.json"}, "what the tree shows, and the contract")
    seen = 0
    for url in sorted(files):
        media = described[url, "get"]["responses"]["200"]["content"]
        if "application/json" in media:
            schema = {**strict(media["application/json"]["schema"]),
                      "components": strict(document["components"])}
            shown = rest.request("GET", url, headers={"Accept": "application/json"})[1]
            try:
                jsonschema.validate(shown, schema, jsonschema.Draft202012Validator)
            except jsonschema.ValidationError as wrong:
                raise l.Failed(f"{url}: {wrong.message} at {wrong.json_path}") from None
            seen += 1
        if "text/plain" in media:
            shown = rest.request("GET", url, headers={"Accept": "text/plain"})[1]
            check(isinstance(shown, str) and (shown == "" or shown.endswith("\n")), f"{url} is no text: {shown!r}")
    check(seen >= 9, f"only {seen} documents")
    check(echo.peers, "the documents had something to show")


BAD = [  # what is changed in the document, and what the pointer must name
    ("/nat/0/masquerade", "nowhere"),
    ("/nat/0/source", "192.168.0.0/33"),
    ("/firewall/forward/policy", "perhaps"),
    ("/firewall/forward/rules/0/state/0", "happy"),
    ("/firewall/forward/rules/1/action", {"jump": "no-such-chain"}),
    ("/firewall/forward/rules/1/in", 7),
    ("/routes/0/via", "203.0.113.256"),
    ("/ports/lan/addresses/0", "192.168.0.1/240"),
    ("/conntrack", {"max": -1}),
    ("/shard", {"spin_us": "fast"}),
    ("/unheard_of", True),
]


def changed(config, pointer, value):
    """The document with one value replaced."""
    document = copy.deepcopy(config)
    *way, last = [int(w) if w.isdigit() else w for w in pointer.strip("/").split("/")]
    place = document
    for step in way:
        place = place[step]
    place[last] = value
    return document


@story("R2: bad documents are refused by name, and change nothing", needs_masqgate=True)
def bad_documents(lab):
    lab.masqgate.start()
    servers.TcpEcho(lab.server)
    transfer = servers.Transfer(lab.alice, (l.INTERNET, 7))
    before = lab.masqgate.rest.get("/v1/config")
    for pointer, value in BAD:
        refusal = refused(lab.masqgate.rest.put, "/v1/config", changed(r.configuration(), pointer, value))
        check_equal(refusal.status, 422, f"status for {pointer} = {value!r}: {refusal}")
        named = refusal.problem.get("pointer", "")
        check(named.startswith(pointer), f"{pointer} = {value!r}: the answer names {named!r}: {refusal}")
        check(refusal.problem.get("detail"), f"{pointer}: no explanation")
    check_equal(lab.masqgate.rest.get("/v1/config"), before, "the configuration")
    transfer.wait_for_progress()
    transfer.stop()


@story("R2: whoever does not name the version that he replaces is refused", needs_masqgate=True)
def versions(lab):
    lab.masqgate.start()
    rest = lab.masqgate.rest
    check_equal(refused(rest.request, "PUT", "/v1/config", r.configuration()).status, 428, "without If-Match")
    stale = {"If-Match": '"something-old"'}
    check_equal(refused(rest.request, "PUT", "/v1/config", r.configuration(), stale).status, 412, "stale")


@story("R1: masqctl shows what REST shows", needs_masqgate=True)
def masqctl(lab):
    lab.masqgate.start()
    servers.UdpEcho(lab.server)
    check(servers.echoed(servers.udp_socket(lab.alice), (l.INTERNET, 7)), "no answer")
    socket = lab.masqgate.rest.path
    for words, expected in ((["status"], "masqgate"), (["connections"], l.ALICE), (["drops"], "rule"),
                            (["config", "show"], "masquerade")):
        shown = lab.router.run(lab.masqgate.control, "--socket", socket, *words).stdout
        check(expected in shown, f"masqctl {words}: no {expected!r} in:\n{shown}")


if __name__ == "__main__":
    main()
