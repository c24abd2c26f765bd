import { UnsupportedError } from "./errors.ts";
import { assemble } from "./launch/image.ts";
import { type Op, op, type Plan, type Section } from "./plan/op.ts";
import { plan } from "./plan/plan.ts";
import type { SandboxOptions } from "./options.ts";
import { prepare } from "./prepare.ts";

/**
 * An executable that is the sandbox: it needs neither Deno nor this project, runs as root or as any other user, ends
 * with the program's exit code (128 + signal), 127 or 126 if the program is missing or may
 * not be run, and 125 when another step failed; it says which.
 *
 * The bundle's paths and the kernel's layout are as they were found here. Environment values lie in it as plain text.
 *
 * @throws {SpecError} with every problem of the bundle.
 */
export function compile(options: SandboxOptions): Uint8Array<ArrayBuffer> {
  const asked = prepare(options, { form: "standalone", caller: { uid: 0, gid: 0, privileged: true } });
  if (asked.spec.linux?.intelRdt) {
    throw new UnsupportedError(
      "/linux/intelRdt",
      "an executable has nobody to join resctrl",
      "use run instead",
    );
  }
  const root = plan(asked);
  if (asked.filter?.notify) {
    throw new UnsupportedError(
      "/linux/seccomp/listenerPath",
      "nobody is there to pass the listener on",
      "use another action than SCMP_ACT_NOTIFY",
    );
  }
  return assemble(either(root, userPlan(options, root)), { texts: true }).elf;
}

/** The plan for a user without root's rights; where there can be none, one that fails and says why. */
function userPlan(options: SandboxOptions, { arch }: Plan): Plan {
  try {
    return plan(prepare(options, { form: "standalone", caller: { uid: 1, gid: 1, privileged: false } }));
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    // Only root may: fails as it should for everybody else.
    const refuse = op(`run this without being root (${error.message})`, "chroot", ["/"]);
    return { arch, sections: [{ by: "launcher", ops: [refuse] }] };
  }
}

/** A plan that goes the way of `root` when root runs it, and of `user` otherwise; both fail alike. */
function either(root: Plan, user: Plan): Plan {
  const ask = op("ask who runs this", "geteuid", [], { zero: "root:begin", positive: "user:begin" });
  return {
    arch: root.arch,
    sections: [
      { by: "launcher", ops: [ask] },
      ...way(root, "root:"),
      ...way(user, "user:"),
      ...root.sections.filter(({ by }) => by === "end"),
    ],
  };
}

function way({ sections }: Plan, prefix: string): Section[] {
  const renamed = (label: string | undefined): string | undefined => {
    return label === undefined || label === "fail" ? label : prefix + label;
  };
  const own = sections.filter(({ by }) => by !== "end").map(({ by, ops }) => ({
    by,
    ops: ops.map((each) => relabel(each, renamed)),
  }));
  const begin = op("begin", "let", [0], { label: `${prefix}begin` });
  return [{ by: "launcher", ops: [begin] }, ...own];
}

function relabel(each: Op, renamed: (label: string | undefined) => string | undefined): Op {
  const labels: Record<string, string> = {};
  for (const key of ["label", "zero", "positive", "failed", "ignored"] as const) {
    const label = renamed(each[key]);
    if (label !== undefined) labels[key] = label;
  }
  return { ...each, ...labels };
}
