#!/usr/bin/env python3
"""Makes docs/conformance.md of the list of requirements and of the names of the tests that quote them.

Usage: conformance.py SOURCE_ROOT           writes the page
       conformance.py --check SOURCE_ROOT   says what is wrong: an id without test and reason, an id that
                                            nobody knows, a page that is not the one that would be written
"""
import collections
import dataclasses
import pathlib
import re
import sys

PAGE = "docs/conformance.md"
ID = r"(?:U|T|I|X|C|N|P|F|TS)-\d\d"
LINE = re.compile(rf"({ID}) ([MSO-]) (\S.*?) \| (\S.*)")
# A name of a test begins with what it proves: "U-01, T-01: one outside endpoint".
QUOTING = re.compile(rf"((?:[A-Z0-9-]+, )*{ID}(?:, [A-Z0-9-]+)*): ")
TEXT = r'"(?:[^"\\]|\\.)*"'
NAMES = {
    ".cpp": re.compile(rf"\b(?:TEST_CASE|SUBCASE)\(\s*((?:{TEXT}\s*)+)"),
    ".py": re.compile(rf"@story\(\s*((?:{TEXT}\s*)+)"),
}
WEIGHTS = {"M": "must", "S": "should", "O": "may", "-": "clarified"}

HEAD = """# Conformance

What the RFCs ask of a router that translates addresses, and the tests that show it. Made by
`tests/conformance/conformance.py` of `tests/conformance/requirements.txt` and of the tests' names: a test that quotes an
id proves it. Where no test does, the reason stands there.

"""


@dataclasses.dataclass
class Requirement:
    id: str
    weight: str
    place: str
    sentence: str
    reason: str = ""


def read_requirements(text):
    """Sections by their headings, each with its requirements; throws ValueError with the line that is wrong."""
    sections, section = {}, None
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("# "):
            continue
        if line.startswith("## "):
            section = sections.setdefault(line[3:], [])
        elif line.startswith("= "):
            section[-1].reason = f"{section[-1].reason} {line[2:]}".strip()
        elif (parts := LINE.fullmatch(line)) and section is not None:
            section.append(Requirement(*parts.groups()))
        else:
            raise ValueError(f"requirements.txt:{number}: neither heading, requirement nor reason: {line}")
    return sections


def tests_of(root):
    """Id -> (file, name of the test) of each that quotes it."""
    found = collections.defaultdict(list)
    for path in sorted((root / "tests").rglob("*")):
        pattern = NAMES.get(path.suffix)
        for name in pattern.findall(path.read_text()) if pattern else []:
            words = "".join(part[1:-1] for part in re.findall(TEXT, name))
            if quoted := QUOTING.match(words):
                for id_ in re.findall(ID, quoted[1]):
                    found[id_].append((str(path.relative_to(root)), words[quoted.end():]))
    return found


def page_of(sections, tests):
    lines = [HEAD.rstrip(), ""]
    for heading, requirements in sections.items():
        lines += [f"## {heading}", "", "| id | place | | requirement | shown by |", "|---|---|---|---|---|"]
        for r in requirements:
            shown = [f"{name} (`{file}`)" for file, name in tests.get(r.id, [])] + ([r.reason] if r.reason else [])
            lines.append(f"| {r.id} | {r.place} | {WEIGHTS[r.weight]} | {r.sentence} | {'<br>'.join(shown)} |")
        lines.append("")
    return "\n".join(lines)


def complaints(root, sections, tests):
    known = [r.id for requirements in sections.values() for r in requirements]
    yield from (f"{id_} stands twice in requirements.txt" for id_, n in collections.Counter(known).items() if n > 1)
    for requirements in sections.values():
        yield from (f"{r.id} has neither a test that quotes it nor a reason: {r.sentence}"
                    for r in requirements if r.id not in tests and not r.reason)
    yield from (f"{places[0][0]}: there is no requirement {id_}: {places[0][1]}"
                for id_, places in sorted(tests.items()) if id_ not in known)
    page = root / PAGE
    if not page.exists() or page.read_text() != page_of(sections, tests):
        yield f"{PAGE} is not up to date: run tests/conformance/conformance.py ."


def main():
    check, root = sys.argv[1] == "--check", pathlib.Path(sys.argv[-1])
    sections = read_requirements((root / "tests/conformance/requirements.txt").read_text())
    tests = tests_of(root)
    if not check:
        (root / PAGE).write_text(page_of(sections, tests))
        return 0
    found = list(complaints(root, sections, tests))
    print("\n".join(found))
    return 1 if found else 0


sys.exit(main())
