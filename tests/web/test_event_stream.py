#!/usr/bin/env python3
"""Follows events of a made-up router: in order, from where one was, slowly, and with nonsense.

Usage: test_event_stream.py FIXTURE_SERVER [unittest arguments]
"""
import contextlib
import json
import select
import signal
import socket
import subprocess

from web_door import PATIENCE, SHORT, Answer, Door, WithDoor, head, read_until, wait_for, main


class Stream:
    """A client of /v1/events that reads line by line."""

    def __init__(self, door, path="/v1/events", *fields):
        self.peer = door.connect()
        self.peer.sendall(head(path, "GET", *fields))
        self.answer = Answer(read_until(self.peer, b"\r\n\r\n"))
        self.lines = self.peer.makefile("r")
        self.id = None

    def close(self):
        self.lines.close()
        self.peer.close()

    def next(self):
        """(type, data) of the next event; None for a comment; "end"."""
        kind = data = known = None
        for line in iter(self.lines.readline, ""):
            if not line.endswith("\n"):
                break  # cut off
            name, _, value = line.rstrip("\n").partition(":")
            if name == "id":
                known = value.strip()
            if name == "event":
                kind = value.strip()
            if name == "data":
                data = json.loads(value)
            if line == "\n":
                self.id = known or self.id
                if data is not None:
                    return kind, data
            if line == ":\n":
                return None
        return "end"

    def events(self, count):
        got = []
        while len(got) < count:
            event = self.next()
            if event is not None:
                got.append(event)
        return got


