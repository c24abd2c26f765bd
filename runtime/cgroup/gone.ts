/** What a file of a group says that has gone since, or `cgroup.procs` where only `cgroup.threads` exists. */
const GONE: readonly (readonly [name: string, errno: number])[] = [
  ["ENOENT", 2],
  ["ENODEV", 19],
  ["EOPNOTSUPP", 95],
];

/** Whether an error of Deno's says so; where it has no name for an errno it only says its number. */
export function isGone(error: unknown): boolean {
  const number = Number(/\(os error (\d+)\)/.exec(error instanceof Error ? error.message : "")?.[1]);
  return GONE.some(([name, errno]) => name === codeOf(error) || errno === number);
}

/** The name of the errno of an error of Deno's; empty if it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
