import type { CriuOptions } from "../mod.ts";
import type { Arguments, Flag } from "./args.ts";
import type { Global } from "./main.ts";

/** What `checkpoint` and `restore` both take, as runc does. */
export const CRIU_FLAGS: readonly Flag[] = [
  { name: "image-path", value: "DIR", help: "directory of the images (default ./checkpoint)" },
  { name: "work-path", value: "DIR", help: "directory of CRIU's logs (default that of the images)" },
  { name: "tcp-established", help: "keep open TCP connections" },
  { name: "ext-unix-sk", help: "keep Unix sockets whose other end is outside" },
  { name: "shell-job", help: "keep processes of a session that began outside" },
  { name: "file-locks", help: "keep file locks" },
  { name: "manage-cgroups-mode", value: "MODE", help: "how cgroups are kept: soft, full, strict or ignore" },
  {
    name: "empty-ns",
    value: "NAMESPACE",
    repeat: true,
    help: "leave out what a namespace holds: network",
  },
  { name: "auto-dedup", help: "drop pages from a parent's images that are there anew; restore refuses it" },
  {
    name: "lazy-pages",
    help:
      "restore: fetch memory later, from a criu lazy-pages that runs already; checkpoint: serve it to that",
  },
];

/** What `restore` and `fork` take beside those. */
export const LAZY: Flag = {
  name: "lazy",
  help: "bring each page of its memory in when it is touched: what forks do not touch they share",
};

/** The opposite, for `fork`, which takes the other way by itself. */
export const EAGER: Flag = {
  name: "eager",
  help: "bring all of its memory in before it goes on, also where it could be shared",
};

/** What `checkpoint` and `snapshot create` take beside those. */
export const LIGHT: Flag = {
  name: "light",
  help:
    "keep only its files, environment and working directory, with which its program begins anew: without CRIU",
};

/** What those flags say. */
export function criuOptions(args: Arguments, { root, criu }: Global): CriuOptions {
  return {
    ...(root !== undefined && { root }),
    ...(criu !== undefined && { criu }),
    imagePath: args.value("image-path"),
    workPath: args.value("work-path"),
    manageCgroupsMode: args.value("manage-cgroups-mode"),
    tcpEstablished: args.has("tcp-established"),
    extUnixSk: args.has("ext-unix-sk"),
    shellJob: args.has("shell-job"),
    fileLocks: args.has("file-locks"),
    autoDedup: args.has("auto-dedup"),
    lazyPages: args.has("lazy-pages"),
    emptyNs: args.values("empty-ns"),
  };
}
