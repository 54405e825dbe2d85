#!/usr/bin/env python3
"""Delays packets and loses some of them. Usage: delay_and_loss.py MILLISECONDS PERCENT. Port 2224."""
import heapq
import random
import select
import sys
import time

import masqgate_divert as divert

delay, loss = float(sys.argv[1]) / 1000, float(sys.argv[2]) / 100
with divert.open(2224, name="delay_and_loss") as d:
    waiting, number = [], 0
    while True:
        rest = max(0, waiting[0][0] - time.monotonic()) if waiting else None
        if select.select([d], [], [], rest)[0]:
            for p in d.take():
                if random.random() < loss:
                    p.drop()
                else:
                    number += 1
                    heapq.heappush(waiting, (time.monotonic() + delay, number, p))
        while waiting and waiting[0][0] <= time.monotonic():
            heapq.heappop(waiting)[2].accept()
        d.flush()
