import { type Kernel, modules } from "./kernel.ts";
import { cpio, type Node } from "./cpio.ts";

/** A guest, ready to be started. */
export interface Guest {
  readonly kernel: Kernel;
  /** The disk with its root file system; what is written to it is thrown away. */
  readonly root: string;
  /** Files below `payload/`, which lie at the root of the guest. */
  readonly payload: Iterable<Node>;
  /** A shell script, run as root. It leaves its report in /run/guest: `report.xml`, `skips`. */
  readonly script: string;
  readonly timeoutMs: number;
}

/** What a guest has left behind. */
export interface Said {
  /** What it could not say itself: that it hung or crashed, with the end of its console. */
  readonly problem?: string;
  /** How the script ended. */
  readonly status: number;
  readonly report: string;
  readonly skips: string;
  /** Until the script began, and until the machine was off. */
  readonly ms: number;
}

const [CPUS, MEMORY_MB] = [2, 3072];
/** The emulator. */
export const QEMU = "qemu-system-x86_64";
/** More than the report of a crash has, whose first line says what it was. */
const CONSOLE_LINES = 200;
/** The drivers of the disk and of the ports that the guest reports through. */
const DRIVERS = ["virtio_pci", "virtio_blk", "virtio_console"];
/** Slow or wrong in emulation: byte-wise string copies; keys whose every change flushes; a broken compare in QEMU 7. */
const CPU = "max,-erms,-fsrm,-pku,-cx16";
const KERNEL_OPTIONS = [
  "console=ttyS0",
  "quiet",
  "loglevel=4",
  "panic=-1",
  "oops=panic",
  // All but net_cls and net_prio, which no kernel has in version 2.
  "cgroup_no_v1=cpuset,cpu,cpuacct,io,memory,devices,freezer,perf_event,hugetlb,pids,rdma,misc",
  "mitigations=off",
  "tsc=reliable",
  "cryptomgr.notests",
  "psi=1",
];

/** Starts a machine with nothing but cgroup v2, passes on what its script prints, and waits until it is off. */
export async function boot(guest: Guest, print: (bytes: Uint8Array) => Promise<void>): Promise<Said> {
  const from = performance.now();
  const work = Deno.makeTempDirSync({ prefix: "guest-" });
  try {
    const initial = `${work}/initrd`;
    Deno.writeFileSync(initial, await initrd(guest));
    const [console_, report] = [`${work}/console`, `${work}/report`];
    const child = new Deno.Command("setpriv", {
      // No machine outlives the tests.
      args: ["--pdeathsig", "KILL", QEMU, ...machine(guest, { initial, console_, report })],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      env: { TMPDIR: work },
    }).spawn();
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, guest.timeoutMs);
    const complaints = new Response(child.stderr).text();
    for await (const chunk of child.stdout) await print(chunk);
    const { code, signal } = await child.status;
    clearTimeout(timer);
    const [status = "", xml = "", skips = ""] = readIfThere(report).split("\n").map(decoded);
    const ms = performance.now() - from;
    const said = { status: Number(status || "1"), report: xml, skips, ms };
    if (status !== "" && !late) return said;
    const tail = readIfThere(console_).trim().split("\n").slice(-CONSOLE_LINES).join("\n");
    const why = late
      ? `was not done after ${guest.timeoutMs / 1000} s`
      : `stopped before it had reported (${QEMU}: ${signal ?? `status ${code}`})`;
    return { ...said, problem: `the guest ${why}; its console ends with\n${tail}\n${await complaints}` };
  } finally {
    Deno.removeSync(work, { recursive: true });
  }
}

async function initrd({ kernel, payload, script }: Guest): Promise<Uint8Array<ArrayBuffer>> {
  const local = (name: string): Uint8Array => Deno.readFileSync(new URL(name, import.meta.url));
  const file = (path: string, mode: number, bytes: Uint8Array): Node => ({ kind: "file", path, mode, bytes });
  const drivers = await modules(kernel, DRIVERS);
  return cpio([
    ...["bin", "modules", "guest", "payload"].map((
      path,
    ) => ({ kind: "directory", path, mode: 0o755 } as const)),
    file("bin/busybox", 0o755, Deno.readFileSync("/usr/bin/busybox")),
    file("init", 0o755, local("init.sh")),
    file("guest/stage2", 0o644, local("stage2.sh")),
    file("guest/command", 0o644, new TextEncoder().encode(script)),
    ...drivers.map((bytes, index) => file(`modules/${String(index).padStart(2, "0")}.ko`, 0o644, bytes)),
    ...payload,
  ]);
}

function machine(
  { kernel, root }: Guest,
  { initial, console_, report }: Record<"initial" | "console_" | "report", string>,
): string[] {
  return [
    ...["-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-no-reboot"],
    ...["-machine", "q35,vmport=off,smm=off,hpet=off", "-accel", "tcg,thread=multi", "-cpu", CPU],
    ...["-smp", String(CPUS), "-m", String(MEMORY_MB)],
    ...["-kernel", kernel.image, "-initrd", initial, "-append", KERNEL_OPTIONS.join(" ")],
    ...[
      "-drive",
      `file=${root},format=raw,if=none,id=root,snapshot=on`,
      "-device",
      "virtio-blk-pci,drive=root",
    ],
    ...["-chardev", `file,id=console,path=${console_}`, "-serial", "chardev:console"],
    ...["-device", "virtio-serial-pci"],
    ...[
      "-chardev",
      "file,id=output,path=/dev/stdout",
      "-device",
      "virtserialport,chardev=output,name=output",
    ],
    ...["-chardev", `file,id=report,path=${report}`, "-device", "virtserialport,chardev=report,name=report"],
  ];
}

function readIfThere(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

function decoded(line: string): string {
  return new TextDecoder().decode(Uint8Array.fromBase64(line));
}
