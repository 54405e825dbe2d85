"""A fixture server that serves a made-up router, and what tests need to talk to it.

Tests take the fixture server as their first argument, and arguments of unittest behind it.
"""
import itertools
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

SERVER = os.path.abspath(sys.argv[1])
CONTRACT = pathlib.Path(__file__).parents[2] / "web/openapi.json"
NUMBERS = itertools.count()
_folder = tempfile.TemporaryDirectory()
FOLDER = _folder.name
LONG, SHORT = 20000, 300  # milliseconds: never reached in a good run; waited for by a test
PATIENCE = 15  # seconds until a test that hangs fails


class Door:
    """A fixture server with a unix socket and TCP."""

    def __init__(self, max_sessions=64, limit_ms=LONG, path=None):
        self.socket = path or os.path.join(FOLDER, f"{next(NUMBERS)}.sock")
        self.process = subprocess.Popen([SERVER, self.socket, "127.0.0.1:0", str(max_sessions), str(limit_ms)],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.port = int(line.split()[1]) if line.startswith("ready") else 0

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, errors

    def release(self):
        """Lets /v1/test/slow go on."""
        self.process.send_signal(signal.SIGUSR1)

    def kill(self):
        self.process.kill()
        self.process.communicate()

    def connect(self):
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        peer.settimeout(PATIENCE)
        try:
            peer.connect(self.socket)
        except OSError:
            peer.close()
            raise
        return peer

    def exchange(self, data):
        """Everything the server answers to these bytes until it closes."""
        with self.connect() as peer:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            return read_all(peer)


def read_all(peer):
    received = b""
    while piece := peer.recv(65536):
        received += piece
    return received


def read_until(peer, end):
    received = b""
    while not received.endswith(end):
        piece = peer.recv(1)
        if not piece:
            break
        received += piece
    return received


def head(path, method="GET", *fields):
    return "".join([f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n", *(f + "\r\n" for f in fields), "\r\n"]).encode()


class Answer:
    def __init__(self, raw):
        top, _, self.body = raw.partition(b"\r\n\r\n")
        lines = top.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.fields = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}

    def json(self):
        return json.loads(self.body)


def wait_for(what):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if what():
            return
        time.sleep(0.01)
    raise AssertionError("waited in vain")


class WithDoor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.door = Door()

    @classmethod
    def tearDownClass(cls):
        code, errors = cls.door.stop()
        assert code == 0, errors
        assert not os.path.exists(cls.door.socket)

    def curl(self, path, *arguments, tcp=False, body=None):
        where = f"http://127.0.0.1:{self.door.port}" if tcp else "http://localhost"
        how = [] if tcp else ["--unix-socket", self.door.socket]
        done = subprocess.run(["curl", "-sS", "-i", "--path-as-is", "-m", str(PATIENCE), "--noproxy", "*", *how,
                               *arguments, where + path], input=body, capture_output=True, check=True)
        raw = done.stdout
        while raw.startswith(b"HTTP/1.1 100"):
            raw = raw.partition(b"\r\n\r\n")[2]
        return Answer(raw)

    def check_problem(self, answer, status, pointer=None):
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.fields["content-type"], "application/problem+json")
        document = answer.json()
        self.assertEqual(document["status"], status)
        self.assertTrue(document["title"] and document["detail"])
        self.assertEqual(document.get("pointer"), pointer)
        return document

    def put(self, path, body, *fields, tcp=False):
        arguments = ["-X", "PUT", "-H", "Content-Type: application/json", "--data-binary", "@-"]
        for field in fields:
            arguments += ["-H", field]
        return self.curl(path, *arguments, tcp=tcp, body=body.encode())


def main():
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
