import { O } from "./abi.ts";
import type { Context } from "./context.ts";
import { writeFile } from "./files.ts";
import { AT_FDCWD } from "./kernel.ts";
import { newFileSystem } from "./mount_ops.ts";
import { flags, type Op, op, slot, text } from "./op.ts";

const WRITE = flags("O_", { WRONLY: O.WRONLY, CLOEXEC: O.CLOEXEC });

/** What AppArmor and SELinux are told by files of /proc/self/attr, the one for the execve as `slot`. */
interface Label {
  readonly does: string;
  readonly path: string;
  readonly value: string;
  readonly slot: string;
}

function labels({ spec }: Pick<Context, "spec">): Label[] {
  const { apparmorProfile: profile, selinuxLabel: label } = spec.process ?? {};
  const found: Label[] = [];
  if (profile) {
    const does = `run the program under AppArmor profile "${profile}"`;
    found.push({
      does,
      path: "/proc/self/attr/apparmor/exec",
      value: `exec ${profile}`,
      slot: "label:apparmor",
    });
  }
  if (label) {
    const does = `run the program under SELinux label "${label}"`;
    found.push({ does, path: "/proc/self/attr/exec", value: label, slot: "label:selinux" });
  }
  return found;
}

/** Labels the keyring that is made next as the program will be. */
export function* labelKeys({ spec }: Pick<Context, "spec">): Iterable<Op> {
  const label = spec.process?.selinuxLabel;
  if (!label) return;
  const value = text(label);
  const does = `give keys the SELinux label "${label}"`;
  yield* writeFile(does, AT_FDCWD, "/proc/self/attr/keycreate", value, value.bytes.length);
}

/** Opens what labels are written to, while the host's /proc is there: no file of a rootfs can stand in for it. */
export function* openLabels(context: Pick<Context, "spec">): Iterable<Op> {
  for (const { does, path, slot: into } of labels(context)) {
    yield op(does, "openat", [AT_FDCWD, path, WRITE, 0], { into });
  }
}

/** The same for whoever joins a sandbox, through a proc that is mounted nowhere. */
export function* openLabelsInside(context: Pick<Context, "spec">): Iterable<Op> {
  const all = labels(context);
  if (all.length === 0) return;
  yield* newFileSystem("open the process's labels", { type: "proc", data: [], set: {} }, "label:proc");
  for (const { does, path, slot: into } of all) {
    yield op(does, "openat", [slot("label:proc"), path.slice("/proc/".length), WRITE, 0], { into });
  }
  yield op("open the process's labels", "close", [slot("label:proc")]);
}

/** Has the next execve change to the labels of the spec. */
export function* applyLabels(context: Pick<Context, "spec">): Iterable<Op> {
  for (const { does, value, slot: fd } of labels(context)) {
    const bytes = text(value);
    yield op(does, "write", [slot(fd), bytes, bytes.bytes.length]);
    yield op(does, "close", [slot(fd)]);
  }
}
