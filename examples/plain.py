#!/usr/bin/env python3
"""Diverted packets without any library: plain datagrams. Counts packets per protocol. Usage: plain.py PORT [SOCKET]"""
import collections
import socket
import sys

s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[2] if len(sys.argv) > 2 else "/run/masqgate/divert.sock")
s.send(b"listen " + sys.argv[1].encode())
seen = collections.Counter()
while datagram := s.recv(1 << 17):
    header, packet = datagram[:16], datagram[16:]  # id, interface, rule, hook; then the IP packet
    seen[packet[9] if packet[0] >> 4 == 4 else packet[6]] += 1
    print(dict(seen), flush=True)
    s.send(header)  # as it came: accept
