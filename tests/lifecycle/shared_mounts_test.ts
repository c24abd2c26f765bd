import { deepEqual, equal, match, ok } from "node:assert/strict";
import { starterSpec } from "../../runtime/starter_spec.ts";
import type { Spec } from "../../runtime/spec/config.ts";
import { containerTest } from "../helpers/container_test.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { skip } from "../helpers/skip.ts";

/** Since when detached mounts take others. */
const [MAJOR, MINOR] = [6, 15];

function isOlder(): boolean {
  const [major = 0, minor = 0] = Deno.osRelease().split(".").map(Number);
  return major < MAJOR || (major === MAJOR && minor < MINOR);
}

/** The usual container, but in the host's mount namespace. */
function shared(more: Partial<Spec["linux"]> = {}): Partial<Spec> {
  const { maskedPaths: _, readonlyPaths: __, ...linux } = starterSpec().linux!;
  const namespaces = linux.namespaces!.filter(({ type }) => type !== "mount");
  return { linux: { ...linux, namespaces, ...more } };
}

interface Held extends AsyncDisposable {
  readonly path: string;
  /** What the link at the path says. */
  readonly namespace: string;
  readonly mounts: () => string;
}

/** A process with a mount namespace, which has a file at `inside/file` that is only there. */
async function heldMounts(directory: string): Promise<Held> {
  const inside = `${directory}/inside`;
  Deno.mkdirSync(inside);
  const script = `mount -t tmpfs held ${inside} && echo only here >${inside}/file && echo; exec sleep 60`;
  const child = new Deno.Command("unshare", { args: ["--mount", "sh", "-c", script], stdout: "piped" })
    .spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  reader.releaseLock();
  const path = `/proc/${child.pid}/ns/mnt`;
  const mounts = (): string => Deno.readTextFileSync(`/proc/${child.pid}/mountinfo`);
  return {
    path,
    namespace: Deno.readLinkSync(path),
    mounts,
    [Symbol.asyncDispose]: async (): Promise<void> => {
      child.kill("SIGKILL");
      await child.status;
      await child.stdout.cancel();
    },
  };
}

const hostMounts = (): string => Deno.readTextFileSync("/proc/self/mountinfo");

containerTest(
  "a container in the host's mount namespace has mounts of its own that the host does not see",
  async () => {
    if (isOlder()) return skip("needs Linux 6.15");
    await using boxes = new Containers();
    const { bundle } = boxes;
    const hook = { path: "/bin/sh", args: ["sh", "-c", `echo ran > ${bundle.path}/hook`] };
    const root = { path: "rootfs", readonly: true };
    boxes.write(["/bin/sleep", "300"], { ...shared(), root, hooks: { createRuntime: [hook] } });
    const before = hostMounts();
    await boxes.output("run", "--detach", BOX);
    equal(Deno.readTextFileSync(`${bundle.path}/hook`), "ran\n");
    equal(hostMounts(), before);
    const script =
      "readlink /proc/self/ns/mnt; cat /proc/1/comm; ls /; echo x > /dev/null && echo x > /dev/shm/x; " +
      "touch /x 2>&1; ls /dev/pts";
    const said = await boxes.output("exec", BOX, "/bin/sh", "-c", script);
    match(said, new RegExp(`^${Deno.readLinkSync("/proc/self/ns/mnt").replace(/[[\]]/g, "\\$&")}\nsleep\n`));
    match(said, /touch: \/x: Read-only file system\n/);
    ok(said.endsWith("ptmx\n"), said);
    ok(!said.includes("\nboot\n"), said);
    await boxes.output("delete", "--force", BOX);
    equal(hostMounts(), before);
    deepEqual([...Deno.readDirSync(`${bundle.rootfs}/proc`)], []);
  },
);

containerTest(
  "a bundle under a policy gets a mount namespace of its own, and root of a user namespace none",
  async () => {
    await using boxes = new Containers();
    boxes.write(["/bin/readlink", "/proc/self/ns/mnt"], shared());
    const { code, stdout } = await boxes.run("run", "--policy", "default", boxes.bundle.path);
    equal(code, 0);
    ok(stdout !== `${Deno.readLinkSync("/proc/self/ns/mnt")}\n`, stdout);
    const maps = [{ containerID: 0, hostID: 100_000, size: 1000 }];
    const { linux } = shared({ uidMappings: maps, gidMappings: maps });
    boxes.write(["/bin/true"], {
      linux: { ...linux, namespaces: [...linux!.namespaces!, { type: "user" }] },
    });
    const refused = await boxes.run("create", BOX);
    match(
      refused.stderr,
      /\/mounts: Cannot mount anything: the mount namespace is shared, and a new one is needed/,
    );
  },
);

containerTest(
  "a container in a mount namespace that is joined has its own root, and exec comes to it",
  async () => {
    if (isOlder()) return skip("needs Linux 6.15");
    await using boxes = new Containers();
    await using holder = await heldMounts(boxes.bundle.path);
    const { linux } = starterSpec();
    const others = linux!.namespaces!.filter(({ type }) => type !== "mount");
    const namespaces = [...others, { type: "mount" as const, path: holder.path }];
    const bind = { destination: "/seen", source: `${boxes.bundle.path}/inside`, options: ["bind", "ro"] };
    const mounts = [...starterSpec().mounts!, bind];
    const root = { path: "rootfs", readonly: true };
    boxes.write(["/bin/sleep", "300"], { root, mounts, linux: { ...linux, namespaces } });
    const before = holder.mounts();
    await boxes.output("run", "--detach", BOX);
    const script =
      "readlink /proc/self/ns/mnt; cat /seen/file; cat /proc/1/comm; touch /x /seen/x 2>&1; ls /";
    for (const _ of "12") {
      const said = await boxes.output("exec", BOX, "/bin/sh", "-c", script);
      ok(said.startsWith(`${holder.namespace}\nonly here\nsleep\ntouch: /x: Read-only`), said);
      match(said, /touch: \/seen\/x: Read-only file system\n/);
      ok(!said.includes("\nboot\n"), said);
    }
    equal(await boxes.output("exec", BOX, "/bin/cat", "/proc/keys"), "");
    equal(holder.mounts(), before);
    await boxes.output("delete", "--force", BOX);
    equal(holder.mounts(), before);
  },
);
