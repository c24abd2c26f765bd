import { probeHost } from "../../runtime/host/probe.ts";

/** The file `name` in the cgroup that a process is in, of the hierarchy with the controller of that file. */
export function groupFile(pid: number, name: string): string {
  const all = probeHost().cgroups;
  const [controller = ""] = name.split(".");
  const { mountPoint, controllers } = all.find(({ version, controllers }) => {
    return version === 1 && controllers.split(",").includes(controller);
  }) ?? all.find(({ version }) => version === 2)!;
  const lines = Deno.readTextFileSync(`/proc/${pid}/cgroup`).split("\n").map((line) =>
    /^\d+:([^:]*):(.*)$/.exec(line)
  );
  const path = lines.find((match) => match?.[1] === controllers)?.[2];
  return `${mountPoint}${path}/${name}`;
}

/** What a file of the cgroup of a process says; of several names that of the first that is there. */
export function groupValue(pid: number, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    try {
      return Deno.readTextFileSync(groupFile(pid, name)).trim();
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return undefined;
}
