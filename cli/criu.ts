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
  { name: "auto-dedup", help: "drop pages from a parent's images that are there anew" },
  { name: "lazy-pages", help: "refused: this version brings memory back at once" },
];

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
