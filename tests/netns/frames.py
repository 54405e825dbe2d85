"""Frames of the differential test: packets from short descriptions, and what came of them in words.

A packet is known again by its number: the identification of IPv4 or the flow label of IPv6, and the place of the
piece where it is a fragment. Its payload begins with the number too.
"""
import dataclasses
import ipaddress
import socket
import struct

ICMP, TCP, UDP, GRE, ICMP6, MARKER = 1, 6, 17, 47, 58, 253  # 253: for experiments (RFC 3692)
FRAGMENT, OPTIONS = 44, 60
FLAGS = "FSRPAU"
INSIDE_MAC, OUTSIDE_MAC = "02:00:00:00:0d:10", "02:00:00:00:0d:20"
LAN_MAC, WAN_MAC = "02:00:00:00:0d:11", "02:00:00:00:0d:21"
SERVER = {4: "198.51.100.77", 6: "fd00:5::77"}  # behind the host outside; nobody answers there


@dataclasses.dataclass(frozen=True)
class Packet:
    """One packet of a row. What is not said is chosen for each packet anew, so that none meets another's state."""
    family: int = 4
    protocol: int = UDP
    flow: str = ""             # packets with the same one share the addresses and ports of a conversation
    back: bool = False         # sent by the host outside: the other direction of its flow, from its destination_port
    source: str = ""
    destination: str = ""
    source_port: int = -1
    destination_port: int = 9
    flags: str = "S"
    sequence: int = 1000
    acknowledgement: int = 0
    options: bytes = b""       # of TCP
    icmp: tuple = (8, 0)
    quotes: str = ""           # ICMP error about a packet of this flow
    data: int = 16             # bytes behind the transport header
    text: str = ""             # these instead; {client} is the sender's address as FTP writes it
    length: int = 0            # of the whole IP packet, instead of data
    tos: int = 0
    ttl: int = 64
    piece: tuple = ()          # (from, to) of the transport's bytes: a fragment
    group: str = ""            # pieces with the same one are of one datagram
    mac: str = INSIDE_MAC
    extended: bool = False     # IPv6: with destination options in front of the transport
    broken: bool = False       # wrong checksum of the transport

    def but(self, **changes):
        return dataclasses.replace(self, **changes)

    def v6(self, **changes):
        """The same over IPv6."""
        if self.protocol == ICMP:
            changes = {"protocol": ICMP6, "icmp": {8: (128, 0), 0: (129, 0)}.get(self.icmp[0], self.icmp), **changes}
        return self.but(family=6, **changes)


def udp(port=9, **more):
    return Packet(destination_port=port, **more)


def tcp(flags="S", port=9, **more):
    return Packet(protocol=TCP, flags=flags, destination_port=port, acknowledgement=2000 if "A" in flags else 0,
                  **{"data": 0, **more})


def ping(kind=8, code=0, **more):
    return Packet(protocol=ICMP, icmp=(kind, code), **more)


def both(*packets):
    """Each of them over IPv4 and over IPv6."""
    return [one for packet in packets for one in (packet, packet.v6())]


def mss_option(mss):
    return struct.pack("!BBH", 2, 4, mss)


def client(family, number):
    """The address inside that belongs to a number."""
    return f"10.1.{number >> 8}.{number & 255}" if family == 4 else f"fd00:a:1:{number:x}::1"


