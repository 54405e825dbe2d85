"""Programs that masqgate diverts packets to: pure Python, nothing to build, no root needed.

    import masqgate_divert as divert

    with divert.open(2222) as d:
        for p in d:
            if p.udp and p.dport == 53: p.accept(mark=1)
            else: p.drop()

A packet that is left without a verdict when the next one is asked for is accepted; an exception in
the loop's body leaves it as `default` says, and is raised. `async for` works as well. For speed, take
whole batches and answer them at once:

    for batch in d.batches():
        batch.accept()

The format of frames is told in docs/divert.md.
"""
import asyncio
import collections
import ipaddress
import os
import socket as _socket
import struct
import time

SOCKET = "/run/masqgate/divert.sock"

MAGIC, MAJOR, MINOR = 0x31545644, 1, 0
LARGEST_FRAME = 72 * 1024
FULL_FRAME = 60 * 1024
FRAME = struct.Struct("<IBBBBIHH")
PREFIX = struct.Struct("<IHH")
PACKET = struct.Struct("<IHHQQQIIIIIIIIIHHBBBBHHHHHHHHI")
VERDICT = struct.Struct("<IHHQBBHIIIII")
INJECT = struct.Struct("<IHHQQIIIIIIB3x4s")
NOTICE = struct.Struct("<IHHQIIQ")
BIND = struct.Struct("<IHHHHhHIIII32s")
BOUND = struct.Struct("<IHHHHhHIIIIIIIBBBBIIQ")
FLOW = struct.Struct("<IHHQBBHI16s16sHHBBH16s16sHHBBHQQQQ")
LISTENER = struct.Struct("<IHHBBHIIIhHHHBBBBI32s")
assert (FRAME.size, PACKET.size, VERDICT.size, INJECT.size, NOTICE.size, BIND.size, BOUND.size,
        FLOW.size, LISTENER.size) == (16, 96, 40, 56, 32, 64, 64, 136, 72)

_LENGTH, _ID = struct.Struct("<I").unpack_from, struct.Struct("<Q").unpack_from

CONTROL, PACKETS, VERDICTS, NOTICES = range(4)
T_FLOW, T_LISTENER = 5, 6
T_PACKET, T_VERDICT, T_INJECT, T_NOTICE, T_BIND, T_BOUND, T_DRAIN, T_BYE = 1, 2, 3, 4, 18, 19, 23, 24
ACCEPT, DROP, REPEAT_AT, REQUEUE, REJECT, HOLD, ACCEPT_UPTO, DROP_UPTO = range(8)
MODIFIED, SET_MARK, SET_FLOWMARK, FLOW_OFFLOAD, FLOW_BLOCK, KEEP_CHECKSUMS, NO_MORE_DIVERT = 1, 2, 4, 8, 16, 32, 128
PORT, HOST, NET, PROHIBITED, RESET = range(5)  # how to reject
MAY = {"listen": 1, "tee": 2, "inject": 4, "inject_spoofed": 8, "set_mark": 16, "steer": 32, "see_link": 64,
       "see_user": 128}
BIND_FLOWS, BIND_REFLECT = 256, 512
BIND_TEE, BIND_SEGMENTS, BIND_PARTIAL_SUMS, BIND_ORDERED, BIND_ANY_MEMBER = 1, 4, 8, 16, 64
TEE, FRAGMENT, REASSEMBLED, TRUNCATED, REDELIVERED, FIRST_OF_FLOW, INJECTED, IPV6 = \
    1, 2, 4, 64, 256, 512, 1024, 4096
AS_IT_CAME, AS_IT_LEAVES = 8192, 16384  # which addresses a packet has, where its rule says "view"
HOOKS = ("", "input", "forward", "output", "prerouting", "postrouting")
CODES = ("", "expired", "unknown_id", "bad_packet", "not_allowed", "loop", "no_interface", "too_fast", "rule_gone",
         "lost", "drained", "not_known")
OPTIONS = {"in_if": 1, "out_if": 2, "in_address": 3, "link": 4, "original": 5, "reply": 6, "user": 7, "rule": 8}
UDP, TCP = 17, 6
FLOW_ENDS = ("", "closed", "timed_out", "removed", "not_admitted", "forgotten")
LISTENER_EVENTS = ("", "was_there", "came", "left")
LISTENER_ENDS = ("", "drained", "died", "sent_away")
MOST_EVENTS = 10000  # that wait in a Listener; of more, the oldest are lost