class Following(WithDoor):
    def setUp(self):
        self.door = Door()
        self.addCleanup(self.door.kill)

    def change(self, number=1):
        for _ in range(number):
            tag = self.curl("/v1/config").fields["etag"]
            self.assertEqual(self.put("/v1/config", '{"ports": {}}', f"If-Match: {tag}").status, 200)

    def flood(self, number):
        self.assertEqual(self.put("/v1/test/flood", str(number)).status, 204)

    def follow(self, path="/v1/events", *fields):
        stream = Stream(self.door, path, *fields)
        self.addCleanup(stream.close)
        return stream

    def test_events_come_as_they_happen(self):
        stream = self.follow()
        self.assertEqual((stream.answer.status, stream.answer.fields["content-type"]), (200, "text/event-stream"))
        self.assertEqual((stream.answer.fields["connection"], stream.answer.fields["cache-control"]), ("close", "no-cache"))
        self.assertNotIn("content-length", stream.answer.fields)
        self.change(2)
        (kind, first), (_, second) = stream.events(2)
        self.assertEqual((kind, first["version"] + 1), ("config.changed", second["version"]))
        self.assertRegex(first["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

    def test_curl_follows_too(self):
        curl = subprocess.Popen(["curl", "-sSN", "--unix-socket", self.door.socket, "http://localhost/v1/events"],
                                stdout=subprocess.PIPE, text=True)
        self.addCleanup(curl.communicate)
        self.addCleanup(curl.kill)
        self.assertEqual(curl.stdout.readline(), "retry: 2000\n")
        self.change()
        for line in iter(curl.stdout.readline, "event: config.changed\n"):
            self.assertNotEqual(line, "")

    def test_only_the_wanted_types(self):
        stream = self.follow("/v1/events?types=config")
        self.flood(3)
        self.change()
        self.assertEqual(stream.events(1)[0][0], "config.changed")
        self.assertEqual(stream.id, "5eed-4")

    def test_who_comes_back_misses_nothing(self):
        first = self.follow()
        self.change()
        self.flood(2)
        self.assertEqual(first.events(1)[0][1]["version"], 2)
        first.close()
        self.change()
        again = self.follow("/v1/events?types=config.changed,test.flood", "Last-Event-ID: " + first.id)
        self.assertEqual([kind for kind, _ in again.events(3)], ["test.flood", "test.flood", "config.changed"])
        self.assertEqual(self.follow("/v1/events", "Last-Event-ID: 5eed-4").answer.status, 200)

    def test_what_is_not_kept_any_more_is_told(self):
        self.flood(1000)
        (kind, missed), (_, event) = self.follow("/v1/events", "Last-Event-ID: 5eed-1").events(2)
        self.assertEqual((kind, len(event["text"])), ("missed", 1000))
        self.assertGreater(missed["events"], 100)
        self.assertIn("anew", self.follow("/v1/events", "Last-Event-ID: 0-77").events(1)[0][1]["why"])

    def test_wrong_words_are_refused(self):
        for path in ("/v1/events?types=", "/v1/events?types=config,", "/v1/events?types=nothing", "/v1/events?type=config"):
            self.check_problem(self.curl(path), 400)
        for field in ("", "x", "5eed-", "5eed-99", "5eed-00000000000000000000001", "-1", "5eed-1\t1", "5eed-1, 5eed-1",
                      "5EED-0", "a" * 9000, "\xff-1", "5eed-99999999999999999999"):
            with self.subTest(field[:40]):
                raw = self.door.exchange(head("/v1/events", "GET", "Last-Event-ID: " + field))
                self.assertTrue(raw.startswith(b"HTTP/1.1 400 "), raw[:200])
        raw = self.door.exchange(head("/v1/events", "GET", "Last-Event-ID: 5eed-0", "Last-Event-ID: 5eed-0"))
        self.assertTrue(raw.startswith(b"HTTP/1.1 400 "), raw[:200])

    def test_the_same_door_as_for_others(self):
        for field in ("Host: evil.example", "Origin: http://evil.example"):
            answer = self.curl("/v1/events", "-H", field, tcp=True)
            self.assertIn(answer.status, (403, 421))
        self.check_problem(self.curl("/v1/events", "-X", "POST", "-H", "Content-Type: application/json"), 405)
        answer = self.curl("/v1/events", "-I")
        self.assertEqual((answer.status, answer.fields["content-type"], answer.body), (200, "text/event-stream", b""))
        self.assertEqual(self.curl("/v1/events", "-H", "Accept: text/plain").body, b"the last ones\n")

    def test_there_is_a_limit_and_who_leaves_makes_room(self):
        streams = [self.follow() for _ in range(16)]
        self.check_problem(self.curl("/v1/events"), 503)
        self.assertEqual(self.curl("/v1/status").status, 200)
        streams[0].close()
        wait_for(lambda: self.curl("/v1/events", "-I").status == 200)
        streams[1].peer.shutdown(socket.SHUT_WR)
        self.assertEqual(streams[1].next(), "end")

    def test_a_client_that_says_more_is_read_over_and_one_that_floods_is_closed(self):
        stream = self.follow()
        stream.peer.sendall(head("/v1/status"))
        self.change()
        self.assertEqual(stream.events(1)[0][0], "config.changed")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(100):
                stream.peer.sendall(bytes(1 << 16))
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(stream.next(), "end")

    def test_a_client_that_does_not_read_harms_nobody_and_is_closed(self):
        deaf, good = self.follow(), self.follow("/v1/events?types=config")
        for _ in range(40):  # the ring has passed over it by then
            self.flood(100)
        self.change()
        self.assertEqual(good.events(1)[0][0], "config.changed")
        last = None
        while (event := deaf.next()) != "end":
            last = event
        self.assertEqual(last[0], "test.flood")
        again = self.follow("/v1/events", "Last-Event-ID: " + deaf.id)
        self.assertEqual(again.events(1)[0][0], "missed")

    def test_the_silent_are_told_that_we_are_here_and_the_slow_are_closed(self):
        door = Door(limit_ms=SHORT)
        self.addCleanup(door.kill)
        stream = Stream(door)
        self.addCleanup(stream.close)
        self.assertEqual([stream.next(), stream.next()], [None, None])
        deaf = Stream(door)
        self.addCleanup(deaf.close)
        body = b"400"
        door.exchange(head("/v1/test/flood", "PUT", "Content-Type: application/json", "Content-Length: 3") + body)
        poll = select.poll()
        poll.register(deaf.peer, select.POLLHUP)
        wait_for(lambda: any(events & select.POLLHUP for _, events in poll.poll(0)))  # its write's limit has passed
        for event in iter(deaf.next, "end"):
            self.assertIn(event and event[0], (None, "test.flood"))

    def test_stop_ends_streams(self):
        stream = self.follow()
        self.door.process.send_signal(signal.SIGTERM)
        self.assertEqual(stream.next(), "end")
        self.assertEqual(self.door.process.wait(PATIENCE), 0)


if __name__ == "__main__":
    main()
