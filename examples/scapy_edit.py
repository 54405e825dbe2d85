#!/usr/bin/env python3
"""Answers for one name with another address: DNS, taken apart and built anew by scapy.

Usage: scapy_edit.py NAME ADDRESS. Rule: {"protocol": "udp", "source_port": "53", "action": {"divert": 2225}}
"""
import sys

from scapy.layers.dns import DNS, DNSRR
from scapy.layers.inet import IP, UDP

import masqgate_divert as divert

name, address = sys.argv[1].rstrip(".").encode() + b".", sys.argv[2]
with divert.open(2225, name="scapy_edit") as d:
    for p in d:
        old = p.scapy()
        if DNS in old and old[DNS].qdcount and (old[DNS].qd[0].qname, old[DNS].qd[0].qtype) == (name, 1):
            answer = DNS(id=old[DNS].id, qr=1, rd=1, ra=1, qd=old[DNS].qd, an=DNSRR(rrname=name, ttl=60, rdata=address))
            p.replace(IP(src=old.src, dst=old.dst, id=old.id) / UDP(sport=old.sport, dport=old.dport) / answer)
            print(name.decode(), "is", address, "for", old.dst, flush=True)
