import { basename } from "@std/path";
import { type Bundle, Sandbox, type SandboxOptions } from "../../mod.ts";
import type { Mount } from "../../runtime/spec/config.ts";
import { CAPABILITIES } from "../../runtime/spec/words.ts";
import { until } from "../helpers/cli.ts";
import { parseReport, type Verdict } from "./verdict.ts";
import type { World } from "./world.ts";

/** By the name of the probe. */
export type Verdicts = ReadonlyMap<string, Verdict>;
const TIMEOUT_MS = 60_000;
/** Beside namespaces, nothing holds the control back. lo, /proc and /dev/shm are its own. */
const CONTROL = [
  ...["unshare", "--mount", "--net", "--ipc", "--uts", "--pid", "--fork", "--mount-proc"],
  ...["--propagation", "private", "--kill-child", "sh", "-c"],
];
const SCRIPT = `set -e
ip link set lo up
mount -t tmpfs none /dev/shm
mount --bind "$WORLD" "$WORLD"
mount -o remount,bind,suid,dev "$WORLD"
mount -t debugfs none /sys/kernel/debug
mount -t securityfs none /sys/kernel/security
mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing
export CONTROL=1 HOST_SECRET=x
sleep 60 | "$OUTSIDE/victim" victim > "$WORLD/ready" &
until grep -q ready "$WORLD/ready"; do sleep 0.01; done
read -r word VICTIMS < "$WORLD/ready"
export VICTIMS
"$WORLD/probe" "$@" 7< /etc/passwd 8< /`;

/** Runs probes as root of the host, where nothing holds them back but namespaces of their own. */
export async function onControl(world: World, names: readonly string[]): Promise<Verdicts> {
  const [command, ...args] = CONTROL;
  const { stdout, stderr } = await new Deno.Command(command!, {
    args: [...args, SCRIPT, "sh", ...names],
    stdin: "null",
    cwd: world.writable,
    env: {
      ...settings(world),
      WORLD: world.path,
      SHARED: world.shared,
      WRITABLE: world.writable,
    },
  }).output();
  const text = new TextDecoder().decode(stdout);
  const { verdicts, unfinished } = parseReport(text);
  if (unfinished !== undefined || verdicts.size < names.length) {
    throw new Error(
      `The control stopped at "${unfinished}":\n${text.slice(-500)}${new TextDecoder().decode(stderr)}`,
    );
  }
  return verdicts;
}

/** Where probes run: a sandbox made for the program, or a bundle that asks for everything, trusted or not. */
export type Form = "command" | "bundle" | "untrusted bundle";
/** How probes run in a sandbox. */
export interface InSandbox {
  readonly policy: NonNullable<SandboxOptions["policy"]>;
  readonly form: Form;
  /** Pids of those who are attacked. */
  readonly victims: readonly number[];
  /** How the files are shared that are not to be written. @default {"ro"} */
  readonly sharing?: string;
}

/** Runs probes in sandboxes: where one is ended for a call, the next goes on behind it. */
export async function inSandbox(
  world: World,
  names: readonly string[],
  how: InSandbox,
): Promise<Verdicts> {
  const all = new Map<string, Verdict>();
  for (let rest = [...names]; rest.length > 0;) {
    const { verdicts, ended } = await once(world, rest, how);
    for (const [name, verdict] of [...verdicts, ...ended]) all.set(name, verdict);
    const left = rest.filter((name) => !all.has(name));
    if (left.length === rest.length) throw new Error(`Nothing came of ${rest[0]}`);
    rest = left;
  }
  return all;
}

