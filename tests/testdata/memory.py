"""Keeps all kinds of files in file systems in memory open, and says again and again what is there."""

import fcntl
import hashlib
import json
import mmap
import os
import select
import socket
import stat
import sys
import time

PLACES = ["/tmp", "/dev/shm", "/run"]


def described(path):
    info = os.lstat(path)
    content = None
    if stat.S_ISREG(info.st_mode):
        with open(path, "rb") as file:
            content = hashlib.sha256(file.read()).hexdigest()
    elif stat.S_ISLNK(info.st_mode):
        content = os.readlink(path).hex()
    elif stat.S_ISCHR(info.st_mode):
        content = str(info.st_rdev)
    attributes = {}
    if stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode):
        attributes = {name: os.getxattr(path, name).hex() for name in os.listxattr(path)}
    size = info.st_size if stat.S_ISREG(info.st_mode) else None
    links = None if stat.S_ISDIR(info.st_mode) else info.st_nlink
    return [oct(info.st_mode), info.st_uid, info.st_gid, size, links, content, attributes]


def tree():
    found = {}
    for place in PLACES:
        for directory, names, files in os.walk(place.encode()):
            for name in [b"."] + names + files:
                path = os.path.normpath(os.path.join(directory, name))
                if path not in (b"/tmp/changing", b"/run/ai-sandbox"):
                    found[path.hex()] = described(path)
    return found


for place in PLACES:
    os.makedirs(place + "/deep/er", exist_ok=True)
    with open(place + b"/\xff\xfe%41 name".decode("utf-8", "surrogateescape"), "w") as file:
        file.write("odd")
os.chmod("/tmp", 0o1777)
os.makedirs("/tmp/owned")
os.chown("/tmp/owned", 3, 4)
os.chmod("/tmp/owned", 0o2775)
with open("/tmp/one", "w") as file:
    file.write("two names")
os.link("/tmp/one", "/tmp/deep/same")
os.symlink("../nowhere\u00e4", "/tmp/link")
os.setxattr("/tmp/one", "user.note", b"kept\0kept")
with open("/dev/shm/sparse", "wb") as file:
    file.seek(4 << 20)
    file.write(b"behind a hole")
# Open, in all ways.
os.mkfifo("/tmp/fifo", 0o640)
fifo = os.open("/tmp/fifo", os.O_RDWR | os.O_NONBLOCK)
os.write(fifo, b"in the fifo")
listener = socket.socket(socket.AF_UNIX)
listener.bind("/tmp/socket")
listener.listen()
datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
datagrams.bind("/dev/shm/datagrams")
removed = open("/dev/shm/removed", "w+b")
removed.write(b"still here")
removed.flush()
os.unlink("/dev/shm/removed")
nameless = os.open("/tmp", os.O_TMPFILE | os.O_RDWR)
os.write(nameless, b"never had a name")
with open("/dev/shm/mapped", "w+b") as file:
    file.truncate(8192)
    mapped = mmap.mmap(file.fileno(), 8192)
with open("/dev/shm/gone", "w+b") as file:
    file.truncate(8192)
    gone = mmap.mmap(file.fileno(), 8192)
    gone[0:4] = b"gone"
os.unlink("/dev/shm/gone")
locked = open("/run/locked", "w")
fcntl.flock(locked, fcntl.LOCK_EX)
changing = open("/tmp/changing", "w+")
os.chdir("/tmp/deep/er")
names = os.open("/run", os.O_RDONLY | os.O_DIRECTORY)
count = 0
while True:
    count += 1
    changing.write(f"{count}\n")
    changing.flush()
    mapped[4096:4104] = count.to_bytes(8, "little")
    with open("/dev/shm/mapped", "rb") as file:
        file.seek(4096)
        seen = int.from_bytes(file.read(8), "little")
    mapped[4096:4104] = bytes(8)
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect("/tmp/socket")
        listener.accept()[0].close()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as caller:
        caller.sendto(b"%d" % count, "/dev/shm/datagrams")
    removed.seek(0)
    with open("/tmp/changing") as file:
        lines = len(file.readlines())
    print(
        json.dumps({
            "count": count,
            "lines": lines,
            "seen": seen,
            "datagram": int(datagrams.recv(100)),
            "fifo": bool(select.select([fifo], [], [], 0)[0]),
            "removed": removed.read().decode(),
            "nameless": os.pread(nameless, 100, 0).decode(),
            "gone": gone[0:4].decode(),
            "working": os.getcwd(),
            "names": sorted(os.listdir(names)),
            "sparse": os.stat("/dev/shm/sparse").st_blocks,
            "tree": tree(),
        }),
        flush=True,
    )
    time.sleep(0.05)
