import { starterSpec } from "../../runtime/starter_spec.ts";
import type { Spec } from "../../runtime/spec/config.ts";
import { type Answer, BOX, Containers } from "./containers.ts";

const KEPT = "/run/ai-sandbox/templates";

/** Bundles as an engine writes them: each with names of its own in every place. */
export class EngineBundles implements AsyncDisposable {
  readonly containers: Containers;
  readonly #ids: string[] = [];
  /** What was kept before. */
  readonly #before = new Set(kept());

  constructor(program: readonly string[]) {
    this.containers = new Containers(program);
  }

  /** The container whose bundle was written last. */
  get last(): string {
    return this.#ids.at(-1)!;
  }

  /** The directory of a container's bundle. */
  directory(id: string): string {
    return `${this.containers.bundle.path}/${id}/userdata`;
  }

  /** Writes one more bundle, whose program writes down what it was given; `edit` changes what it says. */
  write(edit: (spec: Spec, rootfs: string) => Spec = (spec) => spec, id = randomName()): string {
    const { path } = this.containers.bundle;
    const [directory, rootfs] = [this.directory(id), `${path}/layers/${randomName()}/merged`];
    Deno.mkdirSync(directory, { recursive: true });
    for (const name of ["bin", "proc", "sys", "dev", "etc", "tmp", "data"]) {
      Deno.mkdirSync(`${rootfs}/${name}`, { recursive: true });
    }
    Deno.copyFileSync("/usr/bin/busybox", `${rootfs}/bin/busybox`);
    Deno.symlinkSync("busybox", `${rootfs}/bin/sh`);
    Deno.writeTextFileSync(`${rootfs}/etc/passwd`, "root:x:0:0::/root:/bin/sh\n");
    Deno.writeTextFileSync(`${directory}/hostname`, `${id}\n`);
    const short = id.slice(0, 12);
    const { linux, mounts = [], process, ...rest } = starterSpec();
    const spec: Spec = {
      ...rest,
      root: { path: rootfs },
      hostname: short,
      process: {
        ...process!,
        terminal: false,
        args: ["/bin/sh", "-c", 'echo "$SAID $HOSTNAME $HOME $(cat /etc/hostname)" > /said'],
        env: ["PATH=/bin", "SAID=plain", `HOSTNAME=${short}`],
        rlimits: [],
      },
      mounts: [...mounts, {
        destination: "/etc/hostname",
        type: "bind",
        source: `${directory}/hostname`,
        options: ["bind", "rprivate"],
      }],
      annotations: { name: id, made: new Date().toISOString().replace(/0*Z$/, "Z") },
      hooks: { poststop: [{ path: "/bin/sh", args: ["sh", "-c", `cat > ${directory}/hooked`, id] }] },
      linux: {
        ...linux,
        cgroupsPath: `${BOX}-parent/libpod-${id}`,
        resources: { memory: { limit: 64 << 20 }, pids: { limit: 20 } },
        seccomp: {
          defaultAction: "SCMP_ACT_ALLOW",
          syscalls: [{ names: ["reboot"], action: "SCMP_ACT_ERRNO" }],
        },
      },
    };
    Deno.writeTextFileSync(`${directory}/config.json`, JSON.stringify(edit(spec, rootfs)));
    this.#ids.push(id);
    return id;
  }

  /** Makes a container of its bundle. */
  async create(id: string): Promise<Answer> {
    return await this.containers.run("create", "--bundle", this.directory(id), id);
  }

  /** Makes a container, lets it run to its end, and removes it; what its program was given. */
  async live(id: string): Promise<string> {
    const { containers } = this;
    await containers.output("create", "--bundle", this.directory(id), id);
    await containers.output("start", id);
    await containers.until(id, "stopped");
    await containers.output("delete", id);
    return Deno.readTextFileSync(`${this.rootfs(id)}/said`);
  }

  /** What was just made is deleted. */
  async remove(id: string): Promise<void> {
    await this.containers.output("delete", "--force", id);
  }

  /** The root file system of a container. */
  rootfs(id: string): string {
    return JSON.parse(Deno.readTextFileSync(`${this.directory(id)}/config.json`)).root.path;
  }

  /** The files in which something is kept of these containers. */
  kept(): string[] {
    const { path } = this.containers.bundle;
    return kept().filter((file) => !this.#before.has(file) && contains(file, `${path}/`));
  }

  /** The one file. */
  get file(): string {
    const [file, more] = this.kept();
    if (file === undefined || more !== undefined) throw new Error(`${this.kept().length} files are kept`);
    return file;
  }

  /** Replaces a text in what is kept that is given to programs. */
  tamper(from: string, to: string): void {
    const [file, whole] = [this.file, read(this.file)];
    const at = whole.lastIndexOf(from); // in the image, which stands last
    this.overwrite(file, `${whole.slice(0, at)}${to}${whole.slice(at + from.length)}`);
  }

  /** Writes what is kept, a letter for each byte. */
  overwrite(file: string, text: string): void {
    Deno.writeFileSync(file, Uint8Array.from(text, (letter) => letter.charCodeAt(0)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of this.#ids) await this.containers.run("delete", "--force", id);
    for (const file of this.kept()) Deno.removeSync(file);
    await this.containers[Symbol.asyncDispose]();
  }
}

/** A name as engines give them. */
export function randomName(): string {
  return crypto.getRandomValues(new Uint8Array(32)).toHex();
}

/** The content of a file, a letter for each byte. */
export function read(file: string): string {
  return Array.from(Deno.readFileSync(file), (byte) => String.fromCharCode(byte)).join("");
}

/** Others' files come and go. */
function contains(file: string, text: string): boolean {
  try {
    return read(file).includes(text);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function kept(): string[] {
  try {
    return [...Deno.readDirSync(KEPT)].map(({ name }) => `${KEPT}/${name}`);
  } catch {
    return [];
  }
}