async function once(
  world: World,
  names: readonly string[],
  { policy, form, victims, sharing = "ro" }: InSandbox,
): Promise<{ verdicts: Verdicts; ended: [string, Verdict][] }> {
  const env = { ...settings(world), SHARED: "/shared", WRITABLE: "/writable", VICTIMS: victims.join(" ") };
  const command = ["/probe", ...names];
  await using sandbox = await Sandbox.run({
    policy,
    ...(form === "command"
      ? { command }
      : { bundle: greedyBundle(world, command), untrusted: form === "untrusted bundle" }),
    mounts: mountsOf(world, sharing),
    env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
    timeoutMs: TIMEOUT_MS,
  });
  const [text, errors, result] = await Promise.all([
    new Response(sandbox.stdout).text(),
    new Response(sandbox.stderr).text(),
    sandbox.wait(),
  ]);
  const { verdicts, unfinished } = parseReport(text);
  const { forbiddenCall, exit } = result;
  if (unfinished === undefined) return { verdicts, ended: [] };
  if (!forbiddenCall) throw new Error(`${unfinished} ended with ${JSON.stringify(exit)}: ${errors}`);
  const why = `killed: ${forbiddenCall.syscall}`;
  return { verdicts, ended: [[unfinished, { state: "closed", why }]] };
}

/** A bundle that hides nothing, shares the host's namespaces, and wants every capability in every set. */
function greedyBundle({ path, rootfs }: World, args: readonly string[]): Bundle {
  const all = CAPABILITIES.filter((name) => name !== "CAP_SYS_RESOURCE");
  return {
    path,
    spec: {
      ociVersion: "1.2.0",
      root: { path: basename(rootfs) },
      process: {
        cwd: "/",
        args,
        noNewPrivileges: false,
        capabilities: { bounding: all, permitted: all, effective: all, inheritable: all, ambient: all },
      },
      mounts: [
        { destination: "/proc", type: "proc" },
        { destination: "/dev", type: "tmpfs" },
        { destination: "/dev/pts", type: "devpts", options: ["newinstance", "ptmxmode=0666"] },
        { destination: "/dev/shm", type: "tmpfs" },
        { destination: "/dev/mqueue", type: "mqueue" },
        { destination: "/sys", type: "sysfs" },
      ],
      linux: { namespaces: [{ type: "mount" }] },
    },
  };
}

function mountsOf({ probe, shared, writable }: World, sharing: string): Mount[] {
  const bind = (source: string, destination: string, ...options: string[]): Mount => {
    return { source, destination, type: "bind", options: ["rbind", ...options] };
  };
  return [
    bind(probe, "/probe", "ro"),
    bind(shared, "/shared", sharing),
    bind(writable, "/writable"),
    {
      destination: "/sys/fs/cgroup",
      type: "cgroup",
      source: "cgroup",
      options: ["nosuid", "noexec", "nodev"],
    },
  ];
}

function settings({ nonce, port, outside, path }: World): Record<string, string> {
  return {
    NONCE: nonce,
    PORT: String(port),
    OUTSIDE: outside,
    HOST_NAME: Deno.hostname(),
    HOST_PATH: path,
  };
}

/** Whom the probes attack: a process of the host, and one of another sandbox. */
export class Victims implements AsyncDisposable {
  readonly #stack: AsyncDisposableStack;
  readonly pids: readonly number[];

  private constructor(stack: AsyncDisposableStack, pids: readonly number[]) {
    this.#stack = stack;
    this.pids = pids;
  }

  static async start(world: World, policy: NonNullable<SandboxOptions["policy"]>): Promise<Victims> {
    await using stack = new AsyncDisposableStack();
    const env = settings(world);
    const onHost = new Deno.Command(`${world.outside}/victim`, {
      args: ["victim"],
      env,
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    stack.defer(async () => {
      await onHost.stdin.close();
      await onHost.stdout.cancel();
      await onHost.status;
    });
    await until(onHost.stdout, "ready");
    const inside = stack.use(
      await Sandbox.run({
        command: ["/victim", "victim"],
        stdin: "piped",
        policy,
        mounts: [{
          source: `${world.outside}/victim`,
          destination: "/victim",
          type: "bind",
          options: ["rbind", "ro"],
        }],
        env: Object.entries({ ...env, WITHOUT_KEYS: "1" }).map(([name, value]) => `${name}=${value}`),
      }),
    );
    await until(inside.stdout!, "ready");
    return new Victims(stack.move(), [onHost.pid, inside.pid]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
