import { isUnifiedHidden } from "./hybrid.ts";

/** What the figures depend on, a line each. */
export function machine(): string[] {
  const cpu = /^model name\s*: (.*)$/m.exec(read("/proc/cpuinfo"))?.[1] ?? Deno.build.arch;
  return [
    `CPU: ${cpu}, ${navigator.hardwareConcurrency} cores`,
    `memory: ${(Deno.systemMemoryInfo().total / 2 ** 30).toFixed(0)} GiB`,
    `kernel: ${read("/proc/sys/kernel/osrelease").trim()}`,
    `Deno: ${Deno.version.deno} (V8 ${Deno.version.v8})`,
    ...(isUnifiedHidden() ? ["cgroups: hybrid, the version 2 hierarchy is hidden from all, for crun"] : []),
    `load before: ${Deno.loadavg().map((one) => one.toFixed(2)).join(" ")}`,
    `date: ${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC`,
  ];
}

function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
