"""The router of a laboratory: masqgated with its doors, or the kernel in its place.

The kernel (nftables masquerade on bridges named as the ports) shows that a story asks for what Linux
itself does; NETNS_ROUTER=kernel selects it.
"""
import copy
import http.client
import json
import os
import pathlib
import signal
import socket
import urllib.parse

import lab as l


def configuration():
    """Two LANs and a WAN, both families, masquerade of IPv4: what most stories start from."""
    return {
        "runtime": "/run/masqgate",
        "ports": {
            "lan": {"nics": ["lan0"], "addresses": [f"{l.ROUTER_LAN}/24", f"{l.ROUTER_LAN_6}/64"]},
            "lan2": {"nics": ["lan1"], "addresses": [f"{l.ROUTER_LAN2}/24", f"{l.ROUTER_LAN2_6}/64"]},
            "wan": {"nics": ["wan0"], "addresses": [f"{l.ROUTER_WAN}/24", f"{l.ROUTER_WAN_6}/64"]},
        },
        "routes": [{"to": "0.0.0.0/0", "via": l.SERVER}, {"to": "::/0", "via": l.SERVER_6}],
        "nat": [{"masquerade": "wan", "source": l.LAN}, {"masquerade": "wan", "source": l.LAN2}],
        "firewall": {
            "forward": {"policy": "drop", "rules": [
                {"id": "answers", "state": ["established", "related"], "action": "accept"},
                {"id": "out-lan", "in": "lan", "out": "wan", "action": "accept"},
                {"id": "out-lan2", "in": "lan2", "out": "wan", "action": "accept"},
            ]},
        },
    }


class Refused(Exception):
    """REST answered with an error; .status and .problem (RFC 9457) say which."""

    def __init__(self, status, problem):
        super().__init__(f"{status}: {problem}")
        self.status, self.problem = status, problem


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Rest:
    """The REST door on its unix socket."""

    def __init__(self, path):
        self.path = path

    def request(self, method, path, document=None, headers=None):
        """(headers, document) of a good answer; raises Refused."""
        connection = UnixConnection(str(self.path))
        body = None if document is None else json.dumps(document)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        shown = json.loads(text) if "json" in answer.getheader("Content-Type", "") else text.decode()
        if answer.status >= 400:
            raise Refused(answer.status, shown)
        return answer.headers, shown

    def get(self, path, **query):
        return self.request("GET", f"{path}?{urllib.parse.urlencode(query)}" if query else path)[1]

    def delete(self, path, **query):
        """Removes what is there now."""
        return self._change("DELETE", path, None, query)

    def post(self, path, document, **query):
        """Adds to what is there now."""
        return self._change("POST", path, document, query)

    def _change(self, method, path, document, query):
        try:
            etag = self.request("GET", path)[0].get("ETag")
        except Refused as refusal:  # what has no document, as a connection, has no version
            if refusal.status not in (404, 405):
                raise
            etag = None
        target = f"{path}?{urllib.parse.urlencode(query)}" if query else path
        return self.request(method, target, document, {"If-Match": etag} if etag else None)[1]

    def put(self, path, document, **query):
        """Replaces the document that is there now."""
        return self._change("PUT", path, document, query)

    def pages(self, path, key, **query):
        """All items of a listing that comes in pages."""
        items, page = [], self.get(path, **query)
        while True:
            items += page[key]
            if not page.get("next"):
                return items
            page = self.get(path, **{**query, "cursor": page["next"]})


class Masqgate:
    """masqgated in the router's namespace."""

    program = os.environ.get("MASQGATED", "masqgated")
    control = os.environ.get("MASQCTL", "masqctl")

    def __init__(self, lab):
        self.lab, self.process = lab, None
        self.runtime = pathlib.Path("/run/masqgate")
        self.rest = Rest(self.runtime / "api.sock")
        self.tree = self.runtime / "tree"

    def launch(self, config):
        """Starts the daemon with this document and does not wait for it."""
        file = self.lab.directory / "masqgate.json"
        file.write_text(config if isinstance(config, str) else json.dumps(config, indent=1))
        self.runtime.mkdir(exist_ok=True)
        self.process = self.lab.router.start(self.program, "--config", file)
        return self.process

    def start(self, config=None):
        """Starts the daemon and returns when it serves."""
        process = self.launch(config or configuration())

        def serves():
            if not process.running():
                raise l.Failed(f"masqgated ended:\n{process.output()}")
            try:
                return self.rest.get("/v1/status")
            except (OSError, http.client.HTTPException):
                return None
        l.wait_until(serves, "masqgated to answer GET /v1/status", 30)
        return self

    def stop(self):
        """Stops the daemon as systemd would; it must say good-bye with status 0."""
        status = self.process.stop(signal.SIGTERM)
        if status != 0:
            raise l.Failed(f"masqgated ended with {status}:\n{self.process.output()}")

    def kill(self):
        self.process.kill()

    def replug(self, nic, port):
        """Nothing to do: the daemon takes a NIC of its configuration that appears."""

    def text(self, path):
        return (self.tree / path).read_text()

    def connections(self, **query):
        return self.rest.pages("/v1/connections", "connections", **query)


class Kernel:
    """Linux as the router: bridges with the ports' names, forwarding, nftables."""

    def __init__(self, lab):
        self.lab = lab

    def start(self, config=None):
        config, router = copy.deepcopy(config or configuration()), self.lab.router
        for number, (name, port) in enumerate(config["ports"].items()):
            router.ip(f"link add {name} address 02:00:00:00:01:{number:02} type bridge forward_delay 0",
                      *(f"link set dev {nic} master {name}" for nic in port["nics"]),
                      *(f"addr add {address} dev {name}{' nodad' if ':' in address else ''}"
                        for address in port["addresses"]),
                      f"link set dev {name} up")
        router.ip(*(f"route add {route['to']} via {route['via']}" for route in config["routes"]))
        router.sysctl("ipv4/ip_forward", 1)
        router.sysctl("ipv6/conf/all/forwarding", 1)
        sources = ", ".join(rule["source"] for rule in config["nat"])
        rules = self.lab.directory / "rules.nft"
        rules.write_text(f"""
            table ip nat {{
              chain post {{
                type nat hook postrouting priority 100
                oifname "wan" ip saddr {{ {sources} }} masquerade
              }}
            }}
            table inet filter {{
              chain forward {{
                type filter hook forward priority 0; policy drop
                ct state established,related accept
                ct state invalid drop
                iifname {{ "lan", "lan2" }} oifname "wan" accept
              }}
            }}""")
        router.run("nft", "-f", rules)
        return self

    def replug(self, nic, port):
        """masqgate takes a NIC of its configuration that appears; a plain bridge must be told."""
        self.lab.router.ip(f"link set dev {nic} master {port}")

    def stop(self):
        self.lab.router.run("nft", "flush", "ruleset")
