import { SyscallError } from "./errno.ts";
import { Fd } from "./fd.ts";
import { type Functions, isInstalled, openLibrary } from "./library.ts";
import { cstring } from "./memory.ts";

const TABLE = {
  criu_local_init_opts: { parameters: ["buffer"], result: "i32" }, // (criu_opts **)
  criu_local_free_opts: { parameters: ["pointer"], result: "void" }, // (criu_opts *)
  criu_local_set_service_binary: { parameters: ["pointer", "buffer"], result: "i32" }, // (criu_opts *, const char *path)
  criu_local_set_service_fd: { parameters: ["pointer", "i32"], result: "void" }, // (criu_opts *, int fd)
  criu_local_set_notify_cb: { parameters: ["pointer", "function"], result: "void" }, // (criu_opts *, int (*)(char *, criu_notify_arg_t))
  criu_notify_pid: { parameters: ["pointer"], result: "i32" }, // (criu_notify_arg_t)
  criu_get_orphan_pts_master_fd: { parameters: [], result: "i32" },
  criu_local_set_pid: { parameters: ["pointer", "i32"], result: "void" },
  criu_local_set_images_dir_fd: { parameters: ["pointer", "i32"], result: "void" },
  criu_local_set_work_dir_fd: { parameters: ["pointer", "i32"], result: "void" },
  criu_local_set_parent_images: { parameters: ["pointer", "buffer"], result: "i32" },
  criu_local_set_log_file: { parameters: ["pointer", "buffer"], result: "i32" },
  criu_local_set_log_level: { parameters: ["pointer", "i32"], result: "void" },
  criu_local_set_root: { parameters: ["pointer", "buffer"], result: "i32" },
  criu_local_set_freeze_cgroup: { parameters: ["pointer", "buffer"], result: "i32" },
  criu_local_set_lsm_profile: { parameters: ["pointer", "buffer"], result: "i32" },
  criu_local_set_lsm_mount_context: { parameters: ["pointer", "buffer"], result: "i32" },
  criu_local_set_leave_running: { parameters: ["pointer", "bool"], result: "void" },
  criu_local_set_tcp_established: { parameters: ["pointer", "bool"], result: "void" },
  criu_local_set_tcp_close: { parameters: ["pointer", "bool"], result: "void" },
  criu_local_set_tcp_skip_in_flight: { parameters: ["pointer", "bool"], result: "void" },
  criu_local_set_ext_unix_sk: { parameters: ["pointer", "bool"], result: "void" },
  criu_local_set_shell_job: { parameters: ["pointer", "bool"], result: "void" },
  criu_local_set_file_locks: { parameters: ["pointer", "bool"], result: "void" },
  criu_local_set_link_remap: { parameters: ["pointer", "bool"], result: "void" },
  criu_local_set_auto_dedup: { parameters: ["pointer", "bool"], result: "void" },
  criu_local_set_track_mem: { parameters: ["pointer", "bool"], result: "void" },
  criu_local_set_ext_masters: { parameters: ["pointer", "bool"], result: "void" },
  criu_local_set_ext_sharing: { parameters: ["pointer", "bool"], result: "void" },
  criu_local_set_orphan_pts_master: { parameters: ["pointer", "bool"], result: "void" },
  criu_local_set_manage_cgroups: { parameters: ["pointer", "bool"], result: "void" },
  criu_local_set_manage_cgroups_mode: { parameters: ["pointer", "u32"], result: "void" }, // (…, enum criu_cg_mode)
  criu_local_set_network_lock: { parameters: ["pointer", "u32"], result: "i32" }, // (…, enum criu_network_lock_method)
  criu_local_set_empty_ns: { parameters: ["pointer", "i32"], result: "void" }, // (…, int CLONE_NEW*)
  criu_local_set_ghost_limit: { parameters: ["pointer", "u32"], result: "void" }, // (…, unsigned int bytes)
  criu_local_set_timeout: { parameters: ["pointer", "u32"], result: "void" }, // (…, unsigned int seconds)
  criu_local_add_external: { parameters: ["pointer", "buffer"], result: "i32" }, // (…, const char *key)
  criu_local_add_inherit_fd: { parameters: ["pointer", "i32", "buffer"], result: "i32" }, // (…, int fd, const char *key)
  criu_local_add_cg_root: { parameters: ["pointer", "buffer", "buffer"], result: "i32" }, // (…, const char *ctrl, const char *path)
  // On another thread, for they take long: their results carry the errors.
  criu_local_dump: { parameters: ["pointer"], result: "i32", nonblocking: true },
  criu_local_pre_dump: { parameters: ["pointer"], result: "i32", nonblocking: true },
  criu_local_restore: { parameters: ["pointer"], result: "i32", nonblocking: true },
  criu_local_check: { parameters: ["pointer"], result: "i32", nonblocking: true },
  criu_local_get_version: { parameters: ["pointer"], result: "i32", nonblocking: true },
} as const;

