/** socketcall(2) and ipc(2) of i386: calls within calls. */

import type { Comparison, Conditional } from "./conditions.ts";
import { strictness } from "./numbers.ts";
import type { Said } from "./search.ts";

/** The numbers of linux/net.h and linux/ipc.h; the kernel ignores the upper half of ipc's. */
const SOCKET_CALLS =
  "socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom shutdown " +
  "setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg";
const IPC_CALLS = {
  semop: 1,
  semget: 2,
  semctl: 3,
  semtimedop: 4,
  msgsnd: 11,
  msgrcv: 12,
  msgget: 13,
  msgctl: 14,
  shmat: 21,
  shmdt: 22,
  shmget: 23,
  shmctl: 24,
};

/** Those that have a number of their own as well, which libseccomp does not tell (syscall_32.tbl). */
export const I386_NUMBERS: ReadonlyMap<string, number> = new Map([
  ["recvmmsg", 337],
  ["sendmmsg", 345],
  ...("socket socketpair bind connect listen accept4 getsockopt setsockopt getsockname getpeername sendto sendmsg " +
    "recvfrom recvmsg shutdown").split(" ").map((name, index): [string, number] => [name, 359 + index]),
  ...("semget semctl shmget shmctl shmat shmdt msgget msgsnd msgrcv msgctl").split(" ")
    .map((name, index): [string, number] => [name, 393 + index]),
]);

interface Inner {
  /** The number of the call it is within. */
  readonly outer: number;
  /** What tells it from the others in there. */
  readonly is: Comparison;
}

const INNER: ReadonlyMap<string, Inner> = new Map([
  ...SOCKET_CALLS.split(" ").map((name, index): [string, Inner] => {
    return [name, { outer: 102, is: { arg: 0, op: "SCMP_CMP_EQ", a: BigInt(index + 1), b: 0n } }];
  }),
  ...Object.entries(IPC_CALLS).map(([name, number]): [string, Inner] => {
    return [name, { outer: 117, is: { arg: 0, op: "SCMP_CMP_MASKED_EQ", a: 0xffffn, b: BigInt(number) } }];
  }),
]);

/** Whether a call is, has or is within a call of calls. */
export function isMultiplexed(name: string): boolean {
  return name === "socketcall" || name === "ipc" || INNER.has(name);
}

/**
 * Adds what the verdicts on calls by name mean for socketcall and ipc. The arguments of the inner call are in memory,
 * out of a filter's sight: where they matter, the strictest of what could come out is taken.
 */
export function addMultiplexed(
  verdicts: Map<number, Said>,
  decided: Iterable<readonly [name: string, verdict: Said]>,
  fallback: number,
): void {
  const added = new Map<number, Conditional[]>();
  for (const [name, verdict] of decided) {
    const inner = INNER.get(name);
    if (inner === undefined) continue;
    const values = typeof verdict === "number" ? [verdict] : [...verdict.map(({ value }) => value), fallback];
    const value = values.reduce((one, other) => strictness(other) > strictness(one) ? other : one);
    const conditionals = added.get(inner.outer) ?? [];
    if (value !== fallback) conditionals.push({ value, comparisons: [inner.is] });
    added.set(inner.outer, conditionals);
  }
  for (const [outer, conditionals] of added) {
    const own = verdicts.get(outer);
    if (typeof own === "number") continue; // a rule about all of it
    const all = [...own ?? [], ...conditionals];
    verdicts.set(outer, all.sort((one, other) => strictness(other.value) - strictness(one.value)));
  }
}
