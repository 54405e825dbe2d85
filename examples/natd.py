#!/usr/bin/env python3
"""A translator of addresses in thirty lines, as natd: inside hosts speak with the outside address.

Usage: natd.py OUTSIDE_ADDRESS INSIDE_PREFIX (192.168.0.). Rule, in chain prerouting: {"action": {"divert": 8668}};
no "nat" in the configuration. UDP and TCP; mappings are never forgotten.
"""
import ipaddress
import sys

import masqgate_divert as divert

outside, prefix = ipaddress.ip_address(sys.argv[1]).packed, sys.argv[2]
ports, owners, next_port = {}, {}, 50000


def rewrite(p, address_at, port_at, address, port):
    data = bytearray(p.bytes)
    at = (data[0] & 15) * 4 + port_at
    data[address_at:address_at + 4], data[at:at + 2] = address, port.to_bytes(2, "big")
    p.replace(data)


with divert.open(8668, name="natd") as d:
    for p in d:
        if p.v6 or not (p.udp or p.tcp):
            p.accept()
        elif str(p.src).startswith(prefix) and not str(p.dst).startswith(prefix) and p.dst.packed != outside:
            key = (p.protocol, p.src.packed, p.sport)
            if key not in ports:
                ports[key] = next_port
                owners[p.protocol, next_port], next_port = key, next_port + 1
            rewrite(p, 12, 0, outside, ports[key])
        elif p.dst.packed == outside and (p.protocol, p.dport) in owners:
            rewrite(p, 16, 2, *owners[p.protocol, p.dport][1:])
        else:
            p.accept()
