import type { Bundle } from "../runtime/bundle.ts";
import { UnsupportedError } from "../runtime/errors.ts";
import { annotatedNetwork, type NetworkOptions, withNetworkAnnotations } from "../runtime/network.ts";
import type { Mount, Spec } from "../runtime/spec/config.ts";

/** Where a system keeps the number that no other machine has (machine-id(5)). */
export const MACHINE_ID = "/etc/machine-id";
/** The longest name that sethostname(2) takes. */
const MOST_NAME_LENGTH = 64;

/** What a fork has for itself. */
export interface ForkParts {
  readonly id: string;
  /** A file with a machine-id of its own, if the bundle has one at all. */
  readonly machineId?: string;
}

/** The config of a fork: that of its source, with a host name, a cgroup and perhaps a machine-id of its own. */
export function forkBundle({ path, spec }: Bundle, { id, machineId }: ForkParts): Bundle {
  const { linux, mounts = [] } = spec;
  const network = annotatedNetwork(spec);
  const cgroupsPath = linux?.cgroupsPath;
  return {
    path,
    spec: {
      // A port of the host leads to one container only.
      ...(network ? withNetworkAnnotations(spec, withoutPorts(network)) : spec),
      ...(hasOwnName(spec) && { hostname: nameOf(id) }),
      ...(machineId !== undefined && {
        mounts: [...mounts.filter((each) => !isMachineId(each)), machineIdMount(machineId)],
      }),
      ...(linux && {
        linux: { ...linux, ...(cgroupsPath && { cgroupsPath: beside(cgroupsPath, id) }) },
      }),
    },
  };
}

function withoutPorts({ publish: _, ...network }: NetworkOptions): NetworkOptions {
  return network;
}

/** Whether the host name is the container's own. */
export function hasOwnName({ linux }: Spec): boolean {
  return linux?.namespaces?.some(({ type, path }) => type === "uts" && path === undefined) ?? false;
}

/** The host name of a fork. */
export function nameOf(id: string): string {
  return id.slice(0, MOST_NAME_LENGTH);
}

/** Whether a file is mounted as the machine-id, as in a fork. */
export function mountsMachineId({ mounts = [] }: Spec): boolean {
  return mounts.some(isMachineId);
}

/** Whether nothing lies over the machine-id of the root file system. */
export function showsMachineId({ mounts = [] }: Spec): boolean {
  return !mounts.some(({ destination }) => destination !== "/" && covers(destination));
}

function isMachineId({ destination }: Mount): boolean {
  return plain(destination) === MACHINE_ID;
}

function covers(destination: string): boolean {
  return `${MACHINE_ID}/`.startsWith(`${plain(destination)}/`);
}

function plain(path: string): string {
  return `/${path.split("/").filter((name) => name !== "" && name !== ".").join("/")}`;
}

/** Refuses what there can be only one of. @throws {UnsupportedError} that says why. */
export function checkForkable({ linux, process }: Spec): void {
  if (process?.terminal) {
    throw new UnsupportedError("a fork", "nobody would have its terminal", "fork a program without one");
  }
  if (linux?.namespaces?.some(({ type, path }) => type === "pid" && path === undefined)) return;
  throw new UnsupportedError(
    "a fork",
    "its processes would need the numbers that those of another one have",
    "give the container a pid namespace of its own",
  );
}

function machineIdMount(source: string): Mount {
  return {
    destination: MACHINE_ID,
    type: "bind",
    source,
    options: ["bind", "ro", "nosuid", "nodev", "noexec"],
  };
}

/** `/agents/box` becomes `/agents/ID`. */
function beside(path: string, id: string): string {
  return `${path.slice(0, path.replace(/\/+$/, "").lastIndexOf("/") + 1)}${id}`;
}
