import { O } from "./abi.ts";
import type { Context } from "./context.ts";
import { type Arg, type Bytes, flags, mark, type Op, op, slot } from "./op.ts";
import { MESSAGE, MESSAGE_BYTES, STATUS_FD } from "./protocol.ts";

/** What the kernel tells nobody outside a namespace init itself asks and reports, before its start gate: for attestation. */

/** `struct utsname`: six fields, of which the second is the host's name and the sixth that of its domain (uname(2)). */
export const UTSNAME = { fieldBytes: 65, host: 1, domain: 5, bytes: 6 * 65 } as const;
/** The report of the names. */
export const NAMES = "names";
/** A parameter's value has a few numbers. */
const VALUE_BYTES = 256;

/** The report of a kernel parameter. */
export function sysctlReport(key: string): string {
  return `kernel parameter ${key}`;
}

/** The report of a limit of the sandbox's own user namespace. */
export function userLimitReport(key: string): string {
  return `user.${key}`;
}

/** Asks for the names, if the spec gives any, and reports them. */
export function* reportNames({ attest, spec }: Context): Iterable<Op> {
  if (!attest || (spec.hostname === undefined && spec.domainname === undefined)) return;
  const { message, body } = report(NAMES, UTSNAME.bytes);
  yield op("ask for the host name and the domain name", "uname", [body]);
  yield send("report the names", message);
}

/** Reads the kernel parameter at `path` below a directory, and reports it if it can be compared. */
export function* reportSysctl({ attest }: Context, key: string, value: string, path: string): Iterable<Op> {
  if (!attest || !isComparable(key, value)) return;
  yield* readAndReport(sysctlReport(key), slot("sysctl"), path);
}

/** Reads a limit of the own user namespace, and reports it: as nothing where this kernel does not have it. */
export function* reportUserLimit({ attest }: Context, key: string): Iterable<Op> {
  if (!attest) return;
  const [name, after] = [userLimitReport(key), `user.${key}:read`];
  const [open, ...rest] = [...readAndReport(name, slot("users"), key)];
  yield { ...open!, ignore: ["ENOENT"], ignored: after };
  yield* rest.slice(0, -1);
  yield mark(after);
  yield rest.at(-1)!;
}

function* readAndReport(name: string, directory: Arg, path: string): Iterable<Op> {
  const { message, body } = report(name, VALUE_BYTES);
  const does = `read ${name}`;
  yield op(does, "openat", [directory, path, flags("O_", { CLOEXEC: O.CLOEXEC }), 0], { into: "file" });
  yield op(does, "read", [slot("file"), body, VALUE_BYTES]);
  yield op(does, "close", [slot("file")]);
  yield send(`report ${name}`, message);
}

/** A message whose value is the length of its name; the name follows, and what is reported up to the next NUL. */
function report(name: string, bodyBytes: number): { readonly message: Bytes; readonly body: Arg } {
  const label = new TextEncoder().encode(name);
  const bytes = new Uint8Array(MESSAGE_BYTES + label.length + bodyBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MESSAGE.report, true);
  view.setUint32(8, label.length, true);
  bytes.set(label, MESSAGE_BYTES);
  const message = { bytes, shows: `report of ${name}` };
  return { message, body: { inside: message, offset: MESSAGE_BYTES + label.length } };
}

function send(does: string, message: Bytes): Op {
  return op(does, "write", [STATUS_FD, message, message.bytes.length]);
}

const NUMBERS = /^\s*[-+]?(0x[\da-f]+|\d+)(\s+[-+]?(0x[\da-f]+|\d+))*\s*$/i;
/** Written only; kept as sets, which the kernel writes in its own way; counted in ticks, and rounded to them. */
const ODD = /flush$|mask$|bitmap$|ports$|[./]neigh[./]|_ms$|_interval$|_ratelimit$|_timeout$|_delay$|_time$/;

/** Whether the kernel says of a parameter just what was written to it. */
export function isComparable(key: string, value: string): boolean {
  return NUMBERS.test(value) && !ODD.test(key);
}

/** Numbers as the kernel takes and gives them: decimal, one space apart. */
export function plainNumbers(value: string): string {
  return value.trim().split(/\s+/).map((word) => {
    const [, sign = "", digits = word] = /^([-+]?)(.+)$/.exec(word) ?? [];
    const octal = /^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits;
    try {
      return String(sign === "-" ? -BigInt(octal) : BigInt(octal));
    } catch {
      return word;
    }
  }).join(" ");
}
