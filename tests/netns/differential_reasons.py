"""Why masqgate does otherwise than Linux, where it does: docs/firewall.md says the same, word for word."""

REASONS = {
    "stray-errors":
        "An ICMP error about nothing that the router knows goes nowhere, whatever the rules say (RFC 5508 REQ-4); "
        "Linux gives it the state `invalid` and asks the rules.",
    "lone-fragments":
        "A later fragment waits for the first one of its datagram, which has the ports, and is dropped if that never "
        "comes; Linux without connection tracking forwards it.",
    "piece-ports":
        "A later fragment has no ports, and no question for ports fits it; Linux without connection tracking may take "
        "its data for them.",
    "no-connection-mark":
        "A packet without a connection has the connection mark 0; for Linux the question fails.",
    "mark-of-connection":
        "Packets of a connection that has a mark begin with it; Linux' packets begin with 0, and a rule restores the "
        "mark.",
    "reject-pieces":
        "The first fragment of a datagram is answered; Linux, which wants to see the whole checksum, says nothing.",
    "mss-odd":
        "The checksum stays right where the option stands at an odd place; Linux breaks it there.",
    "ttl-zero":
        "The TTL never becomes 0; Linux sends such packets.",
    "mss-raised":
        "`tcp_mss` with a number sets it, as `--set-mss` of Linux 2.4 did; Linux has never raised it since 2.6.25.",
    "mss-inserted":
        "A SYN without MSS gets the number of the rule, as with Linux 2.4; Linux inserts at most 536 (IPv6: 1220) "
        "since 3.12.",
    "refused-connections":
        "A connection that was refused does not count for `connections`; Linux counts it for some milliseconds.",
    "no-owner":
        "Match `owner` is asked of the router's own packets only, which no packet through the router can show; tests/netns/test_local.py does.",
    "no-psd":
        "Match `port_scan`: the kernel has none; its like was in patch-o-matic for Linux 2.4.",
    "no-unclean":
        "Match `unclean`: the kernel has had none since 2.6.",
    "no-mirror":
        "Action `mirror`: the kernel has had none since 2.6.",
}

# Where Linux does so by its version or its clock.
SOMETIMES = {"refused-connections", "piece-ports", "mss-odd", "reject-pieces"}
