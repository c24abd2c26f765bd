# Moves and unmaps memory that it has not touched since it was restored, by one thread (USR1) or several (USR2).
import ctypes, json, signal, threading, time

PAGE, PAGES, BLOCKS, THREADS = 4096, 32, 64, 4
SIZE = PAGE * PAGES
BALLAST = 24 << 20  # what keeps the pager busy when it brings everything in
MAYMOVE = 1
libc = ctypes.CDLL(None)
libc.mmap.restype = libc.mremap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def fresh(size):
    return libc.mmap(None, size, 3, 0x22, -1, 0)


def pattern(number):
    return b"".join((number * PAGES + page + 1).to_bytes(4, "little") * (PAGE // 4) for page in range(PAGES))


def begin(number):
    address = fresh(SIZE)
    ctypes.memmove(address, pattern(number), SIZE)
    return address


def moved(address, old, new):
    address = libc.mremap(address, old, new, MAYMOVE)
    assert address not in (None, 2**64 - 1)
    return address


blocks = [begin(number) for number in range(BLOCKS)]
patterns = [pattern(number) for number in range(BLOCKS)]
ballast = fresh(BALLAST)
ctypes.memset(ballast, 7, BALLAST)
wrong = []


def holds(number, address, size):
    """Whether it is all there, and zeros behind it."""
    found = ctypes.string_at(address, size)
    return found == (patterns[number] + bytes(size))[:size]


def use(numbers):
    for number in numbers:
        address = moved(blocks[number], SIZE, 2 * SIZE)
        if number % 4 == 0:
            libc.munmap(address, 2 * SIZE)
            continue
        if number % 4 == 1:
            libc.munmap(address + SIZE // 2, SIZE + SIZE // 2)
            if not holds(number, address, SIZE // 2):
                wrong.append(number)
            continue
        if number % 4 == 2:
            address = moved(address, 2 * SIZE, 4 * SIZE)
        if not holds(number, address, 2 * SIZE):
            wrong.append(number)
        libc.munmap(address, (4 if number % 4 == 2 else 2) * SIZE)


def one(*_):
    use(range(BLOCKS))
    print(json.dumps({"wrong": wrong}), flush=True)


def several(*_):
    share = BLOCKS // THREADS
    shares = [range(each * share, (each + 1) * share) for each in range(THREADS)]
    threads = [threading.Thread(target=use, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"wrong": wrong}), flush=True)


signal.signal(signal.SIGUSR1, one)
signal.signal(signal.SIGUSR2, several)
print(json.dumps({"ready": True}), flush=True)
while True:
    time.sleep(0.02)
