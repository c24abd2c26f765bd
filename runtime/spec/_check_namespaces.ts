/** Rules for namespaces and what is set in them: id maps, clocks, network devices. */

import type { Issue } from "../errors.ts";
import { pointerTo, quote } from "./problems.ts";
import { isAbsolute, isInterfaceName, isNew, namespaceOf, notNew, type Rule } from "./_rule.ts";
import { CLOCKS, type IdMapping, type Spec } from "./config.ts";

/** The kernel takes this many lines in a map of ids. */
const MOST_MAPPINGS = 340;

export const NAMESPACE_RULES: readonly Rule[] = [
  { about: "/linux/namespaces", check: namespacesAreDistinct },
  { about: "/linux/namespaces", check: namespacePathsAreAbsolute },
  {
    about: "/linux",
    reads: ["/linux/namespaces", "/linux/uidMappings", "/linux/gidMappings"],
    check: mappingsNeedAUserNamespace,
  },
  {
    about: "/linux/uidMappings",
    check: (spec) => mappingsAreDisjoint(spec.linux?.uidMappings, "/linux/uidMappings"),
  },
  {
    about: "/linux/gidMappings",
    check: (spec) => mappingsAreDisjoint(spec.linux?.gidMappings, "/linux/gidMappings"),
  },
  {
    about: "/linux/timeOffsets",
    reads: ["/linux/timeOffsets", "/linux/namespaces"],
    check: offsetsNeedANewTimeNamespace,
  },
  {
    about: "/linux/netDevices",
    reads: ["/linux/netDevices", "/linux/namespaces"],
    check: netDevicesNeedANetwork,
  },
  { about: "/linux/netDevices", check: netDevicesAreNamed },
];

function* namespacesAreDistinct({ linux }: Spec): Iterable<Issue> {
  const seen = new Set<string>();
  for (const [index, { type }] of (linux?.namespaces ?? []).entries()) {
    if (seen.has(type)) {
      yield { pointer: `/linux/namespaces/${index}`, message: `Cannot have two ${type} namespaces` };
    }
    seen.add(type);
  }
}

function* namespacePathsAreAbsolute({ linux }: Spec): Iterable<Issue> {
  for (const [index, { type, path }] of (linux?.namespaces ?? []).entries()) {
    if (path === undefined || isAbsolute(path)) continue;
    const message = `Cannot join a ${type} namespace: its path is not absolute`;
    yield { pointer: `/linux/namespaces/${index}/path`, message };
  }
}

function* mappingsNeedAUserNamespace(spec: Spec): Iterable<Issue> {
  const user = namespaceOf(spec, "user");
  for (const field of ["uidMappings", "gidMappings"] as const) {
    const pointer = `/linux/${field}`;
    if (!spec.linux?.[field]?.length) {
      if (isNew(user)) yield { pointer, message: `Cannot make a user namespace: it has no ${field}` };
    } else if (!user) yield { pointer, message: `Cannot map ids: ${notNew("user", user)}` };
  }
}

/** Says what is wrong with a map of ids, be it of the sandbox or of a mount. */
export function* mappingsAreDisjoint(
  mappings: readonly IdMapping[] | undefined,
  pointer: string,
): Iterable<Issue> {
  if (!mappings) return;
  if (mappings.length > MOST_MAPPINGS) {
    yield {
      pointer,
      message: `Cannot map ids: there are ${mappings.length} ranges and the kernel takes ${MOST_MAPPINGS}`,
    };
    return;
  }
  for (const [index, { containerID, hostID, size }] of mappings.entries()) {
    if (size < 1) {
      yield { pointer: `${pointer}/${index}/size`, message: "Cannot map ids: the range is empty" };
    } else if (Math.max(containerID, hostID) + size > 0xffff_ffff) {
      // The last id of 32 bits means "no change" to the kernel and cannot be mapped.
      yield { pointer: `${pointer}/${index}`, message: "Cannot map ids: the range ends beyond 4294967294" };
    }
  }
  for (const side of ["containerID", "hostID"] as const) {
    const sorted = [...mappings.entries()].sort(([, a], [, b]) => a[side] - b[side]);
    let end = 0;
    for (const [index, mapping] of sorted) {
      if (mapping[side] < end) {
        yield {
          pointer: `${pointer}/${index}/${side}`,
          message: `Cannot map ids: the range overlaps with another`,
        };
      }
      end = Math.max(end, mapping[side] + mapping.size);
    }
  }
}

function* offsetsNeedANewTimeNamespace(spec: Spec): Iterable<Issue> {
  const offsets = spec.linux?.timeOffsets;
  const time = namespaceOf(spec, "time");
  for (const clock of CLOCKS) {
    const offset = offsets?.[clock];
    if (!offset) continue;
    const pointer = `/linux/timeOffsets/${clock}`;
    if (!isNew(time)) {
      yield { pointer, message: `Cannot shift the ${clock} clock: ${notNew("time", time)}` };
    }
    if ((offset.nanosecs ?? 0) > 999_999_999) {
      yield {
        pointer: `${pointer}/nanosecs`,
        message: `Cannot shift the ${clock} clock: a second has fewer nanoseconds`,
      };
    }
  }
}

function* netDevicesNeedANetwork(spec: Spec): Iterable<Issue> {
  const wanted = Object.keys(spec.linux?.netDevices ?? {}).length > 0;
  if (wanted && !namespaceOf(spec, "network")) {
    yield {
      pointer: "/linux/netDevices",
      message: "Cannot move a network device: the network namespace is shared",
    };
  }
}

function* netDevicesAreNamed({ linux }: Spec): Iterable<Issue> {
  const seen = new Set<string>();
  for (const [host, { name = host }] of Object.entries(linux?.netDevices ?? {})) {
    const pointer = pointerTo(["linux", "netDevices", host]);
    for (const each of new Set([host, name])) {
      if (isInterfaceName(each)) continue;
      yield { pointer, message: `Cannot move a network device: ${quote(each)} is no name of an interface` };
    }
    // The kernel numbers a template such as "eth%d".
    if (seen.has(name) && !name.includes("%d")) {
      yield { pointer, message: `Cannot move two network devices to the name ${quote(name)}` };
    }
    seen.add(name);
  }
}
