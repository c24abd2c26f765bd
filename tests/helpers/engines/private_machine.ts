import { finish, type Said, Temporary } from "../cli.ts";

/** Directories that the programs of a private machine may write to; what is there already can be read. */
const COPIED = ["/etc", "/var", "/usr/local"];
/** Directories that are empty on a private machine. */
const EMPTY = ["/run", "/var/lib/containers", "/var/lib/containerd", "/var/lib/docker", "/var/log", "/srv"];
/**
 * The hierarchies of cgroup v1 on a tmpfs of this machine's own: engines make directories there for controllers that the
 * kernel lacks, and cannot remove them. A link to a hierarchy without a controller gives them one.
 */
const HYBRID = [
  "mkdir cgroups && mount --rbind /sys/fs/cgroup cgroups && umount -R /sys/fs/cgroup",
  "mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup",
  "for one in cgroups/*; do",
  "  to=/sys/fs/cgroup/${one#*/}",
  '  if [ -L "$one" ]; then cp -P "$one" "$to"; elif mountpoint -q "$one"; then mkdir "$to"; mount --move "$one" "$to"; fi',
  "done; umount cgroups",
  "for one in hugetlb net_cls net_prio perf_event; do [ -e /sys/fs/cgroup/$one ] || ln -s systemd /sys/fs/cgroup/$one; done",
];
const DAEMON_START_MS = 90_000;
const DAEMON_STOP_MS = 30_000;
/** How long what is on its way out may take on a busy machine. */
const SETTLE_MS = 20_000;

/** Options of {@linkcode PrivateMachine.run}. */
export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** Runs it at a terminal: its output then is what the terminal shows. */
  readonly terminal?: boolean;
  /** Runs it as that user, without any right of root. @default root */
  readonly uid?: number;
}

/**
 * This machine again, for engines that write to the usual places: with a private `/etc`, `/var`, `/run` and
 * `/usr/local`, no network that leads anywhere, and processes of its own. When it is disposed of, or this process ends, all of
 * it is gone, whatever an engine has left; only cgroups are the real machine's.
 */
export class PrivateMachine implements AsyncDisposable {
  /** A directory that this machine sees too. */
  readonly shared: string;
  readonly #temporary: Temporary;
  readonly #holder: Deno.ChildProcess;
  readonly #cgroups: RegExp;

  private constructor(temporary: Temporary, holder: Deno.ChildProcess, cgroups: RegExp) {
    this.#temporary = temporary;
    this.#holder = holder;
    this.#cgroups = cgroups;
    this.shared = `${temporary.path}/shared`;
  }