const NOTIFY = { parameters: ["pointer", "pointer"], result: "i32" } as const; // int (char *action, criu_notify_arg_t)

/** What can be asked of CRIU. */
export type CriuJob = "dump" | "pre_dump" | "restore" | "check" | "get_version";

/** `enum criu_cg_mode` */
export const CGROUP_MODE = { ignore: 0, soft: 3, full: 4, strict: 5 } as const;

/** `enum criu_network_lock_method` */
export const NETWORK_LOCK = { iptables: 1, nftables: 2, skip: 3 } as const;

/** What CRIU is to do; the names are libcriu's. */
export interface CriuRequest {
  readonly pid?: number;
  readonly imagesDir?: Fd;
  readonly workDir?: Fd;
  /** Path of the parent's images, relative to these. */
  readonly parentImages?: string | undefined;
  readonly logFile?: string;
  /** Whether everything is logged, not only what is odd. @default {true} */
  readonly verbose?: boolean;
  readonly root?: string;
  readonly freezeCgroup?: string | undefined;
  readonly lsmProfile?: string | undefined;
  readonly lsmMountContext?: string | undefined;
  /** Switches that are on: `leave_running`, `shell_job`, … */
  readonly switches?: readonly CriuSwitch[];
  readonly cgroupMode?: number | undefined;
  readonly networkLock?: number | undefined;
  /** `CLONE_NEW*` of namespaces whose content is left out. */
  readonly emptyNamespaces?: number;
  /** A file that was removed but is open is kept up to this size. */
  readonly ghostLimitBytes?: number;
  readonly externals?: readonly string[];
  /** Descriptors as the CRIU process has them, each with the name of what it takes the place of. */
  readonly inherited?: readonly (readonly [fd: number, key: string])[];
  /** The group that stands for the root of each controller. */
  readonly cgroupRoots?: readonly (readonly [controllers: string, path: string])[];
}

/** A switch of {@linkcode CriuRequest}. */
export type CriuSwitch =
  | "leave_running"
  | "tcp_established"
  | "tcp_close"
  | "tcp_skip_in_flight"
  | "ext_unix_sk"
  | "shell_job"
  | "file_locks"
  | "link_remap"
  | "auto_dedup"
  | "track_mem"
  | "ext_masters"
  | "ext_sharing"
  | "orphan_pts_master";

/** A stage that CRIU has come to; it waits for the answer. */
export interface CriuStage {
  /** `pre-dump`, `network-lock`, `setup-namespaces`, `post-restore`, `pre-resume`, `orphan-pts-master`, … */
  readonly name: string;
  /** The first process; 0 if it is not there yet. */
  readonly pid: number;
  /** The other side of the terminal, at `orphan-pts-master`; whoever takes it owns it. */
  readonly terminal?: Fd;
}

/** Levels of CRIU's log: errors with what is odd, or everything, in a thousand lines and more. */
const [WARNINGS, DEBUG] = [2, 4];
/** What libcriu returns when CRIU has said no, and why, in its log. */
const EBADE = 52;

/** libcriu, as installed somewhere. */
export class LibCriu {
  readonly #functions: Functions<typeof TABLE>;

  /**
   * @param file Path of the library.
   * @param needs Libraries that it needs and that the loader would not find.
   */
  constructor(readonly file: string, needs: readonly string[] = []) {
    for (const each of needs) isInstalled(each); // what is loaded is found by its name
    this.#functions = openLibrary(file, TABLE);
  }

  /** Whether it can be loaded here. */
  get isInstalled(): boolean {
    return isInstalled(this.file);
  }

