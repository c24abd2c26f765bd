import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { accept, listenIn } from "../../../ffi/accept.ts";
import {
  openDirectory,
  openFifoAt,
  readFifoAt,
  readFileAt,
  removeAt,
  tryLock,
} from "../../../ffi/directory.ts";
import { attempt, check, errno, SyscallError, unless } from "../../../ffi/errno.ts";
import { type Fd, open, pipe, setNonblocking, socketPair } from "../../../ffi/fd.ts";
import { libc } from "../../../ffi/libc.ts";
import { errnoMemory } from "../../../ffi/library.ts";
import { isMissing, openInside, placeAt, placeIn } from "../../../ffi/look.ts";
import { getMark } from "../../../ffi/mark.ts";
import { emptyMemoryFile, executable } from "../../../ffi/memfd.ts";
import { ownNetwork, routesOf } from "../../../ffi/netlink.ts";
import { changeElements } from "../../../ffi/nft_elements.ts";
import { isOnReadonlyMount } from "../../../ffi/peek.ts";
import { pollOne } from "../../../ffi/poll.ts";
import { openPidFd, reap, signalPidFd } from "../../../ffi/process.ts";
import { publish } from "../../../ffi/publish.ts";
import { removeIfThere } from "../../../ffi/remove.ts";
import { readSome, receive, tryConnect, writeAll, writeSome } from "../../../ffi/socket.ts";
import { stopping } from "../../../ffi/trace.ts";
import { attributesOf, copyPart, extentsOf, lookAt } from "../../../ffi/tree.ts";
import {
  extend,
  linkFileAt,
  makeDirectoryAt,
  makeFileAt,
  makeLinkAt,
  makeNodeAt,
  setAttribute,
  setOwnerAt,
  setTimesAt,
} from "../../../ffi/tree_write.ts";
import { updateGroup } from "../../../runtime/cgroup/update.ts";
import { features } from "../../../runtime/features.ts";
import { probeLandlock } from "../../../runtime/host/probe.ts";
import { takeIdRange } from "../../../runtime/id_range.ts";
import { ERRNO } from "../../../runtime/plan/abi.ts";
import { observingFilter } from "../../../runtime/policy/observing.ts";
import { hold } from "../../../runtime/state/liveness.ts";

const [ENOENT, EAGAIN, EBADF, EACCES, ECONNRESET] = [2, 11, 9, 13, 104];
const { EINTR, EINVAL, EIO, ENOSPC, ENOSYS, EPERM, EPIPE, EROFS, ESRCH } = ERRNO;
const [ENXIO, EISDIR, ENOTDIR, ENODATA, ENOTSUP] = [6, 21, 20, 61, 95];
/** No process has a number as high (PID_MAX_LIMIT in linux/threads.h). */
const NO_PID = 2 ** 22 + 1;

type Name = keyof typeof libc;
type Call = (...args: unknown[]) => unknown;

/** Has another function in place of one of the C library. */
function replaced<Result>(name: Name, by: (own: Call) => Call, body: () => Result): Result {
  const functions = libc as unknown as Record<string, Call>;
  const own = functions[name]!;
  functions[name] = by(own);
  try {
    return body();
  } finally {
    functions[name] = own;
  }
}

/**
 * Has the first call of a function of the C library be followed by one of V8's own that fails.
 *
 * @param how The errno of V8's call, and with what calls of the function fail that are not made: the first, the second, …
 */
function disturbed<Result>(
  name: Name,
  body: () => Result,
  { by = ENOENT, fails = [] }: { readonly by?: number; readonly fails?: readonly number[] } = {},
): Result {
  let calls = 0;
  return replaced(name, (own) => (...args) => {
    const why = fails[calls];
    const result = why === undefined ? own(...args) : -1;
    if (calls++ === 0) errnoMemory()[0] = by;
    else if (why !== undefined) errnoMemory()[0] = why;
    return result;
  }, body);
}

