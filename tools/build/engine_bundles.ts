/** Containers as engines have them made, for the code cache. */

import { join } from "@std/path";
import type { Spec } from "../../runtime/spec/config.ts";

/** Their ids: that of the last is known by the others' (`runtime/lifecycle/template.ts`). */
export const ENGINES: readonly string[] = ["a", "b", "c", "d", "e"].map((first) => {
  return `${first}${Deno.pid.toString(16).padStart(63, "0")}`;
});

/** Writes a bundle for each, called as its container, as engines write them: what they say begins with `spec`. */
export function writeEngineBundles(directory: string, { root: _, ...spec }: Spec): void {
  for (const id of ENGINES) {
    const bundle = join(directory, id);
    for (const path of ["bin", "proc", "sys/fs/cgroup", "dev", "etc", "tmp"]) {
      Deno.mkdirSync(join(bundle, "rootfs", path), { recursive: true });
    }
    // Nobody starts them: it need not be a program.
    Deno.writeTextFileSync(join(bundle, "rootfs", spec.process!.args![0]!), "", { mode: 0o755 });
    Deno.writeTextFileSync(join(bundle, "hostname"), `${id}\n`);
    const named = join(bundle, "hostname");
    const options = ["nosuid", "noexec", "nodev", "relatime", "ro"];
    const mounts = [
      ...(spec.mounts ?? []),
      { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options },
      { destination: "/etc/hostname", type: "bind", source: named, options: ["bind", "rprivate"] },
    ];
    const linux: Spec["linux"] = {
      ...spec.linux,
      cgroupsPath: id,
      resources: { devices: [{ allow: false, access: "rwm" }], pids: { limit: 100 } },
      seccomp: {
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names: ["ptrace", "reboot"], action: "SCMP_ACT_ERRNO" }],
      },
    };
    const whole = { ...spec, root: { path: "rootfs" }, hostname: id.slice(0, 12), mounts, linux };
    Deno.writeTextFileSync(join(bundle, "config.json"), JSON.stringify(whole));
  }
}
