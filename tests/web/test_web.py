#!/usr/bin/env python3
"""Drives the REST door over a made-up router with curl and with bare sockets.

Usage: test_web.py FIXTURE_SERVER [unittest arguments]
"""
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import stat
import subprocess
import tempfile
import time
import unittest

from web_door import (CONTRACT, LONG, PATIENCE, SERVER, SHORT, Door,
                      WithDoor, head, read_all, read_until, wait_for, main)


class Reading(WithDoor):
    def test_documents_are_json_on_both_listeners(self):
        for tcp in (False, True):
            answer = self.curl("/v1/status", tcp=tcp)
            self.assertEqual((answer.status, answer.fields["content-type"]), (200, "application/json"))
            self.assertEqual(answer.fields["x-content-type-options"], "nosniff")
            self.assertIn("date", answer.fields)
            self.assertEqual(list(answer.json())[:2], ["name", "version"])

    def test_a_text_is_text_and_a_node_with_both_goes_by_accept(self):
        answer = self.curl("/v1/net/ip_masquerade")
        self.assertEqual((answer.fields["content-type"], answer.body),
                         ("text/plain; charset=utf-8", b"net/ip_masquerade\n"))
        answer = self.curl("/v1/drops")
        self.assertEqual((answer.fields["vary"], answer.json()["drops"]["ttl"]), ("Accept", 3))
        self.assertEqual(self.curl("/v1/drops", "-H", "Accept: text/plain").body, b"ttl 3\npolicy 12\n")

    def test_folders_list_their_names(self):
        for path in ("/v1", "/v1/"):
            self.assertIn("connections", self.curl(path).json()["names"])
        for path in ("/v1/net/ip_masq", "/v1/net/ip_masq/"):
            self.assertEqual(self.curl(path).json(), {"names": ["app", "autofw", "icmp", "mfw", "portfw", "tcp", "udp"]})
        self.check_problem(self.curl("/v1/net?x=1"), 400)

    def test_parameters_are_passed_and_unknown_ones_refused(self):
        page = self.curl("/v1/connections?limit=3&protocol=udp").json()
        self.assertEqual([c["id"] for c in page["connections"]], ["5", "10", "15"])
        page = self.curl(f"/v1/connections?limit=3&protocol=udp&cursor={page['next']}").json()
        self.assertEqual(([c["id"] for c in page["connections"]], page["next"]), (["20", "25"], None))
        for path in ("/v1/connections?limt=3", "/v1/connections?limit=x", "/v1/status?a", "/v1/net/ip_conntrack?limit=1",
                     "/v1/connections?limit=1&limit=2", "/v1/connections?limit=%zz", "/healthz?x=1"):
            self.check_problem(self.curl(path), 400)

    def test_head_tells_the_length_without_the_content(self):
        with self.door.connect() as peer:
            peer.sendall(head("/v1/status", "HEAD") + head("/healthz", "GET", "Connection: close"))
            first, second = read_all(peer).split(b"HTTP/1.1 200 OK")[1:]
        length = len(self.curl("/v1/status").body)
        self.assertIn(f"Content-Length: {length}\r\n".encode(), first)
        self.assertTrue(first.endswith(b"\r\n\r\n"))
        self.assertTrue(second.endswith(b"ok\n"))

    def test_nothing_there(self):
        for path in ("/", "/v2/status", "/v1/nothing", "/v1/status/", "/v1/status/x", "/v1/../v1/status", "/v1//status"):
            self.check_problem(self.curl(path), 404)
        self.check_problem(self.curl("/v1/net%2Fip_conntrack"), 400)

    def test_the_contract_is_served(self):
        for path in ("/openapi.json", "/v1/openapi.json"):
            self.assertEqual(self.curl(path).body, CONTRACT.read_bytes())

    def test_every_reference_in_the_contract_leads_somewhere(self):
        contract = json.loads(CONTRACT.read_text())
        references = re.findall(r'"\$ref": "#/([^"]+)"', CONTRACT.read_text())
        self.assertGreater(len(references), 10)
        for reference in references:
            at = contract
            for part in reference.split("/"):
                at = at[part]

    def test_a_node_that_breaks_tells_no_secrets(self):
        answer = self.curl("/v1/test/broken")
        self.check_problem(answer, 500)
        self.assertNotIn(b"secret", answer.body)

    def test_a_large_answer_arrives_whole(self):
        self.assertEqual(len(self.curl("/v1/test/large").body), 8 << 20)


