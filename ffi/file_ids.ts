import { libc } from "./libc.ts";

const SYS_setfsuid = { x86_64: 122n, aarch64: 151n };
const SYS_setfsgid = { x86_64: 123n, aarch64: 152n };

/** Whose files this thread's are while `body` runs, which must not wait for anything (setfsuid(2)). */
export function withFileIds<T>(
  { uid, gid }: { readonly uid: number; readonly gid: number },
  body: () => T,
): T {
  const set = (number: bigint, id: number): bigint => libc.syscall(number, BigInt(id), 0n, 0n, 0n);
  const gidBefore = set(SYS_setfsgid[Deno.build.arch], gid);
  const uidBefore = set(SYS_setfsuid[Deno.build.arch], uid);
  try {
    return body();
  } finally {
    set(SYS_setfsuid[Deno.build.arch], Number(uidBefore));
    set(SYS_setfsgid[Deno.build.arch], Number(gidBefore));
  }
}
