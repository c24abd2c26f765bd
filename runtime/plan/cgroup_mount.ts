import type { Mount } from "../spec/config.ts";
import type { Context, Steps } from "./context.ts";
import { resolveOrCreate } from "./files.ts";
import { AT_FDCWD, PROPAGATION } from "./kernel.ts";
import { attach, cloneMount, newFileSystem, setAttributes } from "./mount_ops.ts";
import type { MountOptions } from "./mount_options.ts";
import { named, type Op, op, slot } from "./op.ts";
import { openOwn } from "./overlay.ts";

/** How the directory is made that the hierarchies of version 1 lie in. */
export const GROUPS: MountOptions["data"] = [
  { key: "mode", value: "0755" },
  { key: "size", value: "64k" },
];

/** The steps for a mount of type `cgroup`: the hierarchies of the host, each cut off at the sandbox's own group. */
export function cgroupMount(
  context: Context,
  mount: Mount,
  options: MountOptions,
  fd: string,
  target: string,
): Steps {
  const { host, arch } = context;
  const { destination } = mount;
  const does = `mount cgroup on "${destination}"`;
  const place = resolveOrCreate(`find the place of "${destination}"`, destination, target, {
    arch,
    kind: "directory",
  });
  const { set } = options;
  const [only] = host.cgroups;
  if (host.cgroups.length === 1 && only!.version === 2) {
    return {
      before: [...hierarchy(context, does, only!, fd, set)],
      inside: [...place, attach(does, fd, target)],
    };
  }
  const before: Op[] = [];
  const inside: Op[] = [...place, attach(does, fd, target)];
  const { RDONLY, ...rest } = set;
  before.push(...newFileSystem(does, { type: "tmpfs", source: "cgroup", data: GROUPS, set: rest }, fd));
  for (const each of host.cgroups) {
    const name = cgroupName(each.mountPoint);
    const one = `${does}: ${name}`;
    before.push(...hierarchy(context, one, each, `${fd}:${name}`, set));
    before.push(op(one, "mkdirat", [slot(fd), name, named("0755", 0o755)]));
    inside.push(openOwn(context, fd, name, "target"), attach(one, `${fd}:${name}`, "target"));
    if (name.includes(",")) {
      for (const alias of name.split(",")) before.push(op(one, "symlinkat", [name, slot(fd), alias]));
    }
  }
  if (RDONLY !== undefined) before.push(setAttributes(does, slot(fd), { set: { RDONLY } }));
  return { before, inside };
}

/** The name that a hierarchy has inside: the last of where the host has it. */
export function cgroupName(mountPoint: string): string {
  return mountPoint.slice(mountPoint.lastIndexOf("/") + 1);
}

function* hierarchy(
  context: Context,
  does: string,
  { version, controllers, mountPoint, own }: Context["host"]["cgroups"][number],
  into: string,
  set: MountOptions["set"],
): Iterable<Op> {
  if (context.namespace("cgroup") === "shared") {
    // Without a namespace of its own the sandbox sees its own group through a copy of the host's mount.
    const joined = context.groups?.find((group) => {
      return group.version === version && group.directory.startsWith(`${mountPoint}/`);
    });
    yield cloneMount(does, AT_FDCWD, joined?.directory ?? `${mountPoint}${own}`, false, into);
    // That may be shared: what is mounted on the copy must not lie on the host's group.
    yield setAttributes(does, slot(into), { set, propagation: named("MS_SLAVE", PROPAGATION.SLAVE) });
    return;
  }
  const data = version === 2 ? [] : controllers.split(",").map((word) => {
    const [key = "", value] = word.split("=");
    return value === undefined ? { key } : { key, value };
  });
  yield* newFileSystem(does, { type: version === 2 ? "cgroup2" : "cgroup", data, set }, into);
}
