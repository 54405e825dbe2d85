#!/usr/bin/env python3
"""Accepts every packet of a port by its id, whole frames at once. Usage: divert_loop.py PORT."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "divert/python"))
import masqgate_divert as divert

with divert.open(int(sys.argv[1]), name="divert_loop", segments=True) as d:
    print("ready", flush=True)
    for batch in d.batches():
        batch.accept()