class Refused(Exception):
    """masqgate closed the connection and said why."""


class Notice:
    """Something went wrong with one packet; the connection goes on."""

    def __init__(self, id, code, detail, value):
        self.id, self.code, self.value = id, CODES[code] if code < len(CODES) else str(code), value

    def __repr__(self):
        return f"Notice({self.code}, id={self.id:#x})"


def _word(words, number):
    return words[number] if number < len(words) else str(number)


class Tuple:
    """One direction of a conversation."""

    __slots__ = ("src", "dst", "sport", "dport", "protocol")

    def __init__(self, src, dst, sport, dport, protocol, version, _):
        size = 4 if version == 4 else 16
        self.src, self.dst = (ipaddress.ip_address(bytes(one[:size])) for one in (src, dst))
        self.sport, self.dport, self.protocol = sport, dport, protocol

    def __repr__(self):
        return f"{self.protocol} {self.src}:{self.sport} > {self.dst}:{self.dport}"


class Flow:
    """A flow that this listener is given packets of starts, or ends (flows=True). packets and bytes: both ways."""

    def __init__(self, record):
        fields = FLOW.unpack_from(record)
        self.flow, self.started, self.port = fields[3], fields[4] == 1, fields[6]
        self.end = "" if self.started else _word(FLOW_ENDS, fields[5])
        self.original, self.reply = Tuple(*fields[8:15]), Tuple(*fields[15:22])
        self.packets, self.bytes = fields[22:24], fields[24:26]

    def __repr__(self):
        return f"Flow({self.original}, {'starts' if self.started else self.end}, packets={self.packets})"


class Other:
    """Another listener that was_there, came or left (reflect=True)."""

    def __init__(self, record):
        (_, _, _, event, end, self.port, self.pid, self.uid, self.gid, self.priority, self.weight, self.flags, _,
         self.nobody, self.full, self.late, self.death, self.deadline_ms, name) = LISTENER.unpack_from(record)
        self.event, self.end = _word(LISTENER_EVENTS, event), _word(LISTENER_ENDS, end)
        self.name = name.rstrip(b"\0").decode()

    def __repr__(self):
        return f"Other({self.event}, port={self.port}, pid={self.pid}, name={self.name!r})"


def _padded(size, to=8):
    return (size + to - 1) // to * to


def _frame(kind, records):
    body = b"".join(records)
    return FRAME.pack(MAGIC, MAJOR, MINOR, kind, 0, FRAME.size + len(body), len(records), 0) + body


def verdict(id, action, flags=0, argument=0, mark=0, mask=0, rule=0, budget=0, data=b""):
    """A record with a verdict, as bytes."""
    size = _padded(VERDICT.size + len(data))
    if data:
        flags, argument = flags | MODIFIED, len(data)
    head = VERDICT.pack(size, T_VERDICT, VERDICT.size, id, action, flags, argument, mark, mask, rule, 0, budget)
    return head + data + bytes(size - len(head) - len(data)) if data else head


def records(frame):
    """(type, header and rest as memoryview, header length) of each record; ValueError for what is none."""
    magic, major, _, _, _, length, count, _ = FRAME.unpack_from(frame)
    if magic != MAGIC or major != MAJOR or length != len(frame):
        raise ValueError("no frame of version 1")
    at = FRAME.size
    for _ in range(count):
        size, kind, header = PREFIX.unpack_from(frame, at)
        if size % 8 or header < PREFIX.size or header > size or at + size > length:
            raise ValueError("a broken record")
        yield kind, frame[at:at + size], header
        at += size


