/** One line of /proc/<pid>/mountinfo (proc_pid_mountinfo(5)). */
export interface MountLine {
  /** The directory of the file system that is mounted. */
  readonly root: string;
  readonly path: string;
  readonly options: readonly string[];
  /** Such as `shared:1`, `master:2`. */
  readonly propagation: readonly string[];
  readonly type: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

/** The lines of a mountinfo. */
export function parseMountInfo(text: string): MountLine[] {
  return text.trim().split("\n").map((line) => {
    const words = line.split(" ");
    const dash = words.indexOf("-");
    const [, , , root = "", path = "", options = "", ...propagation] = words.slice(0, dash);
    const [type = "", source = "", superOptions = ""] = words.slice(dash + 1);
    return {
      root,
      path,
      options: options.split(","),
      propagation,
      type,
      source,
      superOptions: superOptions.split(","),
    };
  });
}

/** The last mount on `path`. */
export function mountAt(lines: readonly MountLine[], path: string): MountLine {
  const found = lines.findLast((line) => line.path === path);
  if (!found) {
    throw new Error(`Nothing is mounted on "${path}" of ${lines.map((line) => line.path).join(" ")}`);
  }
  return found;
}

/** A tmpfs on the host, until it is disposed of. */
export class HostTmpfs implements Disposable {
  constructor(readonly path: string) {
    Deno.mkdirSync(path, { recursive: true });
    run("mount", "-t", "tmpfs", "launch-test", path);
  }
  [Symbol.dispose](): void {
    run("umount", "-R", this.path);
  }
}

/** Runs a program of the host that must succeed. */
export function run(program: string, ...args: string[]): string {
  const { success, stdout, stderr } = new Deno.Command(program, { args }).outputSync();
  if (!success) throw new Error(`${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}
