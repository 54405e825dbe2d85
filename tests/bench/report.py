"""Medians, ratios within a round, and the table in docs/performance.md."""
import statistics

TITLES = {
    "tcp1": ("TCP bulk, 1 stream", "Gb/s"), "tcp4": ("TCP bulk, 4 streams", "Gb/s"),
    "tcp_mtu": ("TCP bulk, frames of 1,500 bytes, GRO on the NIC", "Gb/s"),
    "udp64": ("UDP, 64 bytes, sendmmsg", "kpps"), "packets": ("packet rate, 1,024 flows of 60 bytes", "kpps"),
    "rtt_one_cpu": ("round trip, all on one CPU", "µs"), "rtt_idle": ("round trip, two idle CPUs", "µs"),
    "rtt_awake": ("round trip, two CPUs kept awake", "µs"),
    "connections": ("new TCP connections", "k/s"),
}

# (figure, router, compared with, bound, whether less is better)
TARGETS = [
    ("tcp1", "masqgate", "nft masquerade", 0.42, False),
    ("tcp4", "masqgate", "nft masquerade", 0.40, False),
    ("tcp_mtu", "masqgate", "nft masquerade", 0.42, False),
    ("udp64", "masqgate", "nft masquerade", 0.75, False),
    ("packets", "masqgate", "nft masquerade", 0.38, False),
    ("rtt_one_cpu", "masqgate", "nft masquerade", 2.3, True),
    ("rtt_idle", "masqgate", "nft masquerade", 1.2, True),
    ("rtt_idle", "masqgate, spin 50 us", "nft masquerade", 0.35, True),
    ("connections", "masqgate", "nft masquerade", 1.2, False),
    ("tcp1", "masqgate", "slirp4netns", 2.3, False),
    ("connections", "masqgate", "slirp4netns", 4, False),
]

BEGIN, END = "<!-- measured by tests/bench/run -->", "<!-- end of what tests/bench/run wrote -->"


class Results:
    """values[router][figure][round] is what a figure function returned."""

    def __init__(self):
        self.values = {}

    def add(self, router, figure, turn, value):
        self.values.setdefault(router, {}).setdefault(figure, {})[turn] = value

    def parts(self, router, figure, part="value"):
        return [v[part] for v in self.values.get(router, {}).get(figure, {}).values()]

    def ratios(self, router, figure, other):
        """Value by value of the same round: what disturbs a round disturbs both."""
        mine, theirs = (self.values.get(r, {}).get(figure, {}) for r in (router, other))
        return [mine[turn]["value"] / theirs[turn]["value"] for turn in mine
                if turn in theirs and theirs[turn]["value"] > 0]


def spread(values, digits):
    """median (least to greatest)"""
    if not values:
        return "–"
    show = f"{{:.{digits}f}}".format
    text = show(statistics.median(values))
    return text if len(values) == 1 else f"{text} ({show(min(values))} to {show(max(values))})"


def table(rows):
    head, *body = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body])


def targets(results):
    rows = [["figure", "router", "to", "target", "median of the ratios (spread)", "reached"]]
    for figure, router, other, bound, less in TARGETS:
        ratios = results.ratios(router, figure, other)
        measured, reached = "not measured", "–"
        if ratios:
            median = statistics.median(ratios)
            measured = spread(ratios, 2)
            reached = "yes" if (median <= bound if less else median >= bound) else "**no**"
        target = f"{'≤' if less else '≥'} {bound}"
        rows.append([TITLES[figure][0], router, other, target, measured, reached])
    return table(rows)


def figures(results):
    routers = list(results.values)
    rows = [["figure", *routers]]
    for figure, (title, unit) in TITLES.items():
        digits = 0 if unit == "kpps" else 1
        rows.append([f"{title}, {unit}", *(spread(results.parts(r, figure), digits) for r in routers)])
    rows.append(["CPU of the whole machine, s/GB (TCP bulk, 1 stream)",
                 *(spread(results.parts(r, "tcp1", "cpu_per_gb"), 2) for r in routers)])
    rows.append(["TCP segments sent again (4 streams)",
                 *(spread(results.parts(r, "tcp4", "retransmits"), 0) for r in routers)])
    rows.append(["round trip p99, two idle CPUs, µs",
                 *(spread(results.parts(r, "rtt_idle", "p99"), 0) for r in routers)])
    return table(rows)


def text(results, versions, rounds):
    conditions = "\n".join(f"- {name}: {value}" for name, value in versions.items())
    return f"""{BEGIN}
## Targets

{rounds} rounds; in each round every router was measured once, one after the other. A ratio compares two
values of the same round; the table shows the median of the ratios, and the least and the greatest.

{targets(results)}

## Figures

Medians (least to greatest).

{figures(results)}

## Conditions

{conditions}

{END}"""


def write(file, measured):
    """Replaces what an earlier run wrote; everything around it is written by hand and stays."""
    old = file.read_text() if file.exists() else f"# Performance\n\n{BEGIN}\n{END}\n"
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    file.parent.mkdir(exist_ok=True)
    file.write_text(before + measured + after)