class Packet:
    """One packet, seen through the frame that it came in: views stay valid as long as it is kept."""

    __slots__ = ("_d", "_record", "_fields", "answered", "id")

    def __init__(self, listener, record):
        self._d, self._record, self._fields, self.answered = listener, record, None, False
        self.id = int.from_bytes(record[8:16], "little")

    def _field(self, index):
        if self._fields is None:
            self._fields = PACKET.unpack_from(self._record)
        return self._fields[index]

    flow = property(lambda self: self._field(5))
    length = property(lambda self: self._field(6))
    flags = property(lambda self: self._field(8))
    mark = property(lambda self: self._field(9))
    rule = property(lambda self: self._field(10))
    in_port = property(lambda self: self._field(12))
    out_port = property(lambda self: self._field(13))
    tracking = property(lambda self: self._field(14))
    rule_position = property(lambda self: self._field(15))
    port = property(lambda self: self._field(16))
    hook = property(lambda self: HOOKS[self._field(17)])
    hops = property(lambda self: self._field(19))
    protocol = property(lambda self: self._field(20))
    segment_size = property(lambda self: self._field(26))
    is_copy = property(lambda self: bool(self.flags & TEE))
    v6 = property(lambda self: bool(self.flags & IPV6))
    udp = property(lambda self: self.protocol == UDP)
    tcp = property(lambda self: self.protocol == TCP)

    @property
    def bytes(self):
        """The IP packet, as a memoryview."""
        start = self._field(2) + self._field(28)
        return self._record[start:start + self._field(7)]

    @property
    def payload(self):
        """What the transport protocol carries."""
        return self.bytes[self._field(23):]

    def _address(self, v4, v6):
        return ipaddress.ip_address(bytes(self.bytes[v6:v6 + 16] if self.v6 else self.bytes[v4:v4 + 4]))

    src = property(lambda self: self._address(12, 8))
    dst = property(lambda self: self._address(16, 24))

    def _port(self, offset):
        if self.protocol not in (UDP, TCP) or self._field(27) & 0x1FFF:
            return 0
        at = self._field(22) + offset
        return int.from_bytes(self.bytes[at:at + 2], "big")

    sport = property(lambda self: self._port(0))
    dport = property(lambda self: self._port(2))

    def option(self, name):
        """An option that open() asked for, as a memoryview; None where the packet has none."""
        at, end = self._field(2), self._field(2) + self._field(28)
        while at + 4 <= end:
            kind, length = struct.unpack_from("<HH", self._record, at)
            if kind == OPTIONS[name]:
                return self._record[at + 4:at + 4 + length]
            at += 4 + _padded(length, 4)
        return None

    @property
    def rule_name(self):
        """The rule's id, if options=["rule"] was asked for."""
        value = self.option("rule")
        return bytes(value).decode() if value is not None else ""

    @property
    def user(self):
        """The uid that sends it on the router's own machine: of the first packet of a flow, if options=["user"] was
        asked for; else None."""
        value = self.option("user")
        return int.from_bytes(value, "little") if value is not None else None

    @property
    def in_if(self):
        value = self.option("in_if")
        return bytes(value).decode() if value is not None else ""

    @property
    def out_if(self):
        value = self.option("out_if")
        return bytes(value).decode() if value is not None else ""

    def _say(self, action, **more):
        if self.answered:
            raise RuntimeError("this packet has its verdict already")
        self.answered = True
        if not self.is_copy:
            self._d._add(verdict(self.id, action, **more))

    def accept(self, mark=None, mask=0xFFFFFFFF, data=b"", offload=None, keep_checksums=False, flow_mark=False,
               divert=True):
        """On to the next rule; with another mark (flow_mark: of its connection, too), with other bytes, or "no more of
        this flow to me" (offload=0: ever; else so many packets). divert=False: no rule behind diverts it again."""
        flags = (KEEP_CHECKSUMS if keep_checksums else 0) | (SET_FLOWMARK if flow_mark else 0)
        flags |= 0 if divert else NO_MORE_DIVERT
        if mark is not None:
            flags |= SET_MARK
        if offload is not None:
            flags |= FLOW_OFFLOAD
        self._say(ACCEPT, flags=flags, mark=mark or 0, mask=mask if mark is not None else 0, data=bytes(data),
                  budget=offload or 0)

    def scapy(self):
        """The packet as scapy takes it apart. replace() takes scapy's packets, too."""
        from . import scapy  # pylint: disable=import-outside-toplevel
        return scapy.dissect(self)

    def replace(self, data, **more):
        """Accepts these bytes (a whole IP packet) in its place; lengths and checksums are put right."""
        self.accept(data=data, **more)

    def drop(self, block=None):
        """block: the whole flow; 0 for ever, else so many packets."""
        self._say(DROP, flags=FLOW_BLOCK if block is not None else 0, budget=block or 0)

    def reject(self, how=PORT):
        self._say(REJECT, argument=how)

    def repeat(self, rule=0, mark=None):
        """Asks the chain again from this rule on, or from its top."""
        self._say(REPEAT_AT, rule=rule, flags=SET_MARK if mark is not None else 0, mark=mark or 0, mask=0xFFFFFFFF)

    def requeue(self, port):
        self._say(REQUEUE, argument=port)

    def hold(self, seconds):
        """Keeps it parked for longer; a verdict must still come."""
        self._d._add(verdict(self.id, HOLD, argument=int(seconds * 1000)))


