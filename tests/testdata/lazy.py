# Has memory of each kind, and says what has become of it when a signal tells it to use it.
import ctypes, hashlib, json, mmap, os, signal, sys, threading, time

SIZE = 4 << 20
PAGE = mmap.PAGESIZE


def fresh():
    memory = mmap.mmap(-1, SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory[:] = os.urandom(SIZE)
    return memory


def digest(memory, begin=0, end=SIZE):
    return hashlib.sha256(memoryview(memory)[begin:end]).hexdigest()


kept, moved, given, partly, gone = (fresh() for _ in range(5))
before = {name: digest(memory) for name, memory in (("kept", kept), ("moved", moved), ("partly", partly))}
second = digest(partly, SIZE // 2)
ZEROS = hashlib.sha256(bytes(SIZE)).hexdigest()
libc = ctypes.CDLL(None)
at = None


def private():
    with open("/proc/self/smaps_rollup") as rollup:
        return sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))


def say(**what):
    print(json.dumps(what), flush=True)


def change():
    """Moves, gives back and unmaps what nobody has touched yet."""
    moved.resize(2 * SIZE)
    given.madvise(mmap.MADV_DONTNEED)
    partly.madvise(mmap.MADV_DONTNEED, 0, SIZE // 2)
    gone.close()
    again = mmap.mmap(-1, SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return digest(again) == ZEROS


def check():
    return {
        "kept": digest(kept) == before["kept"],
        "moved": digest(moved) == before["moved"] and digest(moved, SIZE, 2 * SIZE) == ZEROS,
        "given": digest(given) == ZEROS,
        "partly": digest(partly, 0, SIZE // 2) == hashlib.sha256(bytes(SIZE // 2)).hexdigest()
        and digest(partly, SIZE // 2) == second,
    }


def use(*_):
    size = private()
    again = change()
    found = []
    threads = [threading.Thread(target=lambda: found.append(check())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say(size=size, again=again, all=all(all(each.values()) for each in found), found=found[0], after=private())


def beget(*_):
    """Its child uses what neither has touched, and moves it once more."""
    change()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        kept.resize(2 * SIZE)
        os.write(write, json.dumps(check()).encode())
        os._exit(0)
    os.close(write)
    said = json.loads(os.read(read, 4096))
    os.waitpid(child, 0)
    say(child=said, found=check())


def small(*_):
    say(size=private(), kept=digest(kept) == before["kept"])


def several(*_):
    """Has a second thread, and touches something then."""
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    say(first=kept[0] == kept[0])


signal.signal(signal.SIGWINCH, several)
signal.signal(signal.SIGUSR1, use)
signal.signal(signal.SIGUSR2, beget)
signal.signal(signal.SIGHUP, small)
say(ready=True)
while True:
    time.sleep(0.02)
