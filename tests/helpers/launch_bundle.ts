import { open } from "../../ffi/fd.ts";
import type { Ending } from "../../ffi/process.ts";
import { loadBundle, type OverlayChoice, request } from "../../runtime/bundle.ts";
import { probeHost } from "../../runtime/host/probe.ts";
import { withLandlock } from "../../runtime/landlock.ts";
import { assemble } from "../../runtime/launch/image.ts";
import type { Child } from "../../runtime/launch/child.ts";
import { launch } from "../../runtime/launch/launch.ts";
import { LaunchError } from "../../runtime/launch/launch_error.ts";
import type { Filter, Root } from "../../runtime/plan/context.ts";
import { plan } from "../../runtime/plan/plan.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";
import type { Linux, Mount, NamespaceType, Process, Spec } from "../../runtime/spec/config.ts";

const [O_RDONLY, O_RDWR, O_CREAT] = [0, 2, 0o100];
const TIMEOUT_MS = 60_000;

/** What `runc spec --rootless` mounts, without cgroup and message queues. */
export const MOUNTS: readonly Mount[] = starterSpec({ rootless: true }).mounts!
  .filter(({ destination }) => destination !== "/dev/mqueue");

/** The namespaces that a test's sandbox has unless it says otherwise. */
export const NEW: readonly NamespaceType[] = ["pid", "network", "ipc", "uts", "mount"];

/** Every capability: what a test takes away it says. */
export const ALL_CAPABILITIES = [
  ..."CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_ADMIN NET_RAW".split(
    " ",
  ),
  ..."IPC_LOCK SYS_CHROOT SYS_PTRACE SYS_ADMIN SYS_NICE MKNOD AUDIT_WRITE SETFCAP".split(" "),
].map((name) => `CAP_${name}`);

/** What a test changes of the spec that {@linkcode TestBundle} begins with. */
export interface Part {
  readonly process?: Partial<Process>;
  readonly linux?: Partial<Linux>;
  readonly mounts?: readonly Mount[];
  readonly root?: Partial<Spec["root"]>;
  readonly hostname?: string;
  readonly domainname?: string;
}

/** Options of {@linkcode TestBundle.run}. */
export interface RunOptions {
  readonly overlay?: OverlayChoice;
  readonly root?: Root;
  readonly filter?: Filter;
  readonly landlock?: boolean;
  /** As a bundle under no policy is run. */
  readonly trusted?: boolean;
  /** Runs when init waits at the start gate. */
  readonly ready?: (child: Child) => void;
  /** Runs when the program has begun. */
  readonly during?: (child: Child) => void | Promise<void>;
}

/** What a sandbox said and how it ended. */
export interface Outcome extends Ending {
  readonly stdout: string;
  readonly stderr: string;
}

/** A bundle in a temporary directory whose rootfs holds busybox, and directories for the usual mounts. */
export class TestBundle implements Disposable {
  readonly path: string;
  readonly rootfs: string;

  constructor() {
    this.path = Deno.makeTempDirSync({ prefix: "launch-" });
    this.rootfs = `${this.path}/rootfs`;
    Deno.chmodSync(this.path, 0o755);
    for (const name of ["bin", "proc", "sys", "dev", "etc", "tmp"]) this.directory(name);
    Deno.copyFileSync("/usr/bin/busybox", `${this.rootfs}/bin/busybox`);
    Deno.chmodSync(`${this.rootfs}/bin/busybox`, 0o755);
    for (const name of APPLETS) Deno.symlinkSync("busybox", `${this.rootfs}/bin/${name}`);
  }

  directory(name: string): string {
    const path = `${this.rootfs}/${name}`;
    Deno.mkdirSync(path, { recursive: true });
    return path;
  }

  /** Writes a file below the rootfs. */
  file(name: string, text: string, mode = 0o644): string {
    const path = `${this.rootfs}/${name}`;
    Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    Deno.writeTextFileSync(path, text);
    Deno.chmodSync(path, mode);
    return path;
  }

