#!/usr/bin/env python3
"""A tiny IDS: a flow that carries the word is blocked for ever, any other is let alone after ten packets.

Usage: flow_blocker.py WORD. Rule: {"id": "ids", "action": {"divert": {"port": 2223, "nobody": "pass"}}}
"""
import collections
import sys

import masqgate_divert as divert

word, seen = sys.argv[1].encode(), collections.Counter()
with divert.open(2223, name="flow_blocker") as d:
    for p in d:
        seen[p.flow] += 1
        if word in bytes(p.payload):
            print("blocked", p.src, p.dst, flush=True)
            p.drop(block=0)
        elif seen[p.flow] >= 10:
            del seen[p.flow]
            p.accept(offload=0)
        else:
            p.accept()
