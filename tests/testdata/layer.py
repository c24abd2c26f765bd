"""Writes all kinds of files over its root, and says again and again what is there and where it stands in an open one."""

import hashlib
import json
import os
import socket
import stat
import sys
import time


def owned(path, uid, gid, mode):
    os.chown(path, uid, gid)
    os.chmod(path, mode)


def described(path):
    info = os.lstat(path)
    kind = stat.S_IFMT(info.st_mode)
    content = None
    if kind == stat.S_IFREG:
        with open(path, "rb") as file:
            content = hashlib.sha256(file.read()).hexdigest()
    elif kind == stat.S_IFLNK:
        content = os.readlink(path).hex()
    attributes = {}
    if kind in (stat.S_IFREG, stat.S_IFDIR):
        attributes = {name: os.getxattr(path, name).hex() for name in os.listxattr(path)}
    times = info.st_mtime_ns if path != b"/" else None
    size = None if kind == stat.S_IFDIR else info.st_size
    links = None if kind == stat.S_IFDIR else info.st_nlink
    return [oct(info.st_mode), info.st_uid, info.st_gid, size, links, times, content, attributes]


def tree():
    skipped = [b"/proc", b"/sys", b"/dev", b"/usr", b"/tmp"]
    found = {}
    for directory, names, files in os.walk(b"/"):
        if directory == b"/":
            names[:] = [name for name in names if b"/" + name not in skipped]
        for name in [b"."] + names + files:
            path = os.path.normpath(os.path.join(directory, name))
            found[path.hex()] = described(path)
    return found


os.makedirs("/work/deep/er")
for path, text in [("/work/a", "first"), ("/work/deep/er/b", "second"), (b"/work/\xff\xfe%41 name", "odd")]:
    with open(path, "w") as file:
        file.write(text)
os.link("/work/a", "/work/deep/same")
os.symlink("../nowhere\u00e4", "/work/link")
os.mkfifo("/work/fifo", 0o640)
owned("/work/a", 1, 2, 0o4751)
owned("/work/deep", 3, 4, 0o2775)
owned("/work", 0, 0, 0o1777)
os.chown("/work/link", 5, 6, follow_symlinks=False)
try:
    os.setxattr("/work/deep/er/b", "user.note", b"kept\0kept")
except OSError:
    pass  # tmpfs of older kernels has none
with open("/work/sparse", "wb") as file:
    file.seek(4 << 20)
    file.write(b"end")
    file.truncate(8 << 20)
left = socket.socket(socket.AF_UNIX)
left.bind("/work/socket")
left.close()
os.unlink("/lower/gone")
with open("/lower/changed", "a") as file:
    file.write(" and more")
os.chmod("/lower/mode", 0o600)
for name in os.listdir("/lower/replaced"):
    os.unlink("/lower/replaced/" + name)
os.rmdir("/lower/replaced")
os.mkdir("/lower/replaced")
with open("/lower/replaced/new", "w") as file:
    file.write("new")
os.rename("/lower/moved", "/work/moved")
with open("/work/read", "w") as file:
    file.write("0123456789" * 100)
reading = open("/work/read", buffering=1)
log = open("/work/log", "w+")
for number, path in enumerate(["/work/deep/er/b", "/work/deep/er", "/work/deep", "/lower/changed", "/work/log"]):
    os.utime(path, ns=(10**18 + number, 10**18 + 7 * number + 123456789))
memory = bytearray(range(256)) * 1024
before = tree()
count = 0
while True:
    count += 1
    memory[count] = 255
    log.write(f"{count}\n")
    log.flush()
    now = tree()
    same = {path: what for path, what in now.items() if path != b"/work/log".hex()}
    log.seek(0)
    print(json.dumps({
        "count": count,
        "char": os.read(reading.fileno(), 3).decode(),
        "memory": hashlib.sha256(memory).hexdigest(),
        "tree": hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest(),
        "files": len(same),
        "differs": [bytes.fromhex(path).decode("latin1") for path in now if path in same and now[path] != before.get(path)],
        "log": log.read(),
        "blocks": os.stat("/work/sparse").st_blocks,
        "lower": sorted(os.listdir("/lower")),
    }), flush=True)
    time.sleep(0.05)
