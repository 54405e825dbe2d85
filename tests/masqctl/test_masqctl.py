#!/usr/bin/env python3
"""Runs masqctl against the REST door over a made-up router, and against sockets where none is.

Usage: test_masqctl.py MASQCTL FIXTURE_SERVER [unittest arguments]
"""
import json
import os
import pathlib
import pwd
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

PATIENCE = 30  # seconds until a test that hangs fails


class WithRouter(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.socket = os.path.join(self.folder.name, "api.sock")
        self.routers = []

    def start(self):
        router = subprocess.Popen([SERVER, self.socket, "-", "8", "20000"], stdout=subprocess.PIPE)
        self.addCleanup(router.communicate)
        self.addCleanup(router.terminate)
        self.routers.append(router)
        self.assertTrue(router.stdout.readline().startswith(b"ready"))

    def file(self, text):
        path = os.path.join(self.folder.name, "given.json")
        pathlib.Path(path).write_text(text)
        return path

    def ctl(self, *arguments, code=0, given=None, **how):
        done = subprocess.run([MASQCTL, "--socket", self.socket, *arguments], capture_output=True, text=True,
                              input=given, timeout=PATIENCE, **how)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(bool(done.stderr), code != 0, done.stderr)
        return done.stdout if code == 0 else done.stderr


class Views(WithRouter):
    def setUp(self):
        super().setUp()
        self.start()

    def test_tables(self):
        for command, words in (("status", ["name               masqgate\n", "connections.count  25\n"]),
                               ("ports", ["NAME  INTERFACES    MTU", "lan   eth1, br-lan  1500"]),
                               ("drops", ["REASON  PACKETS\nttl     3\npolicy  12\n", "consumed    5\n"]),
                               ("path", ["track → route\n"]), ("neighbours", ["neighbours  -\n"]), ("routes", ["routes  -\n"])):
            with self.subTest(command):
                shown = self.ctl(command)
                for word in words:
                    self.assertIn(word, shown)
                self.assertIsInstance(json.loads(self.ctl(command, "--json")), dict)
                self.assertIsInstance(json.loads(self.ctl("--json", command)), dict)

    def test_events_are_lines(self):
        def follow(*arguments):
            process = subprocess.Popen([MASQCTL, "--socket", self.socket, "events", *arguments], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
            self.addCleanup(process.communicate)
            self.addCleanup(process.kill)
            return process

        path = self.file('{"ports": {}}')
        self.ctl("config", "apply", path)
        for arguments in (("--after", "5eed-0"), ("--after", "5eed-0", "--types", "config")):
            self.assertRegex(follow(*arguments).stdout.readline(), r"^\d{4}-.*Z config\.changed version=2\n$")
        shown = json.loads(follow("--json", "--after", "5eed-0").stdout.readline())
        self.assertEqual((shown["id"], shown["type"], shown["version"]), ("5eed-1", "config.changed", 2))
        self.assertIn("nothing", self.ctl("events", "--types", "nothing", code=1))
        self.assertIn("Last-Event-ID", self.ctl("events", "--after", "x", code=1))
        self.ctl("events", "--after", "a\nb", code=2)
        self.assertIn("masqctl events", self.ctl("get", "events", code=2))
        last = follow("--after", "5eed-0")
        last.stdout.readline()
        self.routers[0].terminate()
        self.assertIn("closed the connection", last.communicate(timeout=PATIENCE)[1])
        self.assertEqual(last.returncode, 3)

    def test_rules_one_at_a_time(self):
        self.assertEqual(self.ctl("rules", "show", "forward", "ssh"), '{\n  "id": "ssh"\n}\n')
        self.assertEqual(self.ctl("rules", "show", "forward"), "[]\n")
        self.assertIn("chain forward, rule missing: there is no missing",
                      self.ctl("rules", "show", "forward", "missing", code=1))
        self.assertEqual(self.ctl("rules", "add", "forward", '{"id": "ssh"}', "--before", "x"), "added ssh\n")
        self.assertEqual(self.ctl("rules", "add", "forward", "-", given='{"id": "other"}'), "added other\n")
        self.assertEqual(self.ctl("rules", "add", "forward", self.file("{}")), "added\n")
        self.assertIn("one already", self.ctl("rules", "add", "forward", '{"id": "taken"}', code=1))
        self.assertIn("No such file", self.ctl("rules", "add", "forward", "nowhere.json", code=2))
        self.ctl("rules", "add", "forward", "{}", "--before", "x", "--after", "y", code=2)
        self.assertEqual(self.ctl("rules", "replace", "forward", "ssh", "{}"), "replaced ssh\n")
        self.assertEqual(self.ctl("rules", "delete", "forward", "ssh"), "deleted ssh\n")
        self.assertIn("there is no missing", self.ctl("rules", "delete", "forward", "missing", code=1))
        self.ctl("rules", "delete", "forward", code=2)
        self.assertEqual(json.loads(self.ctl("rules", "--json")), {"rules": []})

    def test_sets(self):
        self.assertEqual(self.ctl("sets").split(), ["SET", "KIND", "ELEMENT", "TIMEOUT", "EXPIRES"])
        self.assertEqual(json.loads(self.ctl("sets", "--json")), {})
        self.assertEqual(self.ctl("sets", "add", "a", "10.0.0.0/8"), "")
        self.assertEqual(json.loads(self.ctl("sets", "add", "a", "::1", "--timeout", "60", "--json")),
                         {"element": "::1", "timeout": 60})
        self.ctl("sets", "add", "a", "::1", "--timeout", "-5", code=2)
        self.ctl("sets", "add", "a", code=2)
        self.assertEqual(self.ctl("sets", "delete", "a", "10.0.0.0/8"), "")
        self.assertIn("set a: there is no missing", self.ctl("sets", "delete", "a", "missing", code=1))

    def test_get(self):
        self.assertEqual(self.ctl("get", "net/ip_masq/tcp"), "net/ip_masq/tcp\n")
        self.assertEqual(self.ctl("get", "/healthz"), "ok\n")
        self.assertEqual(json.loads(self.ctl("get", "connections?limit=1"))["next"], "1")
        self.assertIn("nothing at /v1/nope", self.ctl("get", "nope", code=1))
        self.assertIn("blanks", self.ctl("get", "a b", code=2))

    def test_connections(self):
        lines = self.ctl("connections").splitlines()
        self.assertEqual(len(lines), 26)
        self.assertEqual(lines[1].split(), ["1", "tcp", "established", "432000", "192.168.0.1:40001", "198.51.100.1:443",
                                            "203.0.113.2:50001", "10/9", "1000/900", "masquerade,assured"])
        self.assertEqual(len(self.ctl("connections", "list", "--protocol", "udp").splitlines()), 6)
        self.assertEqual(len(self.ctl("connections", "--limit", "3").splitlines()), 4)
        page = json.loads(self.ctl("connections", "--limit", "20", "--json"))
        rest = json.loads(self.ctl("connections", "list", "--json", "--cursor", page["next"]))
        self.assertEqual(([c["id"] for c in rest["connections"]], rest["next"]), (["21", "22", "23", "24", "25"], None))
        self.assertEqual(self.ctl("connections", "delete", "7"), "")
        self.assertIn("connection 7: there is no connection 7", self.ctl("connections", "delete", "7", code=1))
        self.assertEqual(len(self.ctl("connections").splitlines()), 25)


class Configuration(WithRouter):
    def setUp(self):
        super().setUp()
        self.start()

    def test_show_check_apply_reload(self):
        before = self.ctl("config", "show")
        self.assertEqual(json.loads(before), json.loads(self.ctl("config", "show", "--json")))
        path = self.file('{"ports": {}, // with a comment\n "nat": []}')
        self.assertIn("acceptable", self.ctl("config", "check", path))
        self.assertEqual(self.ctl("config", "show"), before)
        self.assertIn("applied", self.ctl("config", "apply", path))
        self.assertEqual(json.loads(self.ctl("config", "show")), {"ports": {}, "nat": []})
        self.assertTrue(json.loads(self.ctl("config", "apply", "-", "--json", given=before))["applied"])
        self.assertEqual(self.ctl("config", "show"), before)
        self.ctl("reload", path)
        self.assertEqual(json.loads(self.ctl("config", "show")), {"ports": {}, "nat": []})

    def test_refusals_say_where(self):
        path = self.file('{"nat": []}')
        self.assertEqual(self.ctl("config", "apply", path, code=1), f"masqctl: {path}: the ports are missing (/ports)\n")
        path = self.file('{"ports": {}\n "nat": []}')
        self.assertIn("(line 2, column 6)", self.ctl("config", "check", path, code=1))
        path = self.file(" " * (2 << 20))
        self.assertIn("too long", self.ctl("config", "apply", path, code=1))
        self.assertIn("No such file", self.ctl("config", "apply", "/nonexistent.json", code=2))
        self.assertIn("Is a directory", self.ctl("config", "check", "/", code=2))


class Ipmasqadm(WithRouter):
    """The historic command, as a word of masqctl and by its own name."""

    def run_as(self, *words, by_name=False):
        name = os.path.join(self.folder.name, "ipmasqadm")
        if not os.path.lexists(name):
            os.symlink(os.path.realpath(MASQCTL), name)
        command = [name] if by_name else [MASQCTL, "--socket", self.socket, "ipmasqadm"]
        done = subprocess.run(command + list(words), capture_output=True, text=True, timeout=PATIENCE,
                              env={**os.environ, "MASQGATE_SOCKET": self.socket})
        return done.returncode, done.stdout, done.stderr

    def both(self, line, expected):
        for by_name in (False, True):
            with self.subTest(line, by_name=by_name):
                self.assertEqual(self.run_as(*line.split(), by_name=by_name), expected)

    def test_listings(self):
        self.start()
        self.both("portfw -l -n", (0, "prot localaddr            rediraddr               lport    rport  pcnt  pref\n"
                                      "TCP  203.0.113.2          192.168.0.10               80     8080     3    10\n", ""))
        self.both("mfw -nL", (0, "fwmark   rediraddr               rport  pcnt  pref\n"
                                 "31       192.168.0.10                0     0     0\n", ""))
        status, shown, _ = self.run_as("portfw", "-l")
        self.assertEqual((status, shown.splitlines()[1].split()[3]), (0, socket.getservbyport(80, "tcp")))

    def test_changes(self):
        self.start()
        for line in ("portfw -a -P tcp -L 203.0.113.2 80 -R 192.168.0.10 80 -p 10", "portfw -f",
                     "portfw -a -P tcp -L localhost http -R 192.168.0.10 80",
                     "autofw -A -r udp 7000 7010 -h 192.168.0.10 -u", "mfw -I -m 1 -r 192.168.0.10", "mfw -S -m 1"):
            self.both(line, (0, "", ""))
        self.both("portfw -d -P tcp -L 203.0.113.2 81", (255, "", "portfw: setsockopt failed: No such process\n"))
        self.both("autofw -A -r udp 7000 7010 -h 192.168.0.10 -u -v",
                  (0, "Adding autofwd udp ports 7000 - 7010 to fixed host 192.168.0.10 \n", ""))

    def test_mistakes_need_no_router(self):
        self.both("portfw -a -P icmp", (2, "", "portfw: invalid protocol specified\n"))
        self.both("portfw -a -P tcp -L extip.invalid 80 -R 80 -p 15",
                  (2, "", "portfw: illegal local address/port specified\n"))
        self.both("autofw -X", (1, "Command must be either -A, -D, or -F\n", ""))
        self.both("", (1, "", "usage: ipmasqadm MODULE [opts] \n"))
        for words, status in (("portfw -h", 0), ("mfw", 0), ("autofw", 1)):
            shown = self.run_as(*words.split())
            self.assertEqual((shown[0], shown[1][:6], shown[2]), (status, "Usage:", ""))
        self.assertIn("there is no module user", self.run_as("user", "-l")[2])

    def test_no_router(self):
        status, _, said = self.run_as("portfw", "-l")
        self.assertEqual(status, 1)
        self.assertTrue(said.startswith('Could not open "/proc/net/ip_masq/portfw"\n'
                                        "Check if you have enabled portforwarding\n"), said)
        status, _, said = self.run_as("mfw", "-F", by_name=True)
        self.assertEqual(status, 1)
        self.assertTrue(said.startswith("mfw: socket creation failed: "), said)


class Arguments(WithRouter):
    def test_wrong_ones_are_usage_errors(self):
        for arguments in ([], ["bogus"], ["status", "extra"], ["config"], ["config", "apply"], ["connections", "delete"],
                          ["connections", "--limit", "x"], ["get"]):
            with self.subTest(arguments=arguments):
                self.ctl(*arguments, code=2)
        self.assertIn("connections", self.ctl("--help"))
        self.assertTrue(self.ctl("--version").startswith("masqctl "))

    def test_a_full_disk_is_no_success(self):
        self.start()
        with open("/dev/full", "w") as full:
            done = subprocess.run([MASQCTL, "--socket", self.socket, "status"], stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 2)


class Unreachable(WithRouter):
    def answer_with(self, data):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.socket)
        listener.listen()

        def serve():
            with listener, listener.accept()[0] as peer:
                peer.recv(65536)
                peer.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        self.addCleanup(thread.join)

    def test_no_socket(self):
        message = self.ctl("status", code=3)
        self.assertIn("there is no such socket", message)
        self.assertIn("systemctl start masqgated", message)

    def test_the_socket_from_the_environment(self):
        done = subprocess.run([MASQCTL, "status"], capture_output=True, text=True, timeout=PATIENCE,
                              env={"MASQGATE_SOCKET": "/nonexistent/api.sock"})
        self.assertEqual(done.returncode, 3)
        self.assertIn("/nonexistent/api.sock", done.stderr)

    def test_a_socket_without_a_daemon(self):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(self.socket)
        self.assertIn("has ended", self.ctl("status", code=3))

    def test_no_socket_at_all_but_a_file(self):
        pathlib.Path(self.socket).write_text("")
        self.assertIn("no socket", self.ctl("status", code=3))

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to become somebody without permission")
    def test_no_permission(self):
        self.start()
        os.chmod(self.folder.name, 0o755)
        nobody = pwd.getpwnam("nobody")
        program = os.path.join(self.folder.name, "masqctl")  # nobody may not come to the build directory
        pathlib.Path(program).write_bytes(pathlib.Path(MASQCTL).read_bytes())
        os.chmod(program, 0o755)
        done = subprocess.run([program, "--socket", self.socket, "status"], capture_output=True, text=True, timeout=PATIENCE,
                              user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], cwd="/")
        self.assertEqual(done.returncode, 3)
        self.assertIn("permission denied", done.stderr)

    def test_strange_answers(self):
        for data, words in ((b"", "without an answer"), (b"SSH-2.0-OpenSSH\r\n\r\n", "not masqgated"),
                            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "without an answer")):
            with self.subTest(data=data):
                if os.path.exists(self.socket):
                    os.unlink(self.socket)
                self.answer_with(data)
                self.assertIn(words, self.ctl("status", code=3))

    def test_answers_that_make_no_sense(self):
        def http(status, body):
            return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()

        for data, command, words in ((http(200, "<html>"), "status", "no JSON"), (http(500, "oops"), "status", "status 500"),
                                     (http(200, "[]"), "connections", "has none"), (http(503, "[]"), "drops", "status 503")):
            with self.subTest(data=data):
                if os.path.exists(self.socket):
                    os.unlink(self.socket)
                self.answer_with(data)
                self.assertIn(words, self.ctl(command, code=1))


if __name__ == "__main__":
    MASQCTL, SERVER = (os.path.abspath(program) for program in sys.argv[1:3])
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
