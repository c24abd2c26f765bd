/** `PF_EXITING` of the kernel's linux/sched.h: what /proc/<pid>/stat shows of it is no promise, but has not changed since 2005. */
const EXITING = 4;
const FLAGS_FIELD = 9;

/**
 * Whether a process is on its way out. The init of a pid namespace stays so until all the others in it have gone
 * (pid_namespaces(7)), and those that a freezer of cgroup v1 holds do not go.
 */
export function isExiting(pid: number): boolean {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    // The name in the second field may hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[FLAGS_FIELD - 3]) & EXITING) !== 0;
  } catch {
    return false; // gone already
  }
}

/** Whether a process is on its way out, or gone. */
export function isDying(pid: number): boolean {
  if (isExiting(pid)) return true;
  try {
    Deno.statSync(`/proc/${pid}`);
    return false;
  } catch {
    return true;
  }
}