def checksum(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def packed(address):
    return ipaddress.ip_address(address).packed


def pseudo(source, destination, protocol, size):
    return packed(source) + packed(destination) + struct.pack("!II", size, protocol)


class Ends:
    """Addresses and ports of one packet, as it is sent."""

    def __init__(self, packet, number):
        there = packet.destination if not packet.back and packet.destination else SERVER[packet.family]
        here = packet.source if not packet.back and packet.source else client(packet.family, number)
        port = packet.source_port if packet.source_port >= 0 else 20000 + number % 40000
        ends = [(here, port), (there, packet.destination_port)]
        if packet.back:
            ends.reverse()
            ends = [(packet.source or ends[0][0], ends[0][1]), (packet.destination or ends[1][0], ends[1][1])]
        (self.source, self.source_port), (self.destination, self.destination_port) = ends
        self.client, self.server = here, there
        self.identifier = port


def with_checksum(packet, ends, at, segment):
    covered = segment if packet.protocol == ICMP else pseudo(ends.source, ends.destination, packet.protocol,
                                                             len(segment)) + segment
    value = checksum(covered) ^ (0x5555 if packet.broken else 0)
    if packet.protocol == UDP and value == 0:
        value = 0xffff
    return segment[:at] + struct.pack("!H", value) + segment[at + 2:]


def payload(packet, ends, number, header):
    if packet.text:
        return packet.text.format(client=ends.client.replace(".", ",")).encode()
    ip_header = 20 if packet.family == 4 else 48 if packet.extended else 40
    size = packet.length - ip_header - header if packet.length else packet.data
    return (struct.pack("!H", number) + bytes(i % 251 for i in range(size)))[:max(size, 0)]


def transport(packet, ends, number, quote):
    ports = struct.pack("!HH", ends.source_port or 0, ends.destination_port or 0)
    if packet.protocol == UDP:
        data = payload(packet, ends, number, 8)
        return with_checksum(packet, ends, 6, ports + struct.pack("!HH", 8 + len(data), 0) + data)
    if packet.protocol == TCP:
        options = packet.options + b"\1" * (-len(packet.options) % 4)
        bits = sum(1 << FLAGS.index(flag) for flag in packet.flags)
        header = struct.pack("!IIBBHHH", packet.sequence, packet.acknowledgement, (20 + len(options)) // 4 << 4, bits,
                             4096, 0, 0)
        segment = ports + header + options + payload(packet, ends, number, 20 + len(options))
        return with_checksum(packet, ends, 16, segment)
    if packet.protocol in (ICMP, ICMP6):
        rest = b"\0" * 4 + quote if quote else struct.pack("!HH", ends.identifier, 1) + payload(packet, ends, number, 8)
        return with_checksum(packet, ends, 2, struct.pack("!BBH", *packet.icmp, 0) + rest)
    return payload(packet, ends, number, 0)


def ip_packet(packet, ends, number, quote=b""):
    body, offset, more = transport(packet, ends, number, quote), 0, 0
    if packet.piece:
        offset, end = packet.piece
        more, body = int(end < len(body)), body[offset:end]
    if packet.family == 4:
        place = (more << 13 | offset >> 3) if packet.piece else 0x4000
        header = struct.pack("!BBHHHBBH", 0x45, packet.tos, 20 + len(body), number, place, packet.ttl,
                             packet.protocol, 0) + packed(ends.source) + packed(ends.destination)
        return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + body
    protocol = packet.protocol
    if packet.extended:
        body, protocol = struct.pack("!BBBB4x", protocol, 0, 1, 4) + body, OPTIONS
    if packet.piece:
        body, protocol = struct.pack("!BBHI", protocol, 0, offset | more, number) + body, FRAGMENT
    return (struct.pack("!IHBB", 6 << 28 | packet.tos << 20 | number, len(body), protocol, packet.ttl)
            + packed(ends.source) + packed(ends.destination) + body)


def ethernet(ip, source, destination):
    kind = 0x0800 if ip[0] >> 4 == 4 else 0x86dd
    return bytes.fromhex((destination + source).replace(":", "")) + struct.pack("!H", kind) + ip


class Seen:
    """A packet as it was found on a wire: .key and .fields, by names of headers' members."""

    def __init__(self, ip):
        self.fields = {}
        if ip[0] >> 4 == 4:
            self._read_v4(ip)
        else:
            self._read_v6(ip)

    def _read_v4(self, ip):
        size, number, place, ttl, protocol = struct.unpack("!HHHBB", ip[2:10])
        offset, more = (place & 0x1fff) << 3, place >> 13 & 1
        self.family, self.key = 4, (4, number, offset)
        self.fields.update(src=socket.inet_ntoa(ip[12:16]), dst=socket.inet_ntoa(ip[16:20]), tos=ip[1], ttl=ttl,
                           df=place >> 14 & 1, more=more, protocol=protocol,
                           header="good" if checksum(ip[:20]) == 0 else "bad")
        self._read_transport(protocol, ip[(ip[0] & 15) * 4:size], offset != 0, offset == 0 and not more)

    def _read_v6(self, ip):
        first, size, protocol, ttl = struct.unpack("!IHBB", ip[:8])
        body, offset, more, extended = ip[40:40 + size], 0, 0, False
        while protocol in (FRAGMENT, OPTIONS):
            if protocol == FRAGMENT:
                offset, more = struct.unpack("!H", body[2:4])[0] & 0xfff8, body[3] & 1
                protocol, body = body[0], body[8:]
            else:
                protocol, body, extended = body[0], body[8 + body[1] * 8:], True
            if offset:
                break
        self.family, self.key = 6, (6, first & 0xfffff, offset)
        self.fields.update(src=str(ipaddress.ip_address(ip[8:24])), dst=str(ipaddress.ip_address(ip[24:40])),
                           tos=first >> 20 & 0xff, ttl=ttl, more=more, protocol=protocol, extended=extended)
        self._read_transport(protocol, body, offset != 0, offset == 0 and not more)

    def _read_transport(self, protocol, body, later, whole):
        fields, least = self.fields, {TCP: 20, UDP: 8, ICMP: 8, ICMP6: 8}.get(protocol, 1 << 16)
        if whole and least <= len(body):
            fields["checksum"] = "good" if self._sum_is_good(protocol, body) else "bad"
        if later or len(body) < least:
            fields["data"] = body
        elif protocol == TCP:
            sport, dport, seq, ack, size, flags = struct.unpack("!HHIIBB", body[:14])
            end = max(size >> 4, 5) * 4
            fields.update(sport=sport, dport=dport, seq=seq, ack=ack, data=body[end:],
                          flags="".join(f for i, f in enumerate(FLAGS) if flags >> i & 1))
            self._read_options(body[20:end])
        elif protocol == UDP:
            sport, dport = struct.unpack("!HH", body[:4])
            fields.update(sport=sport, dport=dport, data=body[8:])
        else:
            kind, code = body[:2]
            fields.update(type=kind, code=code, ident=struct.unpack("!H", body[4:6])[0], data=body[8:])

    def _sum_is_good(self, protocol, body):
        if protocol == ICMP:
            return checksum(body) == 0
        return checksum(pseudo(self.fields["src"], self.fields["dst"], protocol, len(body)) + body) == 0

    def _read_options(self, options):
        rest, mss = [], None
        while options and options[0] != 0:
            size = 1 if options[0] == 1 or len(options) < 2 else max(options[1], 2)
            if options[0] == 2 and size == 4 and mss is None:
                mss = struct.unpack("!H", options[2:4])[0]
            elif options[0] != 1:
                rest.append(options[:size].hex())
            options = options[size:]
        self.fields.update(mss=mss, options=" ".join(rest))

    def is_error(self):
        kind = self.fields.get("type")
        return kind is not None and (kind in (3, 4, 5, 11, 12) if self.family == 4 else kind < 128)

    def quoted_key(self):
        """The key of the packet that an ICMP error is about."""
        try:
            return Seen(self.fields["data"]).key
        except (IndexError, struct.error):
            return None

    def ends(self):
        return tuple(self.fields.get(name) for name in ("src", "sport", "dst", "dport"))

    def reversed_ends(self):
        return tuple(self.fields.get(name) for name in ("dst", "dport", "src", "sport"))


def of_frame(frame):
    """What is in an Ethernet frame; None if that is no whole IP packet."""
    if frame[12:14] not in (b"\x08\x00", b"\x86\xdd"):
        return None
    try:
        return Seen(frame[14:])
    except (IndexError, struct.error):
        return None


def changes(sent, got, ends, hops=1):
    """What has changed on the way, as words: 'tos=0x10 src=203.0.113.2'."""
    words = []
    names = {ends.client: "client", ends.server: "server"}
    for name in [*sent.fields, *(n for n in got.fields if n not in sent.fields)]:
        before, after = sent.fields.get(name), got.fields.get(name)
        if name == "ttl" and isinstance(before, int):
            before -= hops
        if before != after:
            shown = "changed" if name == "data" else f"{after:#x}" if name == "tos" else names.get(after, after)
            words.append(f"{name}={shown}")
    return words
