"""Servers and clients that stories need beside the real programs: they run as threads in a host."""
import http.server
import socket
import threading

import lab


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


NGIRCD = """
[Global]
Name = irc.example
Info = test
Listen = {address}
Ports = 6667
MotdFile = /dev/null
ServerUID = 0
ServerGID = 0
[Options]
Ident = no
PAM = no
DNS = no
"""


def ngircd(host, address):
    """An IRC server."""
    file = host.lab.directory / "ngircd.conf"
    file.write_text(NGIRCD.format(address=address))
    host.start("ngircd", "-n", "-f", file)
    lab.wait_until(lambda: ":6667 " in host.run("ss", "-ltn").stdout, "ngircd to listen")


class Http:
    """An HTTP server; peers are the addresses that it saw, page is what it serves."""

    def __init__(self, host, port=80, page=b"hello from outside\n", family=socket.AF_INET):
        self.peers = []
        peers = self.peers

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                peers.append(self.client_address[:2])
                self.send_response(200)
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            address_family = family
            request_queue_size = 512

        with host.inside():
            self.server = Server(("::" if family == socket.AF_INET6 else "", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def addresses(self):
        return {address for address, _ in self.peers}


class TcpEcho:
    """Sends back what it gets on every connection, for as long as the peer likes."""

    def __init__(self, host, port=7):
        self.peers = []
        with host.inside():
            self.listener = socket.create_server(("", port), backlog=1024)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            connection, peer = self.listener.accept()
            self.peers.append(peer)
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    @staticmethod
    def _echo(connection):
        try:
            while data := connection.recv(65536):
                connection.sendall(data)
        except OSError:
            pass


class UdpEcho:
    """Sends back every datagram that comes to the address; peers are the senders it saw."""

    def __init__(self, host, address=lab.INTERNET, port=7):
        self.peers = []
        with host.inside():
            self.socket = socket.socket(family_of(address), socket.SOCK_DGRAM)
            self.socket.bind((address, port))
        threading.Thread(target=self._echo, daemon=True).start()

    def _echo(self):
        while True:
            data, peer = self.socket.recvfrom(65536)
            self.peers.append(peer[:2])
            self.socket.sendto(data, peer)


def udp_socket(host, family=socket.AF_INET, port=0, timeout=2.0):
    """A UDP socket in the host."""
    with host.inside():
        sock = socket.socket(family, socket.SOCK_DGRAM)
        if port:  # with it, two sockets that leave the choice to Linux may get the same port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("", port))
        sock.settimeout(timeout)
        return sock


def echoed(sock, address, data=b"anybody there?", tries=5):
    """Whether a datagram comes back; asks again when one gets lost."""
    for _ in range(tries):
        try:
            sock.sendto(data, address)
            while True:
                if sock.recv(65536) == data:
                    return True
        except (TimeoutError, OSError):
            continue
    return False


def hears_port_unreachable(host, address, family=socket.AF_INET):
    """Whether a socket that asks where nobody listens is told so by ICMP."""
    sock = udp_socket(host, family)
    sock.connect((address, 9))
    sock.send(b"nobody listens")
    try:
        sock.recv(100)
    except ConnectionRefusedError:
        return True
    return False


def connect(host, address, source=None, timeout=10.0):
    """A TCP connection from the host."""
    with host.inside():
        return socket.create_connection(address, timeout, source)


def answers(connection, data=b"still there?"):
    """Whether an echoing peer sends the data back over this connection."""
    try:
        connection.sendall(data)
        got = b""
        while len(got) < len(data):
            part = connection.recv(65536)
            if not part:
                return False
            got += part
        return got == data
    except OSError:
        return False


class Transfer:
    """A TCP connection on which a thread sends numbered data to an echo server and checks it."""

    def __init__(self, host, address):
        self.connection = connect(host, address)
        self.connection.settimeout(60)
        self.rounds, self.failure, self._stop = 0, None, False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            while not self._stop:
                data = f"{self.rounds:08}".encode() * 512
                if not answers(self.connection, data):
                    raise OSError(f"round {self.rounds}: wrong or no answer")
                self.rounds += 1
        except OSError as error:
            self.failure = error

    def wait_for_progress(self):
        """Returns when data went there and back that was sent after this call."""
        goal = self.rounds + 2
        lab.wait_until(lambda: self.failure or self.rounds >= goal, "a transfer to go on", 30)
        if self.failure:
            raise lab.Failed(f"the transfer ended: {self.failure}")

    def stop(self):
        self._stop = True
        self._thread.join(60)
        self.connection.close()
        if self.failure:
            raise lab.Failed(f"the transfer failed: {self.failure}")
