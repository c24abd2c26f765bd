import { replaceDeviceProgram } from "../../ffi/bpf.ts";
import { SyscallError } from "../../ffi/errno.ts";
import { UnsupportedError } from "../errors.ts";
import type { DeviceRule } from "../spec/linux.ts";
import { deviceProgram } from "./device_program.ts";
import type { Hierarchy } from "./hierarchy.ts";

const BPF_REMEDY = "it takes a kernel with CONFIG_CGROUP_BPF, CAP_BPF and CAP_NET_ADMIN";

/**
 * Lets a program decide over devices where version 1 does not: it has to be there before the first process. One that
 * decided before is no longer asked.
 *
 * @param mayBeOlder Whether there may be a program already.
 * @throws {UnsupportedError} if the kernel does not take it.
 */
export function restrictDevices(
  groups: readonly (Pick<Hierarchy, "version" | "controllers"> & { readonly directory: string })[],
  rules: readonly DeviceRule[],
  mayBeOlder: boolean,
): void {
  const unified = groups.find(({ version }) => version === 2);
  const has1 = groups.some(({ controllers, version }) =>
    version === 1 && controllers.split(",").includes("devices")
  );
  if (unified === undefined || has1 || rules.length === 0) return;
  const program = deviceProgram(rules);
  if (program === undefined && !mayBeOlder) return;
  try {
    replaceDeviceProgram(unified.directory, program);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    throw Object.assign(new UnsupportedError("/linux/resources/devices", error.message, BPF_REMEDY), {
      cause: error,
    });
  }
}
