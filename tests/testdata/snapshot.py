"""Says again and again what it has in memory, in files, in threads, pipes and timers."""

import hashlib
import json
import os
import select
import signal
import socket
import threading
import time

memory = bytearray(range(256)) * 4096
ticks = 0
turns = 0


def tick(*_):
    global ticks
    ticks += 1


def turn():
    global turns
    while True:
        turns += 1
        time.sleep(0.01)


signal.signal(signal.SIGALRM, tick)
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
threading.Thread(target=turn, daemon=True).start()
numbers = open("/tmp/numbers", "w+")
numbers.write("0123456789" * 1000)
numbers.seek(0)
removed = open("/tmp/removed", "w+")
removed.write("still here")
removed.flush()
os.unlink("/tmp/removed")
read, write = os.pipe()
os.write(write, b"in the pipe")
listener = socket.create_server(("127.0.0.1", 8080))
poll = select.epoll()
poll.register(read, select.EPOLLIN)
poll.register(listener, select.EPOLLIN)
child, parent = socket.socketpair()
count = 0
while True:
    count += 1
    numbers.read(3)
    removed.seek(0)
    memory[count % len(memory)] = 255
    with socket.create_connection(("127.0.0.1", 8080)) as caller:
        accepted, _ = listener.accept()
        accepted.close()
    print(
        json.dumps({
            "count": count,
            "offset": numbers.tell(),
            "removed": removed.read(),
            "ready": sorted(fd == read for fd, _ in poll.poll(0)),
            "hash": hashlib.sha256(memory).hexdigest(),
            "environment": os.environ["KEPT"],
            "pid": os.getpid(),
            "threads": threading.active_count(),
            "ticks": ticks,
            "turns": turns,
            "monotonic": time.monotonic(),
            "host": socket.gethostname(),
        }),
        flush=True,
    )
    time.sleep(0.05)
