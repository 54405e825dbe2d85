#!/usr/bin/env python3
"""Holds the texts against the code: stages, rooms, drop reasons, and every file they name.

Usage: check_docs.py SOURCE_ROOT
"""
import pathlib
import re
import sys

from check_layers import read_rooms

TEXTS = ["ARCHITECTURE.md", "HACKING.md", "docs/operating.md"]
FILE = re.compile(r"`((?:daemon|docs|helpers|masqctl|netlink|systemd|tests|web)/[\w./-]+)`")


def stage_lists(code):
    """Name of a list as doors print it -> its stages, out of path.cpp."""
    lists = {}
    for name, body in re.findall(r"constexpr Stage k(\w+)\[\] = \{(.*?)\n\};", code, re.S):
        printed = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        lists[printed] = re.findall(r'\{"(\w+)", stages::\w+\}', body)
    return lists


def stage_complaints(root):
    lists = stage_lists((root / "daemon/path/path.cpp").read_text())
    if len(lists) < 4 or not all(lists.values()):
        yield f"path.cpp: found only these lists: {lists}"
    text = " ".join((root / "ARCHITECTURE.md").read_text().split())
    for name, stages in lists.items():
        line = f" {name} {' → '.join(stages)} "
        if line not in text or line + "→" in text:
            yield f"ARCHITECTURE.md: the list should read:{line}"


def table_rows(text, heading):
    """First cell of each row of the tables in the section with this heading -> the other cells."""
    section = re.search(rf"^## [^\n]*{heading}[^\n]*\n(.*?)(?=^## |\Z)", text, re.S | re.M)
    rows = {}
    for line in section[1].splitlines() if section else []:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            rows[cells[0].strip("`")] = cells[1:]
    return rows


def differences(what, known, rows):
    yield from (f"{what}: {name} has no row" for name in known if name not in rows)
    yield from (f"{what}: there is no {name} in the code" for name in rows if name not in known)
    yield from (f"{what}: {name} has an empty cell" for name, cells in rows.items() if not all(cells[:1]))


def room_complaints(root):
    rooms = read_rooms((root / "tests/layers/rooms.txt").read_text())
    rows = table_rows((root / "ARCHITECTURE.md").read_text(), "Rooms and floors")
    return differences("ARCHITECTURE.md, rooms", rooms, rows)


def drop_complaints(root):
    code = (root / "daemon/packet/verdict.hpp").read_text()
    enum = re.search(r"enum class DropReason[^{]*\{(.*?)count_", code, re.S)[1]
    reasons = re.findall(r"^\s*(\w+),", re.sub(r"//[^\n]*", "", enum), re.M)
    if len(reasons) < 20:
        yield f"verdict.hpp: found only these reasons: {reasons}"
    rows = table_rows((root / "docs/operating.md").read_text(), "Drops")
    yield from differences("docs/operating.md, drops", reasons, rows)
    yield from (f"docs/operating.md, drops: {name} lacks meaning, cause or advice"
                for name, cells in rows.items() if len(cells) != 3 or not all(cells))


def file_complaints(root):
    for text in TEXTS:
        for name in FILE.findall((root / text).read_text()):
            if "NAME" not in name and not (root / name).exists():
                yield f"{text}: there is no {name}"


def main(root):
    found = [*stage_complaints(root), *room_complaints(root), *drop_complaints(root), *file_complaints(root)]
    print("\n".join(found) or "docs: the texts say what the code says")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
