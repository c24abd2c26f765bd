"""Says again and again what it has in memory, and what it knows of being a fork."""

import hashlib
import json
import os
import signal
import time

MARK = "/dev/ai-sandbox/fork.json"
memory = bytearray(range(256)) * 4096
signals = 0
count = 0


def hear(*_):
    global signals
    signals += 1


signal.signal(signal.SIGUSR1, hear)
while True:
    count += 1
    memory[count % len(memory)] = 255
    with open("/etc/machine-id") as file:
        machine = file.read().strip()
    mark = None
    if os.path.exists(MARK):
        with open(MARK) as file:
            mark = json.load(file)
    print(
        json.dumps({
            "count": count,
            "hash": hashlib.sha256(memory).hexdigest(),
            "host": os.uname().nodename,
            "machine": machine,
            "mark": mark,
            "signals": signals,
        }),
        flush=True,
    )
    time.sleep(0.05)
