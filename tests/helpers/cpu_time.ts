import process from "node:process";

/**
 * CPU time that this process has taken so far. What others take of a busy machine does not count, by which work that is
 * too much can be told from a machine that is slow.
 */
export function ownCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** CPU time of the children of this process that have ended, and of theirs (proc_pid_stat(5)). */
export function childrenCpuMs(): number {
  const stat = Deno.readTextFileSync("/proc/self/stat");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [user, system] = [fields[13], fields[14]].map(Number); // cutime and cstime, in hundredths of a second
  return (user! + system!) * 10;
}
