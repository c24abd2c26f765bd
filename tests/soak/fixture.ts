import { basename, join } from "@std/path";
import { compile, loadBundle, type SandboxOptions, type Spec, starterSpec } from "../../mod.ts";

/** The kinds of sandboxes that take turns. */
export const KINDS = [
  "plain",
  "limits",
  "terminal",
  "seccomp",
  "user",
  "piped",
  "policy",
  "standalone",
] as const;
/** One of {@linkcode KINDS}. */
export type Kind = typeof KINDS[number];
/** Those that a supervisor holds: a standalone image outlives who started it. */
export const SUPERVISED = KINDS.filter((kind) => kind !== "standalone");

const WORD = "soak";
const QUIET = { stdin: "null", stdout: "null", stderr: "null" } as const;

/** The files of a soak, until it is disposed of: one rootfs and the bundles of all kinds. */
export class Fixture implements Disposable {
  readonly path: string;

  /** @param path Where another process has made one; nothing is made or removed then. */
  constructor(path?: string) {
    this.path = path ?? Deno.makeTempDirSync({ prefix: `ai-sandbox-test-${Deno.pid}-soak-` });
    if (path !== undefined) {
      this[Symbol.dispose] = () => {};
      return;
    }
    for (const name of ["bin", "dev", "etc", "proc", "sys", "tmp"]) {
      Deno.mkdirSync(join(this.path, "rootfs", name), { recursive: true });
    }
    Deno.chmodSync(this.path, 0o755); // for the ids of a user namespace
    Deno.copyFileSync("/bin/busybox", join(this.path, "rootfs/bin/busybox"));
    Deno.chmodSync(join(this.path, "rootfs/bin/busybox"), 0o755);
    for (const name of ["echo", "cat", "sleep"]) {
      Deno.symlinkSync("busybox", join(this.path, "rootfs/bin", name));
    }
    for (const kind of SUPERVISED) {
      for (const long of [false, true]) this.#write(kind, long);
    }
    for (const long of [false, true]) {
      Deno.writeFileSync(this.box(long), compile({ bundle: loadBundle(this.#bundle("plain", long)) }), {
        mode: 0o755,
      });
    }
  }

  /** A new name for a sandbox, which its cgroup bears too. */
  id(): string {
    return `${basename(this.path).replace("ai-sandbox-", "")}-${crypto.randomUUID().slice(0, 13)}`;
  }

  /** What to run: a program that prints {@linkcode Fixture.word}, or one that runs long. */
  options(kind: Kind, long: boolean): SandboxOptions {
    const bundle = this.#bundle(kind, long);
    if (kind === "terminal") return { bundle };
    if (kind === "policy") return { bundle, ...QUIET, stdout: long ? "null" : "piped", policy: "default" };
    if (kind === "piped") return { bundle, stdin: "piped", stdout: "piped", stderr: "null" };
    return { bundle, ...QUIET, stdout: long ? "null" : "piped" };
  }

  /** The path of the standalone image. */
  box(long: boolean): string {
    return join(this.path, long ? "long-box" : "box");
  }

  /** What the short program prints, or what the piped one is given. */
  get word(): string {
    return WORD;
  }

  #bundle(kind: Kind, long: boolean): string {
    return join(this.path, `${kind}${long ? "-long" : ""}`);
  }

  #write(kind: Kind, long: boolean): void {
    const path = this.#bundle(kind, long);
    const spec = starterSpec();
    const args = long ? ["/bin/sleep", "1000"] : kind === "piped" ? ["/bin/cat"] : ["/bin/echo", WORD];
    const config: Spec = {
      ...spec,
      root: { path: join(this.path, "rootfs"), readonly: true },
      // No limits: what this process may open is little in some tests.
      process: { ...spec.process!, args, terminal: kind === "terminal", rlimits: [] },
      linux: { ...spec.linux, ...EXTRAS[kind] },
    };
    if (kind === "user") {
      const namespaces = [...config.linux!.namespaces!, { type: "user" as const }];
      Object.assign(config.linux!, { namespaces });
    }
    Deno.mkdirSync(path);
    Deno.writeTextFileSync(join(path, "config.json"), JSON.stringify(config));
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

const IDS = [{ containerID: 0, hostID: 300_000, size: 65_536 }];
const EXTRAS: Partial<Record<Kind, Spec["linux"]>> = {
  limits: {
    resources: { memory: { limit: 64 << 20 }, pids: { limit: 20 }, cpu: { quota: 100_000, period: 100_000 } },
  },
  seccomp: {
    seccomp: {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["ptrace", "bpf", "mount"], action: "SCMP_ACT_ERRNO" }],
    },
  },
  user: { uidMappings: IDS, gidMappings: IDS },
};
