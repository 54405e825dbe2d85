#!/usr/bin/env python3
"""Looks for words that the packet path must not use. Usage: check_words.py SOURCE_ROOT"""
import pathlib
import re
import sys

ROOMS = ["wire", "packet", "port", "fragment", "conntrack", "nat", "firewall", "route", "neighbour",
         "icmp", "helper", "divert", "path"]


def rules(text):
    for line in text.splitlines():
        if line and not (line.startswith("# ") or line == "#"):
            rest, _, files = line.partition("except:")
            word, why = rest.split(None, 1)
            yield word, why.strip(), files.split()


def without_comments(text):
    return re.sub(r"//[^\n]*", "", text)


def main(root):
    words = list(rules((root / "tests/layers/words.txt").read_text()))
    found = []
    for room in ROOMS:
        for file in sorted((root / "daemon" / room).glob("*.?pp")):
            name = file.relative_to(root).as_posix()
            if file.stem.endswith("_json"):
                continue  # runs on the control thread
            text = without_comments(file.read_text())
            found += [f"{name}: '{word}': {why}" for word, why, files in words
                      if name not in files and re.search(rf"(?<!\w){re.escape(word)}(?!\w)" if word[-1].isalnum()
                                                         else re.escape(word), text)]
    print("\n".join(found) or "words: the packet path keeps to its language")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
