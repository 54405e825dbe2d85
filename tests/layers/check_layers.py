#!/usr/bin/env python3
"""Checks every #include against rooms.txt. Usage: check_layers.py SOURCE_ROOT"""
import pathlib
import re
import subprocess
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|(<[^>]+>))', re.M)


def read_rooms(text):
    """Room name -> what its files may include; a room may only name rooms above its own line."""
    rooms = {}
    for line in text.splitlines():
        name, _, allowed = line.split("#")[0].strip().partition(":")
        if not name:
            continue
        for other in (a for a in allowed.split() if a[0] not in "<*"):
            if other not in rooms:
                sys.exit(f"rooms.txt: {name} names {other}, which is not on a lower floor")
        rooms[name] = allowed.split()
    return rooms


def room_of(path, rooms):
    """The longest room name that is a folder on the path."""
    return max((r for r in rooms if path.startswith(r + "/")), key=len, default=None)


def outside_is_fine(header, stem, room, allowed):
    if not set("./") & set(header):
        return True  # <vector>: the C++ library has neither dot nor slash
    if header.startswith("<nlohmann/") and room == "daemon/firewall" and not stem.endswith("_json"):
        return False  # rooms speak JSON in their *_json files only
    return any(header.startswith(prefix) for prefix in allowed)


def complaints(root):
    rooms = read_rooms((root / "tests/layers/rooms.txt").read_text())
    listed = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard", "*.hpp", "*.cpp"],
                            capture_output=True, text=True, check=False).stdout.split()
    names = listed or [p.relative_to(root).as_posix() for p in root.rglob("*.[ch]pp")]
    for name in sorted(names):
        file = root / name
        here = room_of(name, rooms)
        if not file.exists() or name == "daemon/main.cpp":
            continue
        if here is None:
            yield f"{name}: is in no room of rooms.txt"
            continue
        for ours, outside in INCLUDE.findall(file.read_text()):
            there = room_of(ours, rooms)
            if ours:
                fine = there is not None and (there == here or there in rooms[here] or "*" in rooms[here])
            else:
                fine = outside_is_fine(outside, file.stem, here, rooms[here])
            if not fine:
                yield f"{name}: {here} may not include {ours or outside}"


if __name__ == "__main__":
    found = list(complaints(pathlib.Path(sys.argv[1])))
    print("\n".join(found) or "layers: every include keeps to its floor")
    sys.exit(bool(found))
