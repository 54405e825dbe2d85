#!/usr/bin/env python3
"""Logs the names that hosts ask for, and lets everything pass. Rule: {"protocol": "udp", "action": {"divert": 2222}}"""
import masqgate_divert as divert


def name(query):
    labels, at = [], 12
    while at < len(query) and query[at]:
        labels.append(bytes(query[at + 1:at + 1 + query[at]]).decode(errors="replace"))
        at += 1 + query[at]
    return ".".join(labels)


with divert.open(2222, name="dns_logger") as d:
    for p in d:
        if p.dport == 53:
            print(p.src, name(p.payload), flush=True)
        p.accept()
