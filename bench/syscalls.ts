import { join } from "@std/path";
import { type Bundle, Sandbox, type SandboxOptions } from "../mod.ts";
import type { Arch } from "../runtime/host/facts.ts";
import type { SeccompArch } from "../runtime/spec/words.ts";
import { buildProbe } from "./probe.ts";
import type { Section } from "./report.ts";
import { profile } from "./seccomp_profile.ts";
import { median } from "./stats.ts";
import { Workspace } from "./workspace.ts";

const LIMIT_NS = 1_000;
const NATIVE: Record<Arch, SeccompArch> = { x86_64: "SCMP_ARCH_X86_64", aarch64: "SCMP_ARCH_AARCH64" };

interface Contender {
  readonly name: string;
  readonly options: SandboxOptions;
  /** Nanoseconds of a getppid and of an ioctl, whose argument policies look at. */
  readonly times: (readonly [number, number])[];
}

/** Measures what the filters of profiles and policies add to a system call that they allow. */
export async function syscalls({ runs }: { readonly runs: number }): Promise<Section> {
  await using workspace = new Workspace();
  const title = `System calls of a sandbox, ${runs} turns`;
  const missing = await buildProbe(join(workspace.rootfs, "bin/probe"));
  if (missing !== undefined) return { title, tables: [], targets: [], notes: [`Not measured: ${missing}.`] };
  const all = contenders(workspace.bundleOf(["/bin/probe"]));
  for (let run = 0; run < runs; run++) {
    for (const { options, times } of all) times.push(await probe(options));
  }
  const none = all[0]!.times;
  const added = ({ times }: Contender, call: 0 | 1): number => {
    return median(times.map((time, run) => time[call] - none[run]![call]));
  };
  const cells = (one: Contender, call: 0 | 1): string[] => {
    const own = median(one.times.map((time) => time[call])).toFixed(1);
    return [own, one === all[0] ? "" : added(one, call).toFixed(1)];
  };
  return {
    title,
    tables: [{
      head: ["ns of CPU time per call", "getppid", "added", "ioctl", "added"],
      rows: all.map((one) => [one.name, ...cells(one, 0), ...cells(one, 1)]),
    }],
    targets: all.slice(1).map((one) => ({
      what: `an allowed call: ${one.name}`,
      measured: Math.max(added(one, 0), added(one, 1)),
      limit: LIMIT_NS,
      unit: "ns",
    })),
    notes: [
      "Medians; what is added is the median of the differences within each turn.",
      "The ioctl fails with EBADF after the filter has let it pass; policies look at its argument.",
    ],
  };
}

function contenders(bundle: Bundle): Contender[] {
  const { path, spec } = bundle;
  const seccomp = profile([NATIVE[Deno.build.arch as Arch]]);
  const filtered = { path, spec: { ...spec, linux: { ...spec.linux, seccomp } } };
  const one = (name: string, options: SandboxOptions): Contender => ({ name, options, times: [] });
  return [
    one("no filter", { bundle }),
    one("a profile of runc's size", { bundle: filtered }),
    one("policy default", { bundle, policy: "default" }),
    one("policy strict", { bundle, policy: "strict" }),
  ];
}

async function probe(options: SandboxOptions): Promise<[number, number]> {
  await using sandbox = await Sandbox.run(options);
  const text = await new Response(sandbox.stdout).text();
  const { exitCode } = await sandbox.wait();
  const [getppid, ioctl] = text.split(" ").map(Number);
  if (exitCode !== 0 || !(getppid! > 0 && ioctl! > 0)) {
    throw new Error(`Cannot measure system calls: the probe ended with ${exitCode} and printed "${text}"`);
  }
  return [getppid!, ioctl!];
}
