/** The table of config.json: one row a property, one object a block. Linux's part is in _linux.ts. */

import { idMappings, linux } from "./_linux.ts";
import {
  flag,
  int32,
  integer,
  list,
  map,
  need,
  object,
  oneOf,
  text,
  textLike,
  uint32,
  uint64,
} from "./shape.ts";
import type { Fields, Shape } from "./shape.ts";
import * as is from "./config.ts";

// PATH_MAX and MAX_ARG_STRLEN of the kernel, less their NUL.
const path = text(4095);
const argument = text(131_071);
const argumentList = list(argument, 65_536);
const name = text(255);
const label = text(4095);
/** A list of CPUs as the schema knows it. */
const cpuList = textLike(/^[0-9, -]*$/, 'a list of CPUs such as "0-3,7"');

const mount = object<is.Mount>({
  destination: need(path),
  source: path,
  type: name,
  options: list(text(65_536)),
  uidMappings: idMappings,
  gidMappings: idMappings,
});

const capabilityNames = list(text(64), 256);

const givenUser = object<Partial<is.User>>({
  uid: uint32,
  gid: uint32,
  umask: uint32,
  additionalGids: list(uint32, 65_536), // NGROUPS_MAX
});

/** Ids that are left out are 0, as other runtimes read them. */
const user: Shape<is.User> = (value, at) => {
  const given = givenUser(value, at);
  return given && { uid: 0, gid: 0, ...given };
};

const process = object<is.Process>({
  terminal: flag,
  consoleSize: object<is.ConsoleSize>({ height: need(uint64), width: need(uint64) }),
  cwd: need(path),
  env: argumentList,
  args: need(argumentList),
  user,
  rlimits: list(object<is.Rlimit>({ type: need(oneOf(is.RLIMITS)), soft: need(uint64), hard: need(uint64) })),
  apparmorProfile: label,
  capabilities: object<is.Capabilities>({
    bounding: capabilityNames,
    permitted: capabilityNames,
    effective: capabilityNames,
    inheritable: capabilityNames,
    ambient: capabilityNames,
  }),
  noNewPrivileges: flag,
  oomScoreAdj: int32,
  scheduler: object<is.Scheduler>({
    policy: need(oneOf(is.SCHEDULER_POLICIES)),
    nice: int32,
    priority: int32,
    flags: list(oneOf(is.SCHEDULER_FLAGS)),
    runtime: uint64,
    deadline: uint64,
    period: uint64,
  }),
  selinuxLabel: label,
  ioPriority: object<is.IoPriority>({ class: need(oneOf(is.IO_PRIORITY_CLASSES)), priority: int32 }),
  execCPUAffinity: object<is.ExecCpuAffinity>({ initial: cpuList, final: cpuList }),
});

const hooks = list(object<is.Hook>({
  path: need(path),
  args: argumentList,
  env: argumentList,
  timeout: integer(1, Number.MAX_SAFE_INTEGER),
}));

const spec: Fields<is.Spec> = {
  ociVersion: need(name),
  root: need(object<is.Root>({ path: need(path), readonly: flag })),
  mounts: list(mount),
  process,
  hostname: name,
  domainname: name,
  hooks: object<is.Hooks>({
    prestart: hooks,
    createRuntime: hooks,
    createContainer: hooks,
    startContainer: hooks,
    poststart: hooks,
    poststop: hooks,
  }),
  annotations: map(text(1_048_576)),
  linux,
};

/** A whole config.json. */
export const document: Shape<is.Spec> = object(spec);
