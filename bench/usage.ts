/** What one process takes, in KiB. */
export interface Usage {
  /** Its pages, the ones it shares divided by those who share them (Pss of smaps_rollup). */
  readonly pss: number;
  /** The pages that nobody shares with it: what its end would set free. */
  readonly uss: number;
  readonly rss: number;
  readonly pageTables: number;
}

/** Reads what a process takes now. */
export function usage(pid: number): Usage {
  const rollup = read(`/proc/${pid}/smaps_rollup`);
  const status = read(`/proc/${pid}/status`);
  return {
    pss: kib(rollup, "Pss"),
    uss: kib(rollup, "Private_Clean") + kib(rollup, "Private_Dirty"),
    rss: kib(rollup, "Rss"),
    // Older kernels count the tables of the second level apart.
    pageTables: kib(status, "VmPTE") + kib(status, "VmPMD"),
  };
}

/** Our own children (PPid in proc_pid_status(5)): not every kernel lists them. */
export function children(): number[] {
  const pids = [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter(Number.isInteger);
  return pids.filter((pid) => kib(read(`/proc/${pid}/status`), "PPid") === Deno.pid);
}

/** What the whole machine uses now, in KiB, but for the page cache, which comes and goes with other programs. */
export interface MachineMemory {
  /** The kernel's objects: of slabs only what is in use of them. */
  readonly objects: number;
  readonly kernelStacks: number;
  readonly pageTables: number;
  /** Memory that the kernel keeps for each CPU. */
  readonly perCpu: number;
  /** Pages of programs, and files in memory. */
  readonly pages: number;
}

/** Reads proc_meminfo(5) and slabinfo(5), which only root may. */
export function machineMemory(): MachineMemory {
  const text = read("/proc/meminfo");
  const slabs = [...read("/proc/slabinfo").matchAll(/^\S+\s+(\d+)\s+\d+\s+(\d+)/gm)];
  return {
    objects: slabs.reduce((sum, [, active, size]) => sum + Number(active) * Number(size), 0) / 1024,
    kernelStacks: kib(text, "KernelStack"),
    pageTables: kib(text, "PageTables"),
    perCpu: kib(text, "Percpu"),
    pages: kib(text, "AnonPages") + kib(text, "Shmem"),
  };
}

/** What is left for programs, in bytes. */
export function availableBytes(): number {
  return kib(read("/proc/meminfo"), "MemAvailable") * 1024;
}

const SHRINK = "/sys/kernel/slab/net_namespace/shrink";

/**
 * Lets the kernel give back what it keeps in reserve of network namespaces, so that only those count that are there. Some
 * kernels (6.18 is one) free those that have ended when the next one ends: one does.
 *
 * @returns Whether it does: not every kernel can be told.
 */
export function giveNamespacesBack(): boolean {
  try {
    new Deno.Command("unshare", { args: ["--net", "true"], stdout: "null", stderr: "null" }).outputSync();
    Deno.writeTextFileSync(SHRINK, "1", { create: false });
    return true;
  } catch {
    return false;
  }
}

/** Namespaces of the network that the kernel has not taken apart yet, and those in reserve; 0 if it does not say. */
export function networkNamespaces(): number {
  return Number(/^net_namespace\s+(\d+)/m.exec(read("/proc/slabinfo"))?.[1] ?? 0);
}

/** A number of a text that has lines like `name:  12 kB`; 0 if it is not there. */
function kib(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(text)?.[1] ?? 0);
}

function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