/** Does something in an empty directory. */
function inDirectory(body: (path: string, directory: Fd) => void): () => void {
  return (): void => {
    const path = Deno.makeTempDirSync();
    try {
      using directory = openDirectory(path)!;
      body(path, directory);
    } finally {
      Deno.removeSync(path, { recursive: true });
    }
  };
}

/** That a body throws an error of the kernel's with this errno. */
function refuses(number: number, body: () => unknown): void {
  throws(body, (error) => {
    ok(error instanceof SyscallError);
    equal(error.errno, number);
    return true;
  });
}

Deno.test("attempt() makes a call again, once, unless it has surely failed with what errno says", () => {
  const made: number[] = [];
  const call = (...errnos: readonly number[]) => (): number => {
    errnoMemory()[0] = errnos[made.length]!;
    return made.push(0) > 0 ? -1 : 0;
  };
  const times = (): number => made.splice(0).length;
  deepEqual([attempt(call(EAGAIN), EAGAIN), times()], [-EAGAIN, 1]);
  deepEqual([attempt(call(EBADF), EAGAIN, EBADF), times()], [-EBADF, 1]);
  deepEqual([attempt(call(ENOENT, EAGAIN), EAGAIN), times()], [-EAGAIN, 2]);
  deepEqual([attempt(call(ENOENT, EBADF, EAGAIN), EAGAIN), times()], [-EBADF, 2]);
  // What is ordinary may be the failure of the clock.
  deepEqual([attempt(call(ENOENT, EACCES), ENOENT), times()], [-EACCES, 2]);
  deepEqual([attempt(call(EAGAIN, ENOENT), ENOENT), times()], [-ENOENT, 2]);
  // A connection tells this once.
  deepEqual([attempt(call(ECONNRESET, EAGAIN), EAGAIN), times()], [-ECONNRESET, 1]);
  equal(attempt(() => 7n, EAGAIN), 7);
  equal(unless([ENOENT], () => 0n, "count"), 0);
  deepEqual([unless([EBADF, ENOENT], call(EAGAIN, ENOENT), "count"), times()], [undefined, 2]);
  refuses(EACCES, () => unless([ENOENT], call(ENOENT, EACCES), "count"));
  equal(times(), 2);
  refuses(EACCES, () => check(call(ENOENT, EACCES), "count"));
  equal(times(), 2);
  refuses(ENOENT, () => check(call(ENOENT)(), "count"));
  equal(errno(), ENOENT);
});

Deno.test("who reads without waiting takes a failure of V8's own for nothing", () => {
  const [ours, theirs] = socketPair();
  using _ours = ours;
  using _theirs = theirs;
  equal(disturbed("recvmsg", () => receive(ours, 8)), "nothing");
  const { read, write } = pipe();
  using _read = read;
  using _write = write;
  setNonblocking(read);
  setNonblocking(write);
  equal(disturbed("read", () => readSome(read)), undefined);
  while (writeSome(write, new Uint8Array(4096)) > 0);
  equal(disturbed("write", () => writeSome(write, new Uint8Array(4096))), 0);
  const path = Deno.makeTempDirSync();
  try {
    using directory = openDirectory(path)!;
    using listener = listenIn(directory, "socket");
    equal(disturbed("accept4", () => accept(listener)), undefined);
    using other = openDirectory(path)!;
    equal(tryLock(other), true);
    equal(disturbed("flock", () => tryLock(directory)), false);
  } finally {
    Deno.removeSync(path, { recursive: true });
  }
  theirs[Symbol.dispose]();
  equal(receive(ours, 8), "end");
  throws(() => receive(read, 8), SyscallError); // which is no socket
});

Deno.test("receive() does not take a connection that was cut for one that has ended", () => {
  const [ours, theirs] = socketPair();
  using _ours = ours;
  writeSome(ours, new Uint8Array(1));
  theirs[Symbol.dispose](); // with what it has not read
  refuses(ECONNRESET, () => receive(ours, 8));
});

