import { probeHost } from "../../runtime/host/probe.ts";

const PROGRAM = "/lib/systemd/systemd";
const START_MS = 60_000;
const KEPT_S = 900;

/** Why systemd cannot be tried here; nothing if it can. */
export function cannotRunSystemd(): string | undefined {
  if (Deno.uid() !== 0) return "needs root";
  if (probeHost().cgroups.length === 0) return "needs cgroups";
  for (
    const program of [
      PROGRAM,
      "/usr/bin/systemctl",
      "/usr/bin/nsenter",
      "/usr/bin/unshare",
      "/usr/bin/dbus-daemon",
      "/usr/bin/busctl",
    ]
  ) {
    try {
      Deno.statSync(program);
    } catch {
      return `needs ${program}`;
    }
  }
  return undefined;
}

/**
 * A systemd of its own, as the first process of new namespaces: it sees a part of the cgroups as all there is, and starts
 * nothing. It listens at /run/systemd/private in there.
 */
export class OwnSystemd implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #name = `systemd-${Deno.pid}-${crypto.randomUUID().slice(0, 4)}`;
  #pid = 0;
  #keeper: Deno.ChildProcess | undefined;

  private constructor(bus: boolean) {
    const script =
      `mount -t tmpfs -o mode=755 tmpfs /run && mkdir -p /run/systemd/system && umount -R /sys/fs/cgroup
cd /run/systemd/system
printf '[Unit]\\nDefaultDependencies=no\\n${bus ? "Wants=dbus.service" : ""}\\n' >nothing.target
${bus ? BUS : ""}
cd /
${probeHost().cgroups.some(({ version }) => version === 1) ? MOUNT_1 : MOUNT_2}
exec env -i container=test PATH="$PATH" ${PROGRAM} --system --unit=nothing.target --log-target=null --show-status=no`;
    const spaces = "--pid --mount --uts --ipc --fork --kill-child --mount-proc --propagation private";
    passControllersOn();
    for (const directory of this.#directories()) make(directory);
    // Only the first process itself is in there: a group of version 2 with others passes no controllers on.
    const inner = `${this.#join("", "0")}exec unshare --cgroup sh -ec "$1"`;
    this.#process = this.#start(
      "sh",
      "-ec",
      `exec unshare ${spaces} sh -ec "$1" sh "$2"`,
      "sh",
      inner,
      script,
    );
  }

  /**
   * Starts one and waits until it answers.
   *
   * @param bus Whether there is a system bus, through which it answers then.
   */
  static async start({ bus = false }: { readonly bus?: boolean } = {}): Promise<OwnSystemd> {
    const own = new OwnSystemd(bus);
    try {
      await own.#whenUp();
      await own.#keepCallers();
      if (bus) await own.#useBus();
      return own;
    } catch (error) {
      await own[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Makes the group of callers, with somebody in it: systemd removes groups without processes as it likes. */
  async #keepCallers(): Promise<void> {
    for (const end = Date.now() + START_MS; Date.now() < end;) {
      for (const directory of this.#directories()) make(`${directory}/callers`);
      const keeper = this.#start("sh", "-ec", `${this.#join("/callers")}exec sleep ${KEPT_S}`);
      const ended = keeper.status.then(() => true);
      const isThere = async (): Promise<boolean> => {
        for (;;) {
          if (Deno.readTextFileSync(`/proc/${keeper.pid}/comm`).trim() === "sleep") return true;
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      };
      const kept = await Promise.race([isThere().catch(() => false), ended.then(() => false)]);
      if (!kept) continue;
      this.#keeper = keeper;
      return;
    }
    throw new Error(`Cannot make a group of callers in ${START_MS / 1000} s`);
  }

  /** What to put before a command line so that it runs where this systemd is at home, in a group of its own. */
  get wrapper(): readonly string[] {
    const enter = `exec nsenter --target=${this.#pid} -m -p -C -i -u --wd="$PWD" "$@"`;
    return ["sh", "-ec", `${this.#join("/callers")}${enter}`, "sh"];
  }

  /** What systemctl says of a unit's properties, by their names. */
  async show(unit: string): Promise<Record<string, string>> {
    const { stdout } = await new Deno.Command("sh", {
      args: [...this.wrapper.slice(1), "systemctl", "show", unit],
      stderr: "null",
    }).output();
    const lines = new TextDecoder().decode(stdout).trim().split("\n").map((line) =>
      /^(\w+)=(.*)$/.exec(line)
    );
    const found: Record<string, string> = {};
    for (const [, key = "", value = ""] of lines.filter((match) => match !== null)) {
      found[key] = key in found ? `${found[key]}, ${value}` : value;
    }
    return found;
  }

  /**
   * Starts the instance of a user, who may be unknown to the system, and waits until it listens.
   *
   * @returns What to put before the user's command lines, and the cgroup of the instance.
   */
  async startUser(uid: number): Promise<{ readonly wrapper: readonly string[]; readonly path: string }> {
    const home = `/run/user/${uid}`;
    const unit = `user@${uid}.service`;
    const run = `set -e
for each in passwd group; do cp /etc/$each /run/$each; mount --bind /run/$each /etc/$each; done
echo "test-${uid}:x:${uid}:${uid}::/tmp:/bin/sh" >>/etc/passwd; echo "test-${uid}:x:${uid}:" >>/etc/group
mkdir -p ${home}; chown ${uid}:${uid} ${home}; chmod 700 ${home}
cat >/run/systemd/system/${unit} <<END
[Unit]
DefaultDependencies=no
[Service]
Type=notify
User=${uid}
Group=${uid}
Slice=user-${uid}.slice
Delegate=yes
Environment=XDG_RUNTIME_DIR=${home} HOME=/tmp
ExecStart=${PROGRAM} --user --unit=nothing.target --log-target=null
END
mkdir -p /run/systemd/user; cp /run/systemd/system/nothing.target /run/systemd/user
systemctl daemon-reload; systemctl start ${unit}
until [ -e ${home}/systemd/private ]; do sleep 0.1; done
mkdir -p /sys/fs/cgroup/user.slice/user-${uid}.slice/${unit}/app.slice/callers.scope
chown -R ${uid}:${uid} /sys/fs/cgroup/user.slice/user-${uid}.slice/${unit}/app.slice`;
    const [program = "", ...args] = [...this.wrapper, "timeout", String(START_MS / 1000), "sh", "-c", run];
    const { success, stderr } = await new Deno.Command(program, { args, stdout: "null" }).output();
    if (!success) throw new Error(`Cannot start ${unit}: ${new TextDecoder().decode(stderr)}`);
    const path = `/user.slice/user-${uid}.slice/${unit}`;
    const join = `echo $$ >/sys/fs/cgroup${path}/app.slice/callers.scope/cgroup.procs; exec "$@"`;
    const as = [
      "setpriv",
      `--reuid=${uid}`,
      `--regid=${uid}`,
      "--clear-groups",
      "env",
      `XDG_RUNTIME_DIR=${home}`,
    ];
    return { path, wrapper: [...this.wrapper, "sh", "-c", join, "sh", ...as] };
  }

  /** A file in the cgroup at `path`, as this systemd calls it, of the hierarchy with the controller of that file. */
  file(path: string, name: string): string {
    const [controller = ""] = name.split(".");
    const all = probeHost().cgroups;
    const { mountPoint } = all.find(({ version, controllers }) => {
      return version === 1 && controllers.split(",").includes(controller);
    }) ?? all.find(({ version }) => version === 2)!;
    return `${mountPoint}/${this.#name}${path}/${name}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#keeper?.kill("SIGKILL");
    } catch {
      // it has ended
    }
    await this.#keeper?.status;
    try {
      this.#process.kill("SIGKILL"); // and with it the first process, which takes all others along
    } catch {
      // it has ended
    }
    await this.#process.status;
    for (const directory of this.#directories()) {
      for (let tries = 0; !removed(directory) && tries < 500; tries++) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  #directories(): string[] {
    return probeHost().cgroups.map(({ mountPoint }) => `${mountPoint}/${this.#name}`);
  }

  /** The lines of a shell that joins this systemd's group, or the one `below` it, in each hierarchy. */
  #join(below = "", pid = "$$"): string {
    return this.#directories().map((directory) => `echo ${pid} >${directory}${below}/cgroup.procs\n`).join(
      "",
    );
  }

  #start(program: string, ...args: readonly string[]): Deno.ChildProcess {
    return new Deno.Command(program, { args: [...args], stdin: "null", stdout: "null", stderr: "null" })
      .spawn();
  }

  /** Waits until systemd is at the bus, and hides its own socket, so that nobody takes that. */
  async #useBus(): Promise<void> {
    // Who asks for it before it is there waits long; the signal lets it look for the bus again (systemd(1)).
    const ask =
      "systemctl is-active --quiet dbus.service && { timeout 5 busctl status org.freedesktop.systemd1 || ! kill -USR1 1; }";
    const [program = "", ...args] = [...this.wrapper, "sh", "-c", ask];
    for (const end = Date.now() + START_MS; Date.now() < end;) {
      const { success } = await new Deno.Command(program, { args, stdout: "null", stderr: "null" }).output();
      if (success) return Deno.renameSync(`${this.#run}/systemd/private`, `${this.#run}/systemd/hidden`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`Cannot reach ${PROGRAM} through the bus in ${START_MS / 1000} s`);
  }

  /** Its /run. */
  get #run(): string {
    return `/proc/${this.#pid}/root/run`;
  }

  async #whenUp(): Promise<void> {
    for (const end = Date.now() + START_MS; Date.now() < end;) {
      this.#pid ||= childOf(this.#process.pid);
      try {
        Deno.statSync(`${this.#run}/systemd/private`);
        return;
      } catch {
        // not yet
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`Cannot start ${PROGRAM}: it does not listen after ${START_MS / 1000} s`);
  }
}