  /** Writes config.json: a sandbox that runs `command`, changed by `part`. */
  write(command: string | readonly string[], part: Part = {}): void {
    const { process, linux, mounts = MOUNTS, root, ...rest } = part;
    const args = typeof command === "string" ? ["/bin/sh", "-c", command] : command;
    const all = ALL_CAPABILITIES;
    const capabilities = { bounding: all, permitted: all, effective: all } as Process["capabilities"];
    const spec = {
      ociVersion: "1.3.0",
      root: { path: "rootfs", ...root },
      mounts,
      process: { cwd: "/", env: ["PATH=/bin"], args, capabilities, ...process },
      linux: { namespaces: NEW.map((type) => ({ type })), ...linux },
      ...rest,
    };
    Deno.writeTextFileSync(`${this.path}/config.json`, JSON.stringify(spec));
  }

  /**
   * Runs `command` (a shell script, or a program with its arguments) and waits for its end.
   *
   * @throws {LaunchError} if the sandbox cannot be built.
   */
  async run(
    command: string | readonly string[],
    part: Part = {},
    options: RunOptions = {},
  ): Promise<Outcome> {
    this.write(command, part);
    const { overlay = { kind: "none" }, root, filter, landlock = false, trusted = false, ready, during } =
      options;
    const plain = request(loadBundle(this.path), {
      host: probeHost(),
      overlay,
      root,
      filter,
      trusted,
      form: "supervised",
    });
    const image = assemble(plan(withLandlock(plain, { landlock })));
    const outputs = [`${this.path}/stdout`, `${this.path}/stderr`] as const;
    for (const output of outputs) Deno.writeTextFileSync(output, "");
    using stdin = open("/dev/null", O_RDONLY);
    using stdout = open(outputs[0], O_RDWR | O_CREAT);
    using stderr = open(outputs[1], O_RDWR | O_CREAT);
    const child = launch(image, { stdin: stdin.raw, stdout: stdout.raw, stderr: stderr.raw });
    const timer = setTimeout(() => child.signal(9), TIMEOUT_MS);
    try {
      await child.whenReady();
      ready?.(child);
      child.start();
      await child.executed;
      await during?.(child);
      const ending = await child.ended;
      return {
        ...ending,
        stdout: Deno.readTextFileSync(outputs[0]),
        stderr: Deno.readTextFileSync(outputs[1]),
      };
    } finally {
      await child[Symbol.asyncDispose]();
      clearTimeout(timer);
    }
  }

  /** The standard output of a run that must succeed, without the newline at its end. */
  async output(
    command: string | readonly string[],
    part: Part = {},
    options: RunOptions = {},
  ): Promise<string> {
    const { code, signal, stdout, stderr } = await this.run(command, part, options);
    if (code !== 0 || stderr !== "") {
      throw new Error(`The sandbox ended with ${code ?? `signal ${signal}`}:\n${stdout}\n${stderr}`);
    }
    return stdout.replace(/\n$/, "");
  }

  /** The error of a sandbox that must not come to run. */
  async failure(
    command: string | readonly string[],
    part: Part = {},
    options: RunOptions = {},
  ): Promise<LaunchError> {
    try {
      const { stdout } = await this.run(command, part, options);
      throw new Error(`The sandbox was built although it must not be; it said ${JSON.stringify(stdout)}`);
    } catch (error) {
      if (error instanceof LaunchError) return error;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** The applets that the tests use. */
const APPLETS =
  ("cat chmod chown chroot chrt cp cut dd df dmesg echo env false find getopt grep head hostname id " +
    "ifconfig ionice ip ipcs ln ls mkdir mkfifo mknod mount nice nohup nproc od printf ps pwd readlink realpath rm rmdir sed sh " +
    "sleep sort stat sync sysctl tail taskset test touch tr true tty umount uname unshare wc").split(" ");

/** The namespaces of {@linkcode NEW} with `more` beside them, without `less`. */
export function namespaces(
  more: readonly NamespaceType[] = [],
  less: readonly NamespaceType[] = [],
): { type: NamespaceType }[] {
  return [...NEW, ...more].filter((type) => !less.includes(type)).map((type) => ({ type }));
}

/** A user namespace beside the others whose ids begin at 100000 on the host. */
export const USER_NAMESPACE: Required<Pick<Linux, "namespaces" | "uidMappings" | "gidMappings">> = {
  namespaces: namespaces(["user"]),
  uidMappings: [{ containerID: 0, hostID: 100_000, size: 65_536 }],
  gidMappings: [{ containerID: 0, hostID: 100_000, size: 65_536 }],
};