/** What goes by an errno, with the call that decides. */
const CASES: Readonly<Record<string, () => void>> = {
  "open() of what is missing": () =>
    refuses(ENOENT, () => disturbed("open", () => open("/none", 0), { by: EIO })),
  "openDirectory() of what is missing": () =>
    equal(disturbed("open", () => openDirectory("/none"), { by: EIO }), undefined),
  "openDirectory() of what is none": () =>
    refuses(ENOTDIR, () => disturbed("open", () => openDirectory("/dev/null"))),
  "readFileAt() of what is missing": inDirectory((_, directory) =>
    equal(disturbed("openat", () => readFileAt(directory, "none", 8), { by: EIO }), undefined)
  ),
  "removeAt() of what is missing": inDirectory((_, directory) =>
    disturbed("unlinkat", () => removeAt(directory, "none"), { by: EIO })
  ),
  "removeAt() of a directory": inDirectory((path, directory) => {
    Deno.mkdirSync(`${path}/there`);
    refuses(EISDIR, () => disturbed("unlinkat", () => removeAt(directory, "there")));
  }),
  "removeIfThere() of what is missing": () =>
    equal(disturbed("unlinkat", () => removeIfThere("/none"), { by: EIO }), false),
  "removeIfThere() of a directory": () =>
    refuses(EISDIR, () => disturbed("unlinkat", () => removeIfThere("/proc"), { fails: [EISDIR, EISDIR] })),
  "openFifoAt() of what nobody reads": inDirectory((_, directory) => {
    makeNodeAt(directory, "fifo", 0o010600);
    equal(disturbed("openat", () => openFifoAt(directory, "fifo"), { by: EIO }), undefined);
  }),
  "readFifoAt() of what is missing": inDirectory((_, directory) =>
    equal(disturbed("openat", () => readFifoAt(directory, "none", 8), { by: EIO }).length, 0)
  ),
  "readFifoAt() of an empty one": inDirectory((_, directory) => {
    makeNodeAt(directory, "fifo", 0o010600);
    using _writer = open(`/proc/self/fd/${directory.raw}/fifo`, 2);
    equal(disturbed("read", () => readFifoAt(directory, "fifo", 8)).length, 0);
  }),
  "isMissing() of what is missing": () =>
    equal(disturbed("faccessat", () => isMissing("/none"), { by: EIO }), true),
  "isMissing() of what cannot be looked at": () =>
    equal(disturbed("faccessat", () => isMissing("/dev/null/none")), false),
  "openInside() of what is missing": inDirectory((_, directory) =>
    equal(disturbed("syscall", () => openInside(directory, "/none"), { by: EIO }), undefined)
  ),
  "openInside() while something is renamed": inDirectory((_, directory) =>
    disturbed("syscall", () => openInside(directory, "/"), { fails: [EAGAIN, EAGAIN] })![Symbol.dispose]()
  ),
  "placeIn() of what is missing": inDirectory((_, directory) =>
    equal(disturbed("statx", () => placeIn(directory, "none"), { by: EIO }), undefined)
  ),
  "placeAt() of what is missing": () =>
    refuses(ENOENT, () => disturbed("statx", () => placeAt("/none"), { by: EIO })),
  "lookAt() of what is missing": inDirectory((_, directory) =>
    equal(disturbed("statx", () => lookAt(directory, "none"), { by: EIO }), undefined)
  ),
  "getMark() where there is none": inDirectory((path) =>
    equal(disturbed("getxattr", () => getMark(path, "none"), { by: EIO }), undefined)
  ),
  "executable() by an old kernel": () => {
    using _file = disturbed("memfd_create", () => executable("x", new Uint8Array(1)), {
      fails: [EINVAL, EINVAL],
    });
  },
  "executable() where no memory may be executed": () => {
    using file = disturbed("memfd_create", () => executable("x", new Uint8Array(1)), {
      fails: [EACCES, EACCES],
    });
    ok(!Deno.readLinkSync(`/proc/self/fd/${file.raw}`).startsWith("/memfd:"));
  },
  "emptyMemoryFile() by an old kernel": () => {
    using _file = disturbed("memfd_create", () => emptyMemoryFile("x"), { fails: [EINVAL, EINVAL] });
  },
  "indexOf() of a device that is missing": () => {
    using network = ownNetwork();
    using routes = routesOf(network);
    equal(disturbed("ioctl", () => routes.indexOf("none0")), undefined);
  },
  "changeElements() that is refused": () => {
    const set = { family: "inet", table: "none", name: "none" } as const;
    const element = { set, key: new Uint8Array(4) };
    refuses(
      EPERM,
      () =>
        disturbed("write", () => changeElements([{ change: "delete", element }]), { fails: [EPERM, EPERM] }),
    );
  },
  "isOnReadonlyMount() of what is": () => {
    using file = open("/dev/null", 0);
    equal(disturbed("faccessat", () => isOnReadonlyMount(file), { fails: [EROFS, EROFS] }), true);
  },
  "pollOne() through a signal": () => {
    using process = openPidFd(Deno.pid);
    equal(
      disturbed("poll", () => pollOne(new Int32Array([process.raw, 1]), 0, "wait"), { fails: [EINTR] }),
      false,
    );
  },
  "openPidFd() of what has ended": () => {
    refuses(ESRCH, () => disturbed("syscall", () => openPidFd(NO_PID)));
    equal(disturbed("syscall", () => hold({ pid: NO_PID, startTicks: 0, bootId: "" })), undefined);
  },
  "signalPidFd() of what has ended": () => {
    using process = openPidFd(Deno.pid);
    equal(disturbed("syscall", () => signalPidFd(process, 0), { fails: [ESRCH, ESRCH] }), false);
  },
  "signalPidFd() of a signal that there is none of": () => {
    using process = openPidFd(Deno.pid);
    refuses(EINVAL, () => disturbed("syscall", () => signalPidFd(process, 999)));
  },
  "reap() of what is no child": () => equal(disturbed("wait4", () => reap(Deno.pid, true)), undefined),
  "publish() while somebody else does": inDirectory((path) => {
    const file = `${path}/file`;
    Deno.writeTextFileSync(file, "theirs");
    const put = (): void => disturbed("linkat", () => publish(path, file, new Uint8Array(1)));
    replaced("unlinkat", () => () => 0, put);
    equal(Deno.readTextFileSync(file), "theirs");
  }),
  "tryConnect() where nobody listens": () =>
    equal(disturbed("connect", () => tryConnect("/none"), { by: EIO }), "nobody"),
  "tryConnect() where too many wait": () =>
    equal(disturbed("connect", () => tryConnect("/none"), { fails: [EAGAIN, EAGAIN] }), "busy"),
  "writeAll() to what nobody reads": () => {
    const { read, write } = pipe();
    using _write = write;
    read[Symbol.dispose]();
    refuses(EPIPE, () => disturbed("write", () => writeAll(write, new Uint8Array(1), "x")));
  },
  "stopping() tells the last filter from a failure": () => {
    const [SECCOMP_GET_FILTER, CLD_TRAPPED] = [0x420cn, 4];
    let calls = 0;
    const ptrace = (_: bigint, request: bigint, _pid: bigint, index: bigint): bigint => {
      if (request !== SECCOMP_GET_FILTER || index === 0n) return 1n;
      errnoMemory()[0] = calls++ === 0 ? EIO : ENOENT;
      return -1n;
    };
    const waitid = (_: number, _pid: number, info: Int32Array): number => {
      info[2] = CLD_TRAPPED;
      return 0;
    };
    replaced("syscall", () => ptrace as Call, () => {
      replaced("waitid", () => waitid as Call, () => {
        using child = disturbed("waitid", () => stopping(NO_PID), { fails: [EINTR, EINTR] });
        equal(child.filters()?.length, 1);
      });
    });
  },
  "stopping() waits through a signal": () => {
    const told = (_: number, _pid: number, info: Int32Array): number => {
      info[2] = 4; // CLD_TRAPPED
      return 0;
    };
    const counts = (own: Call): Call => (...args) => (made++, own(...args));
    let made = 0;
    replaced("syscall", () => () => 1n, () => {
      replaced("waitid", () => told as Call, () => {
        replaced("waitid", counts, () => {
          disturbed("waitid", () => stopping(NO_PID)[Symbol.dispose](), { fails: [EINTR, EINTR] });
        });
      });
    });
    equal(made, 1);
  },
  "attributesOf() where there can be none": () => {
    using file = open("/dev/null", 0);
    equal(disturbed("flistxattr", () => attributesOf(file, true), { fails: [ENOTSUP, ENOTSUP] }).size, 0);
  },
  "attributesOf() where some are for others": () => {
    using file = open("/dev/null", 0);
    const list = (_: number, names: Uint8Array): bigint => {
      names.set(new TextEncoder().encode("user.x\0"));
      return 7n;
    };
    const get = (): unknown =>
      disturbed("fgetxattr", () => attributesOf(file, true), { fails: [ENODATA, ENODATA] });
    deepEqual(replaced("flistxattr", () => list as Call, get), new Map());
  },
  "extentsOf() of a hole": () => {
    using file = open("/dev/null", 0);
    deepEqual(disturbed("lseek", () => [...extentsOf(file, 1)], { fails: [ENXIO, ENXIO] }), []);
  },
  "updateGroup() whose limits have to come in another order": inDirectory((directory) => {
    Deno.writeTextFileSync(`${directory}/cgroup.controllers`, "cpu pids");
    for (const file of ["pids.max", "cpu.weight"]) Deno.writeTextFileSync(`${directory}/${file}`, "1");
    const asked = { pids: { limit: 5 }, cpu: { shares: 1024 } };
    const update = (): unknown => updateGroup([{ directory, version: 2, controllers: "" }], asked, {});
    disturbed("write", update, { fails: [EINVAL, EINVAL] });
    equal(Deno.readTextFileSync(`${directory}/pids.max`), "5");
  }),
  "features() of the kernel": () => deepEqual(disturbed("syscall", features), features()),
  "observingFilter() by the kernel": () => {
    const filter = (): number => observingFilter({ arch: Deno.build.arch as "x86_64" }).flags;
    equal(disturbed("syscall", filter), filter());
  },
  "probeLandlock() where there is none": () =>
    equal(disturbed("syscall", probeLandlock, { fails: [ENOSYS, ENOSYS] }), 0),
  "takeIdRange() of one that is taken": () => {
    const take = (): unknown => {
      using range = disturbed("fcntl", takeIdRange, { fails: [EAGAIN, EAGAIN] });
      return range.first > 0;
    };
    equal(replaced("open", () => () => emptyMemoryFile("ids").disown(), take), true);
  },
};