class Batch:
    """The packets of one frame, answered one by one or all together. Objects are made of them only when asked for."""

    __slots__ = ("_d", "_frame", "_packets", "_count")

    def __init__(self, listener=None, frame=None):
        self._d, self._frame, self._packets = listener, frame, None if frame is not None else []
        self._count = FRAME.unpack_from(frame)[6] if frame is not None else 0

    def _all(self):
        if self._packets is None:
            self._packets = [Packet(self._d, r) for kind, r, _ in records(memoryview(self._frame)) if kind == T_PACKET]
        return self._packets

    def __iter__(self):
        return iter(self._all())

    def __getitem__(self, index):
        return self._all()[index]

    def __len__(self):
        return self._count if self._packets is None else len(self._packets)

    def _last_untouched(self):
        """The id of the last packet while nobody has looked at one of them; 0: better look at each."""
        if self._packets is not None:
            return 0
        at, end, last, frame, size = FRAME.size, len(self._frame), 0, self._frame, _LENGTH
        for _ in range(self._count):
            last = at
            at += size(frame, at)[0]
            if at > end or at == last:
                return 0
        kind, packet = (PREFIX.unpack_from(frame, last)[1], _ID(frame, last + 8)[0]) if last else (0, 0)
        return packet if kind == T_PACKET else 0

    def _answer(self, action):
        last = self._last_untouched()
        if last:
            self._packets = []
        else:
            for packet in self._all():
                if not packet.answered and not packet.is_copy:
                    packet.answered, last = True, packet.id
        if last:
            self._d._add(verdict(last, action))

    def accept(self):
        """All that have no verdict yet, and every packet that came before them."""
        self._answer(ACCEPT_UPTO)

    def drop(self):
        self._answer(DROP_UPTO)


