/** Which arguments of system calls are paths, and what is done with them; Landlock asks about no other calls. */

/** A path among the arguments: where it is, and the descriptor that it may be relative to. */
export interface PathArgument {
  readonly path: number;
  readonly at?: number;
}

/** Calls that open a file, and where their flags are. */
export const OPENS: ReadonlyMap<string, PathArgument & { readonly flags?: number; readonly how?: number }> =
  new Map(
    Object.entries({
      open: { path: 0, flags: 1 },
      creat: { path: 0 },
      openat: { at: 0, path: 1, flags: 2 },
      openat2: { at: 0, path: 1, how: 2 },
    }),
  );

/** Calls that execute a file. */
export const EXECUTES: ReadonlyMap<string, PathArgument> = new Map(Object.entries({
  execve: { path: 0 },
  execveat: { at: 0, path: 1 },
}));

/** A name that is taken from a directory or put into it; `makes` if nothing may be there before. */
export interface NameChange extends PathArgument {
  readonly how: "makes" | "replaces" | "takes";
}

/** Calls that change which names a directory has. */
export const CHANGES: ReadonlyMap<string, readonly NameChange[]> = new Map(Object.entries(
  {
    link: [{ path: 0, how: "takes" }, { path: 1, how: "makes" }],
    linkat: [{ at: 0, path: 1, how: "takes" }, { at: 2, path: 3, how: "makes" }],
    mkdir: [{ path: 0, how: "makes" }],
    mkdirat: [{ at: 0, path: 1, how: "makes" }],
    mknod: [{ path: 0, how: "makes" }],
    mknodat: [{ at: 0, path: 1, how: "makes" }],
    rename: [{ path: 0, how: "takes" }, { path: 1, how: "replaces" }],
    renameat: [{ at: 0, path: 1, how: "takes" }, { at: 2, path: 3, how: "replaces" }],
    renameat2: [{ at: 0, path: 1, how: "takes" }, { at: 2, path: 3, how: "replaces" }],
    rmdir: [{ path: 0, how: "takes" }],
    symlink: [{ path: 1, how: "makes" }],
    symlinkat: [{ at: 1, path: 2, how: "makes" }],
    unlink: [{ path: 0, how: "takes" }],
    unlinkat: [{ at: 0, path: 1, how: "takes" }],
  } satisfies Record<string, readonly NameChange[]>,
));

/** `O_*` of open(2), alike on x86-64 and aarch64. */
export const OPEN = {
  ACCMODE: 3,
  WRONLY: 1,
  CREAT: 0o100,
  TRUNC: 0o1000,
  PATH: 0o10000000,
  TMPFILE: 0o20000000,
} as const;