for (const [name, body] of Object.entries(CASES)) {
  Deno.test(`${name} goes by what the kernel says, not by what V8 was told`, body);
}

/** What says whether there was room. */
const MAKES: Readonly<Partial<Record<Name, (directory: Fd) => void>>> = {
  mkdirat: (directory) => makeDirectoryAt(directory, "x"),
  openat: (directory) => makeFileAt(directory, "x")[Symbol.dispose](),
  ftruncate: (directory) => extend(directory, 1),
  symlinkat: (directory) => makeLinkAt(directory, "x", "y"),
  mknodat: (directory) => makeNodeAt(directory, "x", 0o010600),
  linkat: (directory) => linkFileAt(directory, "x", directory, "y"),
  fchownat: (directory) => setOwnerAt(directory, "x", { uid: 0, gid: 0, mode: 0 }),
  fchmodat: (directory) => setOwnerAt(directory, ".", { uid: Deno.uid()!, gid: Deno.gid()!, mode: 0 }),
  utimensat: (directory) => setTimesAt(directory, "x", 0n, 0n),
  setxattr: (directory) => setAttribute(directory, "user.x", new Uint8Array(1)),
  write: (directory) => writeAll(directory, new Uint8Array(1), "x"),
  sendfile: (directory) => copyPart(directory, directory, 0, 1),
};

for (const [name, make] of Object.entries(MAKES)) {
  Deno.test(
    `${name}(2) says whether there was no room, not what V8 was told`,
    inDirectory((_, directory) => {
      refuses(ENOSPC, () => disturbed(name as Name, () => make(directory), { fails: [ENOSPC, ENOSPC] }));
    }),
  );
}