  /**
   * Has a CRIU process do a job, and waits for its answer.
   *
   * @param socket Leads to a `criu swrk`; it is used up.
   * @param onStage Hears of the stages; what it throws ends the job.
   * @returns What CRIU answered, such as a pid; below zero if it could not do the job.
   */
  async run(
    job: CriuJob,
    request: CriuRequest,
    socket: Fd,
    onStage: (stage: CriuStage) => void = () => {},
  ): Promise<number> {
    const library = this.#functions;
    const place = new BigUint64Array(1);
    succeed(library.criu_local_init_opts(place), "make CRIU's options");
    const options = Deno.UnsafePointer.create(place[0]!)!;
    let thrown: { readonly error: unknown } | undefined;
    const callback = new Deno.UnsafeCallback(NOTIFY, (action, argument) => {
      const name = new Deno.UnsafePointerView(action!).getCString();
      const fd = name === "orphan-pts-master" ? library.criu_get_orphan_pts_master_fd() : -1;
      try {
        onStage({ name, pid: library.criu_notify_pid(argument), ...(fd >= 0 && { terminal: new Fd(fd) }) });
        return 0;
      } catch (error) {
        thrown ??= { error };
        return -1;
      }
    });
    callback.ref();
    try {
      fill(library, options, request);
      library.criu_local_set_notify_cb(options, callback.pointer);
      library.criu_local_set_service_fd(options, socket.disown()); // libcriu closes it
      const result = await library[`criu_local_${job}`](options);
      if (thrown) throw thrown.error;
      return result;
    } finally {
      library.criu_local_free_opts(options);
      callback.unref();
      callback.close();
    }
  }
}

/** Whether CRIU itself refused, rather than that it could not be talked to. */
export function isRefusal(result: number): boolean {
  return result === -EBADE;
}

function fill(library: Functions<typeof TABLE>, options: Deno.PointerObject, request: CriuRequest): void {
  const text = (name: TextSetter, value: string | undefined): void => {
    if (value !== undefined) {
      succeed(library[`criu_local_set_${name}`](options, cstring(value)), `set ${name}`);
    }
  };
  // Descriptors are taken only while the service is a program (libcriu's criu_add_inherit_fd).
  succeed(library.criu_local_set_service_binary(options, cstring("criu")), "name CRIU");
  if (request.pid !== undefined) library.criu_local_set_pid(options, request.pid);
  if (request.imagesDir) library.criu_local_set_images_dir_fd(options, request.imagesDir.raw);
  if (request.workDir) library.criu_local_set_work_dir_fd(options, request.workDir.raw);
  text("parent_images", request.parentImages);
  text("log_file", request.logFile);
  text("root", request.root);
  text("freeze_cgroup", request.freezeCgroup);
  text("lsm_profile", request.lsmProfile);
  text("lsm_mount_context", request.lsmMountContext);
  library.criu_local_set_log_level(options, request.verbose === false ? WARNINGS : DEBUG);
  for (const name of request.switches ?? []) library[`criu_local_set_${name}`](options, true);
  if (request.cgroupMode !== undefined) {
    library.criu_local_set_manage_cgroups(options, true);
    library.criu_local_set_manage_cgroups_mode(options, request.cgroupMode);
  }
  if (request.networkLock !== undefined) {
    succeed(library.criu_local_set_network_lock(options, request.networkLock), "set network_lock");
  }
  if (request.emptyNamespaces) library.criu_local_set_empty_ns(options, request.emptyNamespaces);
  if (request.ghostLimitBytes !== undefined) {
    library.criu_local_set_ghost_limit(options, request.ghostLimitBytes);
  }
  for (const key of request.externals ?? []) {
    succeed(library.criu_local_add_external(options, cstring(key)), "name what is external");
  }
  for (const [fd, key] of request.inherited ?? []) {
    succeed(library.criu_local_add_inherit_fd(options, fd, cstring(key)), "pass a descriptor on");
  }
  for (const [controllers, path] of request.cgroupRoots ?? []) {
    succeed(library.criu_local_add_cg_root(options, cstring(controllers), cstring(path)), "name a cgroup");
  }
}

type TextSetter =
  | "parent_images"
  | "log_file"
  | "root"
  | "freeze_cgroup"
  | "lsm_profile"
  | "lsm_mount_context";

function succeed(result: number, what: string): void {
  if (result < 0) throw new SyscallError(what, -result);
}