class Changing(WithDoor):
    def test_methods_that_a_resource_lacks(self):
        for path, method, allow in (("/v1/status", "PUT", "GET, HEAD"), ("/v1/config", "DELETE", "GET, HEAD, PUT"),
                                    ("/v1/connections", "POST", "GET, HEAD"), ("/v1/net", "PUT", "GET, HEAD"),
                                    ("/v1/connections/7", "GET", "DELETE"), ("/v1/status", "OPTIONS", "GET, HEAD"),
                                    ("/healthz", "PUT", "GET, HEAD"), ("/v1/sys/net/ipv4/ip_forward", "BREW", "GET, HEAD, PUT")):
            with self.subTest(path=path, method=method):
                answer = self.curl(path, "-X", method, "-H", "Content-Type: application/json")
                self.check_problem(answer, 405)
                self.assertEqual(answer.fields["allow"], allow)

    def test_a_child_is_removed_by_its_parent(self):
        answer = self.curl("/v1/connections/7", "-X", "DELETE")
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.assertNotIn("content-length", answer.fields)
        self.check_problem(self.curl("/v1/connections/7", "-X", "DELETE"), 404)
        self.check_problem(self.curl("/v1/connections/x", "-X", "DELETE"), 400)
        self.check_problem(self.curl("/v1/connections/8?force=1", "-X", "DELETE"), 400)

    def test_a_write_names_the_version_it_replaces(self):
        tag = self.curl("/v1/config").fields["etag"]
        document = '{"ports": {}, /* none */ "nat": []} // end'
        self.check_problem(self.put("/v1/config", document), 428)
        self.check_problem(self.put("/v1/config", document, 'If-Match: "0"'), 412)
        self.check_problem(self.put("/v1/config", document, f"If-Match: W/{tag}"), 412)
        tried = self.put("/v1/config?dry_run=1", document, f"If-Match: {tag}")
        self.assertEqual((tried.json(), tried.fields["etag"]), ({"applied": False, "changes": True}, tag))
        done = self.put("/v1/config", document, f'If-Match: "0", {tag}')
        self.assertEqual((done.status, done.json()["applied"]), (200, True))
        self.assertNotEqual(done.fields["etag"], tag)
        self.check_problem(self.put("/v1/config", document, f"If-Match: {tag}"), 412)
        self.assertEqual(self.put("/v1/config", document, "If-Match: *").status, 200)
        self.check_problem(self.put("/v1/config?wet_run=1", document, "If-Match: *"), 400)
        shown = self.curl("/v1/config")
        self.assertEqual(shown.json(), {"ports": {}, "nat": []})
        same = self.curl("/v1/config", "-H", f"If-None-Match: {shown.fields['etag']}")
        self.assertEqual((same.status, same.body), (304, b""))

    def test_branches_are_made_changed_and_removed_by_version(self):
        rule, rules = "/v1/firewall/forward/rules/ssh", "/v1/firewall/forward/rules"
        shown = self.curl(rule)
        self.assertEqual((shown.json(), shown.fields["etag"]), ({"id": "ssh"}, '"1"'))
        self.check_problem(self.put(rule, "{}"), 428)
        self.check_problem(self.put(rule, "{}", 'If-Match: "0"'), 412)
        self.assertEqual(self.put(rule, "{}", 'If-Match: "1"').status, 200)
        for method, body in (("GET", None), ("PUT", "{}"), ("DELETE", None)):
            sent = ["-d", body] if body else []
            answer = self.curl(rules + "/missing", "-X", method, "-H", "Content-Type: application/json", *sent)
            self.check_problem(answer, 404)
        delete = ["-X", "DELETE", "-H", 'If-Match: "1"']
        self.check_problem(self.curl(rule, "-X", "DELETE"), 428)
        self.check_problem(self.curl(rule, "-X", "DELETE", "-H", 'If-Match: "0"'), 412)
        self.check_problem(self.curl(rule + "?force=1", *delete), 400)
        self.assertEqual(self.curl(rule, *delete).status, 204)
        self.assertEqual(self.curl(rule + "/deeper").status, 404)
        answer = self.curl(rule, "-X", "POST", "-H", "Content-Type: application/json", "-d", "{}")
        self.assertEqual((answer.status, answer.fields["allow"]), (405, "GET, HEAD, PUT, DELETE"))

    def test_what_is_not_there_yet_is_made(self):
        chain = "/v1/firewall/new"
        self.check_problem(self.put(chain, "{}", "If-Match: *"), 412)
        self.check_problem(self.put("/v1/firewall/old", "{}", "If-None-Match: *"), 412)
        self.assertEqual(self.put(chain, "{}", "If-None-Match: *").status, 200)  # it stays new here
        self.assertEqual(self.put(chain, "{}").status, 200)

    def test_a_child_is_added(self):
        rules, post = "/v1/firewall/forward/rules", ["-X", "POST", "-H", "Content-Type: application/json"]
        match = ["-H", 'If-Match: "1"']
        added = self.curl(rules + "?before=x", *post, *match, "-d", '{"id": "ssh"}')
        self.assertEqual((added.status, added.json(), added.fields["location"]), (201, {"id": "ssh"}, rules + "/ssh"))
        self.check_problem(self.curl(rules, *post, "-d", "{}"), 428)
        self.check_problem(self.curl(rules, *post, "-H", 'If-Match: "0"', "-d", "{}"), 412)
        self.check_problem(self.curl(rules, *post, *match, "-d", '{"id": "taken"}'), 409)
        self.check_problem(self.curl(rules, *post, *match, "-d", "{"), 400, "line 1, column 2")
        self.check_problem(self.curl(rules + "?under=x", *post, *match, "-d", "{}"), 400)
        tried = self.curl(rules + "?dry_run=1", *post, *match, "-d", "{}")
        self.assertEqual((tried.status, "location" in tried.fields), (200, False))

    def test_bad_documents_say_where(self):
        for body, status, pointer in (('{"a": 1\n "b": 2}', 400, "line 2, column 4"), ('', 400, "line 1, column 1"),
                                      ('{"ports": {"a": 1, "a": 2}}', 400, "/ports/a"), ('{"nat": []}', 422, "/ports"),
                                      ("[" * 40 + "]" * 40, 400, "/0" * 32), ('"x"', 422, "/ports")):
            with self.subTest(body=body):
                self.check_problem(self.put("/v1/config", body, "If-Match: *"), status, pointer)

    def test_a_text_is_written_as_a_json_string(self):
        path = "/v1/sys/net/ipv4/ip_forward"
        self.assertEqual(self.put(path, '"0"').status, 204)
        self.assertEqual(self.curl(path).body, b"0\n")
        self.check_problem(self.put(path, '"2"'), 422)
        self.check_problem(self.put(path, "0"), 422)

    def test_changes_need_json(self):
        for arguments in (["-X", "PUT", "-d", "{}"], ["-X", "PUT", "-d", "{}", "-H", "Content-Type: text/plain"],
                          ["-d", "a=b"], ["-X", "DELETE", "-d", "{}"]):
            with self.subTest(arguments=arguments):
                self.check_problem(self.curl("/v1/config", *arguments), 415)
        self.check_problem(self.curl("/v1/connections/9", "-X", "DELETE", tcp=True), 415)
        typed = self.curl("/v1/connections/9", "-X", "DELETE", "-H", "Content-Type: application/json", tcp=True)
        self.assertEqual(typed.status, 204)

    def test_one_writer_at_a_time(self):
        with self.door.connect() as first:
            field = "Content-Type: application/json"
            first.sendall(head("/v1/test/slow", "PUT", field, 'If-Match: "1"', "Content-Length: 2") + b"{}")
            self.check_problem(self.put("/v1/test/slow", "{}", "If-Match: *"), 409)
            self.door.release()
            self.assertTrue(read_until(first, b"\r\n\r\n").startswith(b"HTTP/1.1 204"))

    def test_expect_100_continue(self):
        with self.door.connect() as peer:
            fields = ["Content-Type: application/json", "If-Match: *", "Content-Length: 13", "Expect: 100-continue"]
            peer.sendall(head("/v1/config?dry_run=1", "PUT", *fields))
            self.assertEqual(read_until(peer, b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n")
            peer.sendall(b'{"ports": {}}')
            self.assertTrue(read_until(peer, b"\r\n\r\n").startswith(b"HTTP/1.1 200"))
        with self.door.connect() as peer:  # refused before the body is sent
            peer.sendall(head("/v1/config", "PUT", "Content-Length: 13", "Expect: 100-continue"))
            self.assertTrue(read_until(peer, b"\r\n\r\n").startswith(b"HTTP/1.1 415"))


class Admission(WithDoor):
    def test_dns_rebinding_and_foreign_pages_over_tcp(self):
        for host in ("evil.example", "192.168.0.1", "localhost.evil.example:80"):
            self.check_problem(self.curl("/v1/status", "-H", f"Host: {host}", tcp=True), 421)
        for host in ("localhost", f"localhost:{self.door.port}", "[::1]:80"):
            self.assertEqual(self.curl("/v1/status", "-H", f"Host: {host}", tcp=True).status, 200)
        for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
            self.check_problem(self.curl("/v1/status", "-H", f"Origin: {origin}", tcp=True), 403)
        own = f"Origin: http://127.0.0.1:{self.door.port}"
        answer = self.curl("/v1/status", "-H", own, tcp=True)
        self.assertEqual(answer.status, 200)
        self.assertNotIn("access-control-allow-origin", answer.fields)

    def test_any_host_on_the_unix_socket(self):
        self.assertEqual(self.curl("/v1/status", "-H", "Host: masqgate").status, 200)

    def test_the_socket_is_for_owner_and_group(self):
        self.assertEqual(stat.S_IMODE(os.stat(self.door.socket).st_mode), 0o660)


class Framing(WithDoor):
    def test_pipelined_requests_are_answered_in_order(self):
        paths = ["/v1/net/ip_masq/tcp", "/v1/nothing", "/v1/net/ip_masq/udp"] * 30
        data = b"".join(head(path) for path in paths[:-1]) + head(paths[-1], "GET", "Connection: close")
        raw = self.door.exchange(data)
        bodies = [part.partition(b"\r\n\r\n")[2] for part in raw.split(b"HTTP/1.1 ")[1:]]
        self.assertEqual(len(bodies), 90)
        for path, body in zip(paths, bodies):
            if path != "/v1/nothing":
                self.assertEqual(body, (path[4:] + "\n").encode())

    def test_keep_alive_follows_the_client(self):
        for data, stays in ((head("/healthz"), True), (head("/healthz", "GET", "Connection: close"), False),
                            (b"GET /healthz HTTP/1.0\r\n\r\n", False),
                            (b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True)):
            with self.subTest(data=data), self.door.connect() as peer:
                peer.sendall(data)
                raw = read_until(peer, b"ok\n")
                self.assertIn(b"Connection: " + (b"keep-alive" if stays else b"close"), raw)
                if not stays:
                    self.assertEqual(peer.recv(1), b"")
                else:
                    peer.sendall(head("/healthz"))
                    self.assertTrue(read_until(peer, b"ok\n"))

    def test_a_refused_admission_after_a_whole_request_keeps_the_connection(self):
        with self.door.connect() as peer:
            peer.sendall(head("/v1/config", "PUT", "Content-Length: 2") + b"{}" + head("/healthz"))
            raw = read_until(peer, b"ok\n")
            self.assertTrue(raw.startswith(b"HTTP/1.1 415"))

    def test_smuggling_is_refused_and_what_follows_is_never_read(self):
        hidden = head("/v1/connections/3", "DELETE")
        json_field = "Content-Type: application/json"
        for fields in (["Content-Length: 5", "Transfer-Encoding: chunked"],
                       ["Transfer-Encoding: chunked", "Content-Length: 5"],
                       ["Content-Length: 5", "Content-Length: 6"], ["Content-Length: 5, 5"],
                       ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
                       ["Transfer-Encoding : chunked"], ["Transfer-Encoding: chunked\r\nHost: again"]):
            with self.subTest(fields=fields):
                raw = self.door.exchange(head("/v1/config", "PUT", json_field, *fields) + b"0\r\n\r\n" + hidden)
                self.assertEqual(len(re.findall(rb"HTTP/1.1 \d\d\d ", raw)), 1)
                self.assertTrue(raw.startswith(b"HTTP/1.1 400 "), raw)
                self.assertIn(b"Connection: close", raw)
        ids = [c["id"] for c in self.curl("/v1/connections?limit=99").json()["connections"]]
        self.assertIn("3", ids)

    def test_too_much(self):
        self.check_problem(self.put("/v1/config", "x" * 1048577, "If-Match: *"), 413)
        self.check_problem(self.put("/v1/config", "x" * 1048577, "If-Match: *", "Transfer-Encoding: chunked"), 413)
        self.check_problem(self.curl("/v1/status", "-H", "X: " + "x" * 20000), 431)
        self.check_problem(self.curl("/" + "x" * 20000), 431)

    def test_no_prefix_of_a_request_does_harm(self):
        request = head("/v1/config?dry_run=1", "PUT", "Content-Type: application/json", "Content-Length: 2") + b"{}"
        for size in range(len(request)):
            self.assertEqual(self.door.exchange(request[:size]), b"")
        self.assertTrue(self.door.exchange(request).startswith(b"HTTP/1.1 428"))


class Limits(unittest.TestCase):
    def start(self, **options):
        door = Door(**options)
        self.addCleanup(self.check_stops, door)
        return door

    def connect(self, door):
        peer = door.connect()
        self.addCleanup(peer.close)
        return peer

    def has_room(self, door):
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):  # even those told to go are limited
            return door.exchange(head("/healthz")).startswith(b"HTTP/1.1 200")
        return False

    def check_stops(self, door):
        code, errors = door.stop()
        self.assertEqual(code, 0, errors)

    def test_slow_clients(self):
        door = self.start(limit_ms=SHORT)
        put = head("/v1/config", "PUT", "Content-Type: application/json", "Content-Length: 100")
        for name, drip in (("head", b"GET / HTTP/1.1\r\nX: "), ("body", put)):
            with self.subTest(name), door.connect() as peer:
                peer.sendall(drip)
                peer.settimeout(0.05)
                raw, end = b"", time.monotonic() + PATIENCE
                while time.monotonic() < end:  # a byte now and then does not buy more time
                    with contextlib.suppress(BrokenPipeError):
                        peer.sendall(b"x")
                    with contextlib.suppress(TimeoutError):
                        piece = peer.recv(65536)
                        if not piece:
                            break
                        raw += piece
                self.assertTrue(raw.startswith(b"HTTP/1.1 408 "), raw)
        with self.subTest("idle"), door.connect() as peer:
            self.assertEqual(peer.recv(1), b"")
        with self.subTest("an answer that takes long is no fault of the client"), door.connect() as peer:
            peer.sendall(head("/v1/test/slow"))
            with door.connect() as other:
                self.assertEqual(other.recv(1), b"")  # its idle limit passes meanwhile
            door.release()
            self.assertTrue(read_until(peer, b"}").startswith(b"HTTP/1.1 200"))

    def test_sessions_are_capped(self):
        door = self.start(max_sessions=2)
        first, second = self.connect(door), self.connect(door)
        for peer in (first, second):
            peer.sendall(head("/healthz"))
            self.assertTrue(read_until(peer, b"ok\n").startswith(b"HTTP/1.1 200"))
        raw = door.exchange(head("/healthz"))
        self.assertTrue(raw.startswith(b"HTTP/1.1 503 "), raw)
        self.assertIn(b"Retry-After: 1\r\n", raw)
        first.close()
        wait_for(lambda: self.has_room(door))

    def test_a_client_that_does_not_read_its_answer_loses_its_place(self):
        door = self.start(max_sessions=1, limit_ms=SHORT)
        deaf = self.connect(door)
        deaf.sendall(head("/v1/test/large"))
        self.assertTrue(door.exchange(head("/healthz")).startswith(b"HTTP/1.1 503"))
        wait_for(lambda: self.has_room(door))

    def test_stop_ends_waiting_sessions_and_lets_busy_ones_answer(self):
        door = Door()
        waiting, busy = self.connect(door), self.connect(door)
        waiting.sendall(b"GET / HT")
        busy.sendall(head("/v1/test/slow"))
        door.exchange(head("/healthz"))  # both have been read by now
        door.process.send_signal(signal.SIGTERM)
        self.assertEqual(waiting.recv(1), b"")
        self.assertFalse(os.path.exists(door.socket))
        with self.assertRaises(OSError):
            door.connect()
        door.release()
        self.assertIn(b"200 OK", read_all(busy))
        self.assertEqual(door.process.wait(PATIENCE), 0)
        door.process.communicate()


class Listening(unittest.TestCase):
    def refused(self, where, tcp="-"):
        done = subprocess.run([SERVER, where, tcp, "4", str(LONG)], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 1)
        return done.stderr

    def test_a_stale_socket_is_replaced_and_a_living_one_is_not(self):
        door = Door()
        self.assertIn("another daemon answers there", self.refused(door.socket))
        door.kill()
        self.assertTrue(os.path.exists(door.socket))
        heir = Door(path=door.socket)
        self.assertTrue(heir.exchange(head("/healthz")).startswith(b"HTTP/1.1 200"))
        self.assertEqual(heir.stop()[0], 0)

    def test_stop_leaves_a_socket_that_is_not_its_own(self):
        door = Door()
        os.unlink(door.socket)
        pathlib.Path(door.socket).write_text("somebody else's")
        door.process.send_signal(signal.SIGTERM)
        self.assertEqual(door.process.wait(PATIENCE), 0)
        door.process.communicate()
        self.assertTrue(os.path.exists(door.socket))

    def test_bad_places_are_refused_in_words(self):
        with tempfile.TemporaryDirectory() as folder:
            plain = os.path.join(folder, "plain")
            pathlib.Path(plain).write_text("precious")
            self.assertIn("no socket", self.refused(plain))
            self.assertEqual(pathlib.Path(plain).read_text(), "precious")
            self.assertIn("too long", self.refused(os.path.join(folder, "x" * 120)))
            self.assertIn("No such file", self.refused(os.path.join(folder, "none", "api.sock")))
            sock = os.path.join(folder, "api.sock")
            for tcp, words in (("0.0.0.0:0", "loopback"), ("192.0.2.1:80", "loopback"), ("[::]:80", "loopback"),
                               ("127.0.0.1", "port"), ("127.0.0.1:x", "port"), ("127.0.0.1:70000", "port"),
                               ("example.org:80", "not an address")):
                self.assertIn(words, self.refused(sock, tcp))
            with socket.socket() as taken:
                taken.bind(("127.0.0.1", 0))
                taken.listen()
                self.assertIn("in use", self.refused(sock, f"127.0.0.1:{taken.getsockname()[1]}"))
            self.assertFalse(os.path.exists(sock))


if __name__ == "__main__":
    main()