/** The units of a system bus, without the rest of a system. */
const BUS = `cat >dbus.socket <<END
[Unit]
DefaultDependencies=no
[Socket]
ListenStream=/run/dbus/system_bus_socket
END
cat >dbus.service <<END
[Unit]
DefaultDependencies=no
Requires=dbus.socket
[Service]
Type=notify
NotifyAccess=main
ExecStart=/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile --systemd-activation --nosyslog
END`;
const MOUNT_1 = `mount -t tmpfs tmpfs /sys/fs/cgroup
awk -F: '$2 != "" {print $2}' /proc/self/cgroup | while read each; do
  mkdir "/sys/fs/cgroup/\${each#name=}"; mount -t cgroup -o "$each" cgroup "/sys/fs/cgroup/\${each#name=}"
done
mkdir /sys/fs/cgroup/unified; mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified`;
const MOUNT_2 = "mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup";

/** On version 2 a group has only the controllers that the one above passes on: here the root of all. */
function passControllersOn(): void {
  for (const { version, mountPoint } of probeHost().cgroups) {
    if (version === 1) continue;
    const controllers = Deno.readTextFileSync(`${mountPoint}/cgroup.controllers`).trim().split(" ");
    const all = controllers.filter((each) => each !== "").map((each) => `+${each}`).join(" ");
    if (all !== "") Deno.writeTextFileSync(`${mountPoint}/cgroup.subtree_control`, all, { create: false });
  }
}

function make(directory: string): void {
  Deno.mkdirSync(directory, { recursive: true });
  const above = directory.slice(0, directory.lastIndexOf("/"));
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    try {
      if (Deno.readTextFileSync(`${directory}/${file}`).trim() !== "") continue;
      Deno.writeTextFileSync(`${directory}/${file}`, Deno.readTextFileSync(`${above}/${file}`), {
        create: false,
      });
    } catch {
      // no cpuset, or one of version 2, which needs nothing
    }
  }
}

/** Removes a group with those below it; whether it is gone. */
function removed(directory: string): boolean {
  try {
    for (const { name, isDirectory } of Deno.readDirSync(directory)) {
      if (isDirectory) removed(`${directory}/${name}`);
    }
    Deno.removeSync(directory);
    return true;
  } catch (error) {
    return error instanceof Deno.errors.NotFound;
  }
}

function childOf(pid: number): number {
  try {
    const [first = "0"] = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim().split(" ");
    return Number(first);
  } catch {
    return 0;
  }
}
