import { equal } from "node:assert/strict";
import { isThere } from "../../ffi/look.ts";
import { recreateFile } from "../../runtime/lifecycle/keep_recreate.ts";
import type { Mount } from "../../runtime/spec/config.ts";
import type { Record } from "../../runtime/state/record.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { withRuntime } from "./built.ts";
import { containerTest } from "./container_test.ts";
import { BOX, Containers } from "./containers.ts";
import { SETTLED_MS } from "./reruns.ts";
import { skip } from "./skip.ts";

/** Ids of one length. */
export const [FIRST, SECOND, THIRD] = ["a", "b", "c"].map((each) => `${BOX}-${each}`) as [
  string,
  string,
  string,
];
/** How long a program may take to begin. */
const UP_MS = 30_000;
const RESOURCES = { memory: { limit: 64 << 20 }, pids: { limit: 20 }, cpu: { shares: 512 } };
const KEPT = "/run/ai-sandbox/recreates";

/** Has ld.so, which Deno begins with, complain: whoever says nothing was done without Deno. */
export function light(program: readonly string[]): readonly string[] {
  return ["/usr/bin/env", "LD_PRELOAD=/no/such/library", ...program];
}

/** The file with the steps of one more container of a bundle whose id is as long. */
export function keptFile(bundle: string, idLength: number, attached = false): string {
  return `${KEPT}/${recreateFile(BigInt(Deno.statSync(bundle).ino!), idLength, attached)}`;
}

/** Mounts beside the usual ones, by the path of the bundle. */
type MoreMounts = (bundle: string) => readonly Mount[];

/** A test of a built command with a bundle of which two containers were made. */
export function recreateTest(
  name: string,
  body: (containers: Containers, file: string) => Promise<void>,
  moreMounts: MoreMounts = () => [],
): void {
  containerTest(name, async () => {
    if (Deno.build.arch !== "x86_64") return skip("the executable of other machines leaves it to Deno");
    if (!isThere("/sys/fs/cgroup/freezer")) return skip("needs cgroup v1: others leave it to Deno");
    await withRuntime(async (program) => {
      await using containers = new Containers(program);
      const { linux, mounts = [] } = starterSpec();
      containers.write(["/bin/sh", "-c", "echo ran; exec sleep 300"], {
        mounts: [...mounts, ...moreMounts(containers.bundle.path)],
        linux: { ...linux, resources: RESOURCES },
      });
      await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
      for (const id of [FIRST, SECOND]) {
        await containers.output("create", id);
        await containers.output("delete", "--force", id);
      }
      const file = keptFile(containers.bundle.path, FIRST.length);
      try {
        await body(containers, file);
      } finally {
        Deno.removeSync(file);
      }
    });
  });
}

/** A built command with a bundle that two containers of `run --bundle` were made from: they run what {@linkcode write} says. */
export class Attached {
  constructor(readonly containers: Containers) {}

  /** What the next container runs, which the steps do not depend on. */
  write(script: string): void {
    Deno.writeTextFileSync(`${this.containers.bundle.rootfs}/script`, `${script}\n`);
  }

  /** The command line of a run. */
  line(id: string): string[] {
    return ["run", "--bundle", this.containers.bundle.path, id];
  }

  /** Begins a run that Deno has no part in, whose script says `up`. */
  async begin(id: string): Promise<ReturnType<Containers["begin"]>> {
    const { containers } = this;
    const { program, commands } = containers;
    containers.program = light(program);
    const begun = containers.begin(...this.line(id));
    containers.program = program;
    for (const end = Date.now() + UP_MS; !containers.said(commands).stdout.includes("up\n");) {
      if (Date.now() > end) {
        throw new Error(`It did not say that it is up: ${containers.said(commands).stderr}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return begun;
  }

  /** The directories of cgroups that a container of this name has. */
  groups(id: string): string[] {
    const { groups } = JSON.parse(
      Deno.readTextFileSync(`${this.containers.root}/${id}/record.json`),
    ) as Record;
    return groups.map(({ directory }) => directory);
  }
}

/** A test of `run --bundle` as a built command, of which two containers have ended. */
export function attachedTest(name: string, body: (attached: Attached) => Promise<void>): void {
  containerTest(name, async () => {
    if (Deno.build.arch !== "x86_64") return skip("the executable of other machines leaves it to Deno");
    if (!isThere("/sys/fs/cgroup/freezer")) return skip("needs cgroup v1: others leave it to Deno");
    await withRuntime(async (program) => {
      await using containers = new Containers(program);
      const attached = new Attached(containers);
      attached.write("exit 0");
      containers.write(["/bin/sh", "/script"], { linux: { ...starterSpec().linux, resources: RESOURCES } });
      await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
      for (const id of [FIRST, SECOND]) await containers.output(...attached.line(id));
      const file = keptFile(containers.bundle.path, FIRST.length, true);
      try {
        await body(attached);
        for (const id of [FIRST, SECOND, THIRD]) equal(isThere(`${containers.root}/${id}`), false);
      } finally {
        // So many others may have been kept meanwhile that this one went.
        if (isThere(file)) Deno.removeSync(file);
        for (const id of [FIRST, SECOND, THIRD]) await containers.run("delete", "--force", id);
      }
    });
  });
}