  /**
   * @param files What is written there before anything runs, by path.
   * @param cgroups Names of cgroups that the engine makes; removed before and after.
   */
  static async start(
    files: Readonly<Record<string, string>>,
    cgroups: RegExp,
  ): Promise<PrivateMachine> {
    removeCgroups(cgroups);
    const temporary = new Temporary();
    const script = [
      "set -e",
      `cd ${temporary.path} && mkdir shared layers && mount -t tmpfs -o mode=755 tmpfs layers && cd layers`,
      ...COPIED.map((path, index) =>
        `mkdir -p u${index} w${index}; mount -t overlay -o lowerdir=${path},upperdir=u${index},workdir=w${index} o ${path}`
      ),
      ...EMPTY.map((path) => `mkdir -p ${path}; mount -t tmpfs -o mode=755 tmpfs ${path}`),
      "if mountpoint -q /sys/fs/cgroup/pids; then",
      ...HYBRID,
      "fi",
      "mkdir -p /run/lock /run/test && hostname n1 && printf '127.0.0.1 localhost\\n192.0.2.1 n1\\n' >/etc/hosts",
      // An address that is not loopback's, as daemons want it, and nobody at the other end.
      "ip link set lo up && ip link add eth0 type veth peer name eth1 && ip link set eth1 up",
      "ip addr add 192.0.2.1/24 dev eth0 && ip link set eth0 up",
      "echo ready; read -r _", // its input ends with this process at the latest
    ].join("\n");
    const holder = new Deno.Command("unshare", {
      args: [
        ...[
          "--mount",
          "--propagation",
          "private",
          "--net",
          "--ipc",
          "--uts",
          "--pid",
          "--fork",
          "--mount-proc",
        ],
        ...["--kill-child", "bash", "-c", script], // bash takes in orphans
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const machine = new PrivateMachine(temporary, holder, cgroups);
    const reader = holder.stdout.getReader();
    const { value } = await reader.read();
    if (value === undefined) throw new Error("Cannot make a private machine");
    await reader.cancel();
    for (const [path, text] of Object.entries(files)) await machine.write(path, text);
    return machine;
  }

  /** The words that start a program there. */
  get entry(): readonly string[] {
    return ["nsenter", "--target", this.#first, "--mount", "--net", "--ipc", "--uts", "--pid", "--"];
  }

  /** How this machine sees what is at a path there. */
  seen(path: string): string {
    return `/proc/${this.#first}/root${path}`;
  }

  /** Its first process: the holder is `unshare`, and that is its child. */
  get #first(): string {
    const { pid } = this.#holder;
    return Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).split(" ")[0]!;
  }

  /** Runs a program there to its end. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<Said> {
    const typed = options.terminal
      ? ["script", "--quiet", "--return", "--command", quoted(args), "/dev/null"]
      : args;
    const { uid } = options;
    const as = uid === undefined ? [] : ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
    const [command, ...rest] = [...this.entry, ...as, ...typed];
    const child = new Deno.Command(command!, {
      args: rest,
      env: { PATH: PATH, HOME: "/root", TERM: "xterm", ...options.env },
      clearEnv: true,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const { stdout, stderr, ...rest2 } = await finish(child, options.stdin);
    const decoder = new TextDecoder();
    return { ...rest2, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  }

  /** What a program prints that must succeed, without the last line end. */
  async output(args: readonly string[], options: RunOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, options);
    if (code !== 0) throw new Error(`\`${args.join(" ")}\` ended with ${code}: ${stderr}${stdout}`);
    return stdout.trimEnd();
  }

  /** Writes a file there. */
  async write(path: string, text: string, mode = 0o644): Promise<void> {
    const script = 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"';
    await this.output(["sh", "-c", script, "sh", path, mode.toString(8)], { stdin: text });
  }

  /** Lets a program of the real machine be found under another path there. */
  async bind(from: string, to: string): Promise<void> {
    const script = 'mkdir -p "$(dirname "$2")" && touch "$2" && mount --bind "$1" "$2"';
    await this.output(["sh", "-c", script, "sh", from, to]);
  }

  /** Starts a program that goes on until it is disposed of, and waits until `ready` succeeds there. */
  async daemon(name: string, args: readonly string[], ready: readonly string[]): Promise<AsyncDisposable> {
    const script = `echo $$ >/run/test/${name}.pid; exec "$@" >/run/test/${name}.log 2>&1`;
    const [command, ...rest] = [...this.entry, "sh", "-c", script, "sh", ...args];
    const child = new Deno.Command(command!, {
      args: rest,
      env: { PATH: PATH, HOME: "/root" },
      clearEnv: true,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    let ended = false;
    child.status.then(() => ended = true);
    for (const end = Date.now() + DAEMON_START_MS; (await this.run(ready)).code !== 0;) {
      if (ended || Date.now() > end) throw new Error(`${name} did not start: ${await this.log(name)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const stop = async (): Promise<void> => {
      await this.run(["sh", "-c", `kill -TERM $(cat /run/test/${name}.pid)`]);
      const timer = setTimeout(
        () => this.run(["sh", "-c", `kill -KILL $(cat /run/test/${name}.pid)`]),
        DAEMON_STOP_MS,
      );
      await child.status;
      clearTimeout(timer);
    };
    return { [Symbol.asyncDispose]: stop };
  }

  /** The last that a daemon has said. */
  async log(name: string): Promise<string> {
    return (await this.run(["tail", "-n", "30", `/run/test/${name}.log`])).stdout;
  }

  /** What is left of a container that is gone, of which engines may remove parts a moment later. */
  async remains(id: string): Promise<string> {
    for (const end = Date.now() + SETTLE_MS;;) {
      const traces = await this.traces(id);
      if (traces === "" || Date.now() > end) return traces;
    }
  }

  /** What is there of a container: cgroups, mounts, files of the runtime, processes. */
  async traces(id: string): Promise<string> {
    const script = `find /sys/fs/cgroup -depth -type d -name "*$1*"
      grep -e "$1" /proc/self/mountinfo
      find /run/ai-sandbox /run/runc -name "*$1*" 2>/dev/null
      grep -l -a -e "$1" /proc/[0-9]*/cgroup 2>/dev/null`;
    return (await this.run(["sh", "-c", script, "sh", id])).stdout.trimEnd();
  }

  /** Ends everything there. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#holder.stdin.close().catch(() => {});
    const timer = setTimeout(() => this.#holder.kill("SIGKILL"), DAEMON_STOP_MS);
    await this.#holder.status;
    clearTimeout(timer);
    removeCgroups(this.#cgroups);
    this.#temporary[Symbol.dispose]();
  }
}

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

function quoted(args: readonly string[]): string {
  return args.map((one) => `'${one.replaceAll("'", `'\\''`)}'`).join(" ");
}

/** Removes the cgroups that have such names, below the roots of the hierarchies and below this process's own. */
function removeCgroups(names: RegExp): void {
  const own = Deno.readTextFileSync("/proc/self/cgroup").trim().split("\n").map((line) =>
    line.split(":")[2]!
  );
  for (const hierarchy of Deno.readDirSync("/sys/fs/cgroup")) {
    if (!hierarchy.isDirectory) continue;
    for (const parent of new Set(["/", ...own])) {
      removeBelow(`/sys/fs/cgroup/${hierarchy.name}${parent}`, names);
    }
  }
}

function removeBelow(parent: string, names: RegExp): void {
  let entries;
  try {
    entries = [...Deno.readDirSync(parent)];
  } catch {
    return; // another hierarchy's
  }
  for (const { name, isDirectory } of entries) {
    if (isDirectory && names.test(name)) removeCgroup(`${parent}/${name}`);
  }
}

/** Removes a cgroup with those below it; one that is in use stays. */
function removeCgroup(path: string): void {
  try {
    for (const one of Deno.readDirSync(path)) if (one.isDirectory) removeCgroup(`${path}/${one.name}`);
    Deno.removeSync(path);
  } catch {
    // there is none, or it is somebody else's too
  }
}
