import { check } from "./errno.ts";
import { Fd } from "./fd.ts";
import { libc } from "./libc.ts";

/** The connection of this process to nftables, by nfnetlink (linux/netfilter/nf_tables.h). */

const [AF_NETLINK, SOCK_RAW, SOCK_CLOEXEC, NETLINK_NETFILTER] = [16, 3, 0o2000000, 12];
const [SOL_NETLINK, NETLINK_CAP_ACK] = [270, 10];

/** Kept as long as this process is there: the kernel lets whoever closes one wait until others' rules are gone. */
let kept: Fd | undefined;
let sequence = 0;

/** A socket in the network namespace that this process was in when it first asked. */
export function nftSocket(): Fd {
  if (kept) return kept;
  const raw = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  kept = new Fd(check(raw, "make a socket for nftables"));
  // Answers do not repeat what was asked.
  libc.setsockopt(kept.raw, SOL_NETLINK, NETLINK_CAP_ACK, Int32Array.of(1), 4);
  return kept;
}

/** Numbers for messages that nobody has used: the first of so many. */
export function nftSequence(count = 1): number {
  const first = sequence + 1;
  sequence += count;
  return first;
}
