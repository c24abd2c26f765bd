/** Rules for kernel parameters: only those that belong to a namespace of the sandbox. */

import type { Issue } from "../errors.ts";
import { pointerTo, quote } from "./problems.ts";
import { namespaceOf, type Rule } from "./_rule.ts";
import type { Spec } from "./config.ts";

export const SYSCTL_RULES: readonly Rule[] = [
  { about: "/linux/sysctl", reads: ["/linux/sysctl", "/linux/namespaces"], check: sysctlsAreNamespaced },
];

const IPC: readonly string[] = [
  "kernel.msgmax",
  "kernel.msgmnb",
  "kernel.msgmni",
  "kernel.sem",
  "kernel.shmall",
  "kernel.shmmax",
  "kernel.shmmni",
  "kernel.shm_rmid_forced",
];

function* sysctlsAreNamespaced(spec: Spec): Iterable<Issue> {
  for (const key of Object.keys(spec.linux?.sysctl ?? {})) {
    const state = flaw(dotted(key), spec);
    if (!state) continue;
    yield { pointer: pointerTo(["linux", "sysctl", key]), message: `Cannot set ${quote(key)}: ${state}` };
  }
}

/** `net/ipv4/conf/eth0.1/forwarding` is `net.ipv4.conf.eth0/1.forwarding`: the first separator decides. */
function dotted(key: string): string {
  return /[./]/.exec(key)?.[0] === "/" ? key.replace(/[./]/g, (char) => char === "/" ? "." : "/") : key;
}

function flaw(key: string, spec: Spec): string | undefined {
  // A slash is a dot within a name; names that are empty or end up as ".." would leave /proc/sys.
  if (!/^[A-Za-z0-9_-]+(?:[./][A-Za-z0-9_-]+)+$/.test(key)) return "it is no name of a kernel parameter";
  if (key === "kernel.hostname") return "that is what hostname is for";
  if (key === "kernel.domainname") {
    return namespaceOf(spec, "uts") ? undefined : "the uts namespace is shared";
  }
  if (IPC.includes(key) || key.startsWith("fs.mqueue.")) {
    return namespaceOf(spec, "ipc") ? undefined : "the ipc namespace is shared";
  }
  if (!key.startsWith("net.")) return "it belongs to the whole host";
  const network = namespaceOf(spec, "network");
  if (!network) return "the network namespace is shared";
  return isOfTheHost(network.path) ? "the network namespace is the host's" : undefined;
}

/** The spellings that can be told without looking; others are compared with the host's when it is joined. */
function isOfTheHost(path: string | undefined): boolean {
  return path !== undefined && /^\/+proc\/+(?:1|self|thread-self)\/+(?:task\/+\d+\/+)?ns\/+net$/.test(path);
}
