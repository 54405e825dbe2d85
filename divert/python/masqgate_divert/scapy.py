"""Diverted packets for scapy: a socket for sniff() and bridge_and_sniff(). Imported only where it is asked for.

    from scapy.all import sniff
    from masqgate_divert.scapy import ScapySocket

    with ScapySocket(2222) as s:
        sniff(opened_socket=s, prn=lambda p: s.send(edited(p)))

recv() gives what came, from its IP header on; .diverted is masqgate's packet (in_if, mark, accept(), reject() …).
send() says its verdict: as it came, or with other bytes. One that was built anew counts for the packet that came last.
What has its verdict already, or is about none, is a new packet (permission "inject"). A packet about which nothing was
said when the next one is waited for is accepted, or as `default` says: "drop", as bridge_and_sniff() means it, or
None, and then somebody says it later. Wrong lengths and checksums are put right. Not for several threads at once.
"""
import collections
import select as _select
import time

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.supersocket import SuperSocket

from . import open as _open


def dissect(packet):
    """A packet of masqgate_divert as one of scapy."""
    return (IPv6 if packet.v6 else IP)(bytes(packet.bytes))


class ScapySocket(SuperSocket):
    """A listener that scapy takes as one of its sockets. The options are those of masqgate_divert.open()."""

    desc = "packets that masqgate diverts"
    _turns = 0  # of all sockets: who was served longest ago comes first
    _latest = None  # what was received last, by any of them: a bridge answers it through another one

    def __init__(self, port, default="accept", **options):  # pylint: disable=super-init-not-called
        self.listener, self.default = _open(port, **options), default
        self.ins = self.outs = self.listener.socket
        self._packets, self._last, self._end, self._turn = collections.deque(), None, None, 0

    def _fill(self):
        """Reads what is there; afterwards there are packets, an end, or neither."""
        try:
            while not self._packets:
                batch = self.listener.take()
                self._packets.extend(batch)
                if not batch:
                    return
        except ConnectionError:
            self._end = EOFError()
        except Exception as refused:  # pylint: disable=broad-except
            self._end = refused

    def _settle(self):
        """Says the default of the packet that was given out last."""
        last, self._last = self._last, None
        if ScapySocket._latest is last:
            ScapySocket._latest = None
        if last is not None and not last.answered and self.default is not None:
            last.drop() if self.default == "drop" else last.accept()
        self.listener.flush()

    def recv(self, x=0, **_):
        """The next packet; EOFError when masqgate has gone."""
        self._settle()
        self._fill()
        while not self._packets:
            if self._end is not None:
                raise self._end
            _select.select([self.listener], [], [])
            self._fill()
        ScapySocket._turns += 1
        self._turn = ScapySocket._turns
        self._last = ScapySocket._latest = self._packets.popleft()
        packet = dissect(self._last)
        packet.diverted = self._last
        return packet

    def send(self, x):
        """A verdict, or a packet out of nothing: see above. Returns how many bytes the packet has."""
        data, about = bytes(x), getattr(x, "diverted", None)
        if about is None:
            about = next((p for p in (self._last, ScapySocket._latest) if p is not None and not p.answered), None)
        if about is None or about.answered:
            self.listener.inject(data, out=True)
        elif data == about.bytes:
            about.accept()
        else:
            about.replace(data)
        self.listener.flush()
        return len(data)

    def close(self):
        if not self.closed:
            self.closed = True
            self._settle()
            self.listener.close()

    @staticmethod
    def select(sockets, remain=None):
        """One of ours at a time, so that what is sent is about what came last; others as they are."""
        ours = [s for s in sockets if isinstance(s, ScapySocket)]
        until = None if remain is None else time.monotonic() + remain
        for one in ours:
            one._settle()
        while True:
            ready = [s for s in ours if s._packets or s._end]
            rest = 0 if ready else None if until is None else max(0, until - time.monotonic())
            readable = _select.select(sockets, [], [], rest)[0]
            for one in readable:
                if one in ours:
                    one._fill()
            ready = [s for s in ours if s._packets or s._end]
            others = [s for s in readable if s not in ours]
            if ready or others or rest == 0:
                return others + sorted(ready, key=lambda s: s._turn)[:1]
