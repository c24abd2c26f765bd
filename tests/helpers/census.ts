import { deepEqual } from "node:assert/strict";
import { libc } from "../../ffi/libc.ts";
import { reap } from "../../ffi/process.ts";
import { link, list, read } from "./gone.ts";

const PR_SET_CHILD_SUBREAPER = 36;
/** Far longer than it takes on a busy machine. */
const WAIT_MS = 30_000;
/** The directory of what the runtime keeps for later commands; what is in it is looked at by the tests of that. */
const KEPT = /\/run\/ai-sandbox$/;
const SHARED = ["/run", "/dev/shm", "/tmp", "/var/tmp", "/var/run"];

/**
 * Runs `body` and fails if it leaves anything: a process (an orphan becomes a child of this process), a descriptor of
 * this process, a namespace that one of these holds, a mount, a cgroup, or a file in `directories` that was not there.
 *
 * @param directories Nothing below them may change; mounts, cgroups and files elsewhere count if they bear the name of
 * one of them, or the project's.
 * @param waitMs How long what is on its way out may take.
 */
export async function leavesNothing<T>(
  directories: readonly string[],
  body: () => Promise<T>,
  { waitMs = WAIT_MS } = {},
): Promise<T> {
  libc.prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n);
  try {
    const before = census(directories);
    const result = await body();
    deepEqual(await lasting(before, waitMs, directories), []);
    return result;
  } finally {
    libc.prctl(PR_SET_CHILD_SUBREAPER, 0n, 0n, 0n, 0n);
  }
}

/**
 * What is different from an earlier census, and stays so.
 *
 * @param waitMs How long what is on its way out may take.
 */
export async function lasting(
  before: readonly string[],
  waitMs: number,
  directories: readonly string[] = [],
): Promise<string[]> {
  const deadline = Date.now() + waitMs;
  let found = differences(before, census(directories));
  while (found.length > 0 && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    found = differences(before, census(directories));
  }
  return found;
}

/** What has come, and what the body has taken away. */
function differences(before: readonly string[], after: readonly string[]): string[] {
  const passing = /^(process|namespace|descriptor|cgroup) /; // of tests before this one
  return [
    ...after.filter((one) => !before.includes(one)).map((one) => `left: ${one}`),
    ...before.filter((one) => !after.includes(one) && !passing.test(one)).map((one) => `gone: ${one}`),
  ];
}

/** The cgroups that tests of another run on this kernel make for themselves. */
const OTHER_RUN = new RegExp(`/(?:ai-sandbox-test|box)-(?!${Deno.pid}\\b)\\d+`);

/** Everything there is, a line each. */
export function census(directories: readonly string[]): string[] {
  const names = ["ai-sandbox", ...directories];
  const groups = [...names, `/box-${Deno.pid}`]; // tests/helpers/containers.ts
  const children = [...descendants(Deno.pid)];
  return [
    ...children.map((pid) => `process ${pid}`),
    ...new Set(children.flatMap((pid) => [...namespaces(pid)])),
    ...descriptors(),
    ...read("/proc/self/mountinfo").split("\n").filter((line) => names.some((name) => line.includes(name))),
    ...cgroups("/sys/fs/cgroup", 6).filter((path) => groups.some((name) => path.includes(base(name))))
      .filter((path) => !OTHER_RUN.test(path)),
    ...SHARED.flatMap((path) => list(path).map((entry) => `${path}/${entry.name}`)).filter((path) =>
      path.includes("ai-sandbox") && !path.includes("ai-sandbox-test-") && !KEPT.test(path)
    ),
    ...directories.flatMap(files),
  ];
}

/** Children, theirs and so on; one that has ended and belongs to nobody is taken on the way. */
function* descendants(parent: number): Iterable<number> {
  for (const { name } of list(`/proc/${parent}/task`)) {
    for (const word of read(`/proc/${parent}/task/${name}/children`).split(" ")) {
      const pid = Number(word);
      if (!pid) continue;
      const state = /^State:\s*(\w)/m.exec(read(`/proc/${pid}/status`))?.[1];
      if (parent === Deno.pid && state === "Z" && reap(pid, false)) continue;
      if (state === undefined) continue;
      yield pid;
      yield* descendants(pid);
    }
  }
}

/**
 * Takes the end of programs that were left to this process: a container waits for those who joined it from outside. All
 * commands that were started here must be over.
 */
export function reapOrphans(): void {
  for (const _ of descendants(Deno.pid));
}

function* namespaces(pid: number): Iterable<string> {
  for (const { name } of list(`/proc/${pid}/ns`)) {
    const theirs = link(`/proc/${pid}/ns/${name}`);
    if (theirs !== "" && theirs !== link(`/proc/self/ns/${name}`)) yield `namespace ${theirs}`;
  }
}

/** Open descriptors of this process and where they lead. */
export function descriptors(): string[] {
  return list("/proc/self/fd").map(({ name }) => ({ name, to: link(`/proc/self/fd/${name}`) }))
    .filter(({ to }) => to !== "" && !to.startsWith("/proc/"))
    .map(({ name, to }) => `descriptor ${name} ${to}`);
}

function cgroups(directory: string, depth: number): string[] {
  return list(directory).filter((one) => one.isDirectory).flatMap(({ name }) => {
    const path = `${directory}/${name}`;
    return [`cgroup ${path}`, ...(depth > 0 ? cgroups(path, depth - 1) : [])];
  });
}

function base(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Every file with its type, mode, owner, size, time of change and link target. */
function files(directory: string): string[] {
  const args = [directory, "-xdev", "-printf", "file %p %y %m %U %G %s %T@ %l\\n"];
  const { stdout } = new Deno.Command("find", { args, stderr: "null" }).outputSync();
  return new TextDecoder().decode(stdout).trim().split("\n");
}
