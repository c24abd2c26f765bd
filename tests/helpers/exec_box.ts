import { starterSpec } from "../../runtime/starter_spec.ts";
import type { Process, Spec } from "../../runtime/spec/config.ts";
import { BOX, Containers } from "./containers.ts";

/** A container that runs, whose config.json differs as `part` says. */
export async function running(part: Partial<Spec> = {}): Promise<Containers> {
  const containers = new Containers();
  containers.bundle.file("etc/passwd", "root:x:0:0::/root:/bin/sh\nu:x:1000:1000::/home/u:/bin/sh\n");
  containers.write(["/bin/sleep", "300"], part);
  await containers.output("run", "--detach", BOX);
  return containers;
}

/** A process for it, which differs as `part` says. */
export function processOf(part: Partial<Process>): Process {
  return { ...starterSpec().process!, terminal: false, env: ["PATH=/bin"], rlimits: [], ...part } as Process;
}
