"""Runs a program on a terminal and plays a person: argv[1] is JSON with "args" and "steps"; prints JSON."""

import fcntl, json, os, pty, select, signal, struct, sys, termios, time

job = json.loads(sys.argv[1])
pid, master = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", *job.get("size", [24, 80]), 0, 0))
    os.execvp(job["args"][0], job["args"])

seen = ""
mark = 0
modes = []
deadline = time.monotonic() + 50


def read(wait):
    global seen
    if not select.select([master], [], [], wait)[0]:
        return True
    try:
        data = os.read(master, 65536)
    except OSError:
        return False
    seen += data.decode(errors="replace")
    return bool(data)


def lflag():
    return termios.tcgetattr(master)[3]


for step in job["steps"]:
    kind, *rest = step
    if kind == "expect":
        while rest[0] not in seen[mark:] and time.monotonic() < deadline:
            if not read(0.1):
                break
        found = seen.find(rest[0], mark)
        if found < 0:
            print(json.dumps({"seen": seen, "missing": rest[0]}))
            os.kill(pid, signal.SIGKILL)
            sys.exit(1)
        mark = found + len(rest[0])
    elif kind == "send":
        os.write(master, rest[0].encode())
    elif kind == "resize":
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *rest, 0, 0))
    elif kind == "mode":
        modes.append("raw" if not lflag() & termios.ICANON else "cooked")
    elif kind == "signal":
        os.kill(pid, rest[0])

status = None
while status is None and time.monotonic() < deadline:
    done, value = os.waitpid(pid, os.WNOHANG)
    if done:
        status = value
        modes.append("raw" if not lflag() & termios.ICANON else "cooked")
    read(0.02)
if status is None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
while read(0.1):
    if not select.select([master], [], [], 0.05)[0]:
        break
code = None if status is None else os.waitstatus_to_exitcode(status)
print(json.dumps({"seen": seen, "code": code, "modes": modes}))