class Listener:
    """A connection that is bound to a port. Not for several threads at once."""

    def __init__(self, port, name="", socket=SOCKET, priority=0, weight=1, credit=0, snapshot=0, options=(),
                 tee=False, segments=False, any_member=False, ordered=False, permissions=(), default="accept", flows=False,
                 reflect=False, on_event=None):
        self.default, self.notices, self.lost = default, [], 0
        self.events = collections.deque(maxlen=MOST_EVENTS)  # Flow and Other; or on_event is called with each
        self._on_event = on_event or self.events.append
        self._out, self._size, self._waiting, self._current = [], 0, [], None
        self.socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        try:
            self.socket.connect(os.fspath(socket))
            wanted = MAY["tee" if tee else "listen"]
            for one in permissions:
                wanted |= MAY[one]
            flags = (BIND_TEE if tee else 0) | (BIND_SEGMENTS if segments else 0) | \
                (BIND_ANY_MEMBER if any_member else 0) | (BIND_ORDERED if ordered else 0) | \
                (BIND_FLOWS if flows else 0) | (BIND_REFLECT if reflect else 0)
            asked = sum(1 << OPTIONS[one] for one in options)
            self.socket.send(_frame(CONTROL, [BIND.pack(
                BIND.size, T_BIND, BIND.size, port, flags, priority, weight, credit, snapshot, asked, wanted,
                name.encode()[:31])]))
            self.bound = None
            while self.bound is None:
                if not self._receive():
                    raise Refused("the connection was closed")
        except BaseException:
            self.socket.close()
            raise

    def fileno(self):
        return self.socket.fileno()

    def close(self):
        if self.socket.fileno() >= 0:
            if self._current is not None:  # an exception has ended the loop
                self._settle(self._current, self.default)
            try:
                self.flush()
            except OSError:
                pass  # masqgate has gone first
            self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _add(self, record):
        if self._size + len(record) > FULL_FRAME:
            self.flush()
        self._out.append(record)
        self._size += len(record)

    def flush(self):
        """Sends the verdicts that were said."""
        if self._out:
            out, self._out, self._size = self._out, [], 0
            try:
                self.socket.send(_frame(VERDICTS, out))
            except (BrokenPipeError, ConnectionResetError):
                pass  # masqgate has gone; what it sent before, and that it has gone, is read next

    def _receive(self, flags=0):
        """Reads one frame; False if the connection has ended."""
        try:
            frame = self.socket.recv(LARGEST_FRAME, flags)
        except ConnectionResetError:
            return False
        if not frame:
            return False
        if frame[6] == PACKETS:
            self.lost += FRAME.unpack_from(frame)[7]
            self._waiting.append(Batch(self, frame))
            return True
        for kind, record, header in records(memoryview(frame)):
            if kind == T_NOTICE:
                self.notices.append(Notice(*NOTICE.unpack_from(record)[3:]))
            elif kind == T_FLOW:
                self._on_event(Flow(record))
            elif kind == T_LISTENER:
                self._on_event(Other(record))
            elif kind == T_BOUND:
                self.bound = BOUND.unpack_from(record)
            elif kind == T_BYE:
                raise Refused(bytes(record[header:]).rstrip(b"\0").decode())
        return True

    def batches(self):
        """Whole frames; their verdicts are sent before the next one is waited for."""
        while True:
            while not self._waiting:
                self.flush()
                if not self._receive():
                    return
            yield self._waiting.pop(0)

    def follow(self):
        """Events as they come, for who looks at nothing else. Packets wait meanwhile, for take() or a loop."""
        while True:
            while self.events:
                yield self.events.popleft()
            self.flush()
            if not self._receive():
                return

    def take(self):
        """The packets that are there now, without waiting; their verdicts may be said at any time, and
        flush() sends them. ConnectionError when masqgate has gone."""
        try:
            while not self._waiting:
                if not self._receive(_socket.MSG_DONTWAIT):
                    raise ConnectionError("masqgate has gone")
        except BlockingIOError:
            return Batch()
        return self._waiting.pop(0)

    def _settle(self, packet, how):
        if not packet.answered:
            packet.drop() if how == "drop" else packet.accept()

    def __iter__(self):
        for batch in self.batches():
            for packet in batch:
                self._current = packet
                yield packet
                self._settle(packet, self.default)

    async def __aiter__(self):
        loop = asyncio.get_running_loop()
        self.socket.setblocking(False)
        while True:
            while not self._waiting:
                self.flush()
                try:
                    if not self._receive():
                        return
                except BlockingIOError:
                    ready = loop.create_future()
                    loop.add_reader(self.fileno(), lambda: ready.done() or ready.set_result(None))
                    try:
                        await ready
                    finally:
                        loop.remove_reader(self.fileno())
            for packet in self._waiting.pop(0):
                self._current = packet
                yield packet
                self._settle(packet, self.default)

    def inject(self, data, out=False, in_port=0, out_port=0, mark=0, relates_to=0, cookie=0):
        """Sends a packet of its own: as if received by that port, or (out) as if the router sent it.
        Needs permission "inject". What went wrong comes as a notice with the cookie."""
        size = _padded(INJECT.size + len(data))
        head = INJECT.pack(size, T_INJECT, INJECT.size, cookie, relates_to, len(data), 1, mark, 0, in_port, out_port,
                           int(out), bytes(4))
        self._add(head + bytes(data) + bytes(size - INJECT.size - len(data)))
        self.flush()

    def drain(self):
        """No new packets from now on; a notice "drained" comes when all have been answered."""
        self.flush()
        self.socket.send(_frame(CONTROL, [PREFIX.pack(8, T_DRAIN, 8)]))


def open(port, retry=0.0, **options):  # pylint: disable=redefined-builtin
    """Listens to a port. retry: seconds to wait for masqgate's socket."""
    until = time.monotonic() + retry
    while True:
        try:
            return Listener(port, **options)
        except (FileNotFoundError, ConnectionRefusedError):
            if time.monotonic() >= until:
                raise
            time.sleep(0.05)
