#!/usr/bin/env python3
"""Every match and every target beside Linux: the same packets go through masqgate and through a kernel with the nearest
rule of nftables or iptables; expected, masqgate and Linux must agree on each packet, or a reason is written down."""
import ipaddress
import pathlib
import re
import time

import differential as d
import differential_matches
import differential_states
import differential_targets
import lab as l
import router as r
import servers
from differential_reasons import REASONS
from frames import both, tcp, udp
from story import check, check_equal, main, story

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "firewall.md"


def short(address):
    """The one spelling of an address."""
    return str(ipaddress.ip_address(address))


class Report:
    """What the rows of a story have shown."""

    def __init__(self):
        self.rows = self.packets = self.beside = 0
        self.lacking, self.alone, self.differences, self.wrong = [], {}, {}, []

    def add(self, row, result, lacks):
        self.rows, self.packets = self.rows + 1, self.packets + result.packets
        if lacks:
            self.lacking.append(f"{row.name}: {lacks}")
        elif row.nft is None and row.iptables is None:
            self.alone.setdefault(row.reason, []).append(row.name)
        else:
            self.beside += 1
        for reason, count in result.differences.items():
            self.differences[reason] = self.differences.get(reason, 0) + count
        self.wrong += [f"{row.name}: {line}" for line in result.wrong]

    def print(self):
        print(f"# {self.rows} rule sets, {self.packets} packets; {self.beside} of them beside Linux")
        for reason, count in sorted(self.differences.items()):
            print(f"# Linux differs for {count} packets: {REASONS[reason]}")
        for reason, names in self.alone.items():
            print(f"# {len(names)} without Linux: {REASONS[reason]}")
        print(f"# kernel lacks {len(self.lacking)}")
        for line in self.lacking:
            print(f"#   {line}")


def judge(twins, rows):
    """Runs the rows and fails with all that is wrong."""
    report, begin = Report(), time.monotonic()
    for row in rows:
        try:
            report.add(row, *d.run(twins, row))
        except (l.Failed, r.Refused) as failure:  # the others are told all the same
            report.wrong.append(f"{row.name}: {failure}")
    report.print()
    print(f"# {time.monotonic() - begin:.1f} s")
    check(not report.wrong, f"{len(report.wrong)} packets:\n" + "\n".join(report.wrong))
    check(report.beside > len(report.lacking), "Linux was hardly asked at all")


@story("F2: matches that look at one packet give Linux' verdicts", needs_masqgate=True)
def matches(lab):
    judge(d.Twins(lab), differential_matches.all_rows())


@story("F2: matches that count, and know connections and the time, give Linux' verdicts", needs_masqgate=True)
def states(lab):
    judge(d.Twins(lab), differential_states.all_rows())
    print(f"# no row: {REASONS['no-owner']}")


@story("F3: targets do to packets what Linux' targets do", needs_masqgate=True)
def targets(lab):
    twins = d.Twins(lab)
    for side in (twins.masqgate, twins.kernel):  # for what is redirected
        servers.UdpEcho(side.router, "0.0.0.0", 7000)
    judge(twins, differential_targets.all_rows())


@story("F3: log and Linux' log say the same of the same packets", needs_masqgate=True)
def log(lab):
    twins = d.Twins(lab)
    probes = [d.Probe(packet, "pass") for packet in (udp(1001), udp(1002), tcp("S", 1001), tcp("SA", 1001))]
    row = d.Row("F3 log", probes + [d.Probe(packet, "pass") for packet in both(udp(1001))],
                {"forward": [{"source_port": "1-65535", "destination_port": 1001,
                              "action": {"log": {"prefix": "twin ", "format": "iptables"}}}]},
                nft={"forward": ["meta l4proto { tcp, udp } th dport 1001 log prefix \"twin \" group 5"]})
    capture = twins.kernel.router.start("tcpdump", "-i", "nflog:5", "-n", "-U", "--immediate-mode", "-s", "0",
                                        "-Z", "root", "-w", lab.directory / "nflog.pcap")
    capture.wait_for("listening on")
    result, lacks = d.run(twins, row)
    check(not result.wrong and not lacks, f"{lacks} {result.wrong}")
    expected = sum(probe.packet.destination_port == 1001 for probe in row.probes)

    def lines():
        text = lab.masqgate.process.output()
        return re.findall(r"twin IN=\S+ OUT=\S+ (?:MAC=\S* )?(SRC=\S+ DST=\S+ LEN=\d+ .*?DPT=\d+)", text)

    def logged():
        done = lab.router.run("tcpdump", "-n", "-r", lab.directory / "nflog.pcap", check=False)
        return re.findall(r"IP6? ([\w.:]+)\.(\d+) > ([\w.:]+)\.(\d+):", done.stdout)
    l.wait_until(lambda: len(lines()) >= expected and len(logged()) >= expected, "the lines of both logs")

    def ends(line):
        return tuple(re.search(rf"{word}=(\S+)", line)[1] for word in ("SRC", "SPT", "DST", "DPT"))
    mine = {(short(source), port, short(to), to_port) for source, port, to, to_port in map(ends, lines())}
    check_equal(sorted(mine), sorted(set(logged())), "what was logged")


@story("every difference from Linux is told in docs/firewall.md", needs_masqgate=True)
def documented(_):
    text = " ".join(DOCUMENT.read_text().split())
    missing = [name for name, reason in REASONS.items() if " ".join(reason.split()) not in text]
    check(not missing, f"not in {DOCUMENT.name}: {missing}")


if __name__ == "__main__":
    main()
