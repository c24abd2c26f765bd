import { check, unless } from "./errno.ts";
import { Fd } from "./fd.ts";
import { libc } from "./libc.ts";

const [AF_UNIX, SOCK_STREAM, SOCK_NONBLOCK, SOCK_CLOEXEC] = [1, 1, 0o4000, 0o2000000];
const BACKLOG = 8;
const EAGAIN = 11;
const SUN_PATH_BYTES = 108;

/** Listens in a directory, by whatever path it is known, for connections that are streams. Nothing may be there yet. */
export function listenIn(directory: Fd, name: string): Fd {
  const path = new TextEncoder().encode(`/proc/self/fd/${directory.raw}/${name}`);
  const address = new Uint8Array(2 + SUN_PATH_BYTES);
  address[0] = AF_UNIX;
  address.set(path, 2);
  const made = new Fd(
    check(libc.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "make a socket"),
  );
  try {
    check(libc.bind(made.raw, address, address.length), "make a socket at", name);
    check(libc.listen(made.raw, BACKLOG), "listen at", name);
    return made;
  } catch (error) {
    made[Symbol.dispose]();
    throw error;
  }
}

/** The next connection, which never waits; `undefined` if there is none. */
export function accept(listener: Fd): Fd | undefined {
  const take = (): number => libc.accept4(listener.raw, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC);
  const raw = unless([EAGAIN], take, "accept a connection");
  return raw === undefined ? undefined : new Fd(raw);
}
