/** Prints the limits of memory, CPU time and processes of the cgroup `$1`, in a container or beside it, of either version. */
const SCRIPT = `cd /sys/fs/cgroup
if [ -e cgroup.controllers ]; then
  cd "./$1" && cat memory.max && read -r quota _ <cpu.max && echo "$quota" && cat pids.max
else
  cat "memory/$1/memory.limit_in_bytes" "cpu/$1/cpu.cfs_quota_us" "pids/$1/pids.max"
fi`;

/** The words of a program that prints the limits of a cgroup: in bytes, in microseconds, and how many. */
export function readLimits(path = "."): string[] {
  return ["sh", "-c", SCRIPT, "sh", path];
}
