#!/usr/bin/env python3
"""What the Python client itself costs: packets per second of its CPU time, accepted by frames and one by one.

A process that plays masqgate sends ready frames of 64-byte packets as fast as they are taken. CPU time, because what else
the machine does must not count.
"""
import os
import pathlib
import socket
import struct
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "divert/python"))
import masqgate_divert as divert

FRAMES, SIZE = 20000, 64


def play_masqgate(server, in_frame):
    connection, _ = server.accept()
    connection.recv(1000)
    connection.send(divert._frame(divert.CONTROL, [divert.BOUND.pack(
        64, divert.T_BOUND, 64, 1, 0, 0, 1, 4096, 0, 0, 1, 1, 2000, 2000, 0, 0, 0, 0, 73728, 4096, 1 << 23)]))
    records = [struct.pack("<IHHQ", 96 + SIZE, divert.T_PACKET, 96, i + 1) + bytes(80 + SIZE) for i in range(in_frame)]
    frame = divert._frame(divert.PACKETS, records)
    threading.Thread(target=lambda: [None for _ in iter(lambda: connection.recv(70000), b"")], daemon=True).start()
    try:
        for _ in range(FRAMES):
            connection.send(frame)
        threading.Event().wait()
    except OSError:
        os._exit(0)  # the client has seen enough


def measure(in_frame, one_by_one):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/divert.sock"
        server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        server.bind(path)
        server.listen(1)
        player = os.fork()
        if player == 0:
            play_masqgate(server, in_frame)
        listener = divert.open(1, socket=path)
        count, most, start = 0, FRAMES * in_frame // (10 if one_by_one else 1), time.process_time()
        for item in listener if one_by_one else listener.batches():
            count += 1 if one_by_one else len(item)
            item.accept()
            if count >= most:
                break
        spent = time.process_time() - start
        os.kill(player, 9)
        os.waitpid(player, 0)
        listener.close()
        return count / spent / 1e3


for number in (8, 32, 64):
    print(f"{number} packets in a frame, accepted together: {measure(number, False):.0f} kpps")
print(f"32 packets in a frame, accepted one by one: {measure(32, True):.0f} kpps")
