/** What of this machine a checkpoint depends on. */

/** The kernel's release, as uname(2) has it. */
export function kernelRelease(): string {
  return Deno.osRelease();
}

let features: string | undefined;

/** The features of the first processor, sorted; as long as this process lives they stay. */
export function cpuFeatures(): string {
  return features ??= readFeatures();
}

function readFeatures(): string {
  const text = Deno.readTextFileSync("/proc/cpuinfo");
  const [, words = ""] = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(text) ?? [];
  return words.split(" ").sort().join(" ");
}

/** Features that the processor of a checkpoint had and this one lacks. */
export function missingFeatures(then: string, now: string = cpuFeatures()): string[] {
  const has = new Set(now.split(" "));
  return then.split(" ").filter((each) => each !== "" && !has.has(each));
}
