import { isThere } from "../../ffi/look.ts";
import { recreateFile } from "../../runtime/lifecycle/keep_recreate.ts";
import type { Mount } from "../../runtime/spec/config.ts";
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
const RESOURCES = { memory: { limit: 64 << 20 }, pids: { limit: 20 }, cpu: { shares: 512 } };
const KEPT = "/run/ai-sandbox/recreates";

/** Has ld.so, which Deno begins with, complain: whoever says nothing was done without Deno. */
export function light(program: readonly string[]): readonly string[] {
  return ["/usr/bin/env", "LD_PRELOAD=/no/such/library", ...program];
}

/** The file with the steps of one more container of a bundle whose id is as long. */
export function keptFile(bundle: string, idLength: number): string {
  return `${KEPT}/${recreateFile(BigInt(Deno.statSync(bundle).ino!), idLength)}`;
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
