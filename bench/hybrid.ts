const UNIFIED = "/sys/fs/cgroup/unified";
const HIDDEN = "AI_SANDBOX_BENCH_HIDDEN";

/** Whether this program runs as {@linkcode runWithoutUnified} has started it. */
export function isUnifiedHidden(): boolean {
  return Deno.env.get(HIDDEN) !== undefined;
}

/**
 * Runs this program again in a mount namespace without the version 2 hierarchy of a hybrid cgroup layout, and returns
 * its exit code: crun refuses to run where that one has controllers, even without cgroups. All programs that are
 * compared then see the same host. Does nothing, and returns nothing, on any other layout.
 */
export async function runWithoutUnified(): Promise<number | undefined> {
  const controllers = await Deno.readTextFile(`${UNIFIED}/cgroup.controllers`).catch(() => "");
  if (controllers.trim() === "" || isUnifiedHidden()) return undefined;
  const script = `umount ${UNIFIED} && exec "$@"`;
  const self = [Deno.execPath(), "run", "-A", Deno.mainModule, ...Deno.args];
  const args = ["--mount", "--propagation", "private", "sh", "-c", script, "sh", ...self];
  const io = { stdin: "null", stdout: "inherit", stderr: "inherit" } as const;
  const command = new Deno.Command("unshare", { args, env: { [HIDDEN]: UNIFIED }, ...io });
  try {
    return (await command.spawn().status).code;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined; // then crun will say what it misses
    throw error;
  }
}
