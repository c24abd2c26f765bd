import { fromFileUrl } from "@std/path";

const SOURCES = fromFileUrl(new URL("probe", import.meta.url));
/** An id that no sandbox of the tests has. */
const FOREIGN_ID = 4_000_000;

/** A directory of the host with everything that probes aim at; removed when it is disposed of. */
export class World implements Disposable {
  readonly path: string = Deno.makeTempDirSync({ prefix: "attacks-" });
  /** What a sandbox never gets. */
  readonly outside: string = `${this.path}/outside`;
  /** What a sandbox gets to read. */
  readonly shared: string = `${this.path}/shared`;
  /** What a sandbox gets to write. */
  readonly writable: string = `${this.path}/writable`;
  /** Of bundles; it holds a place for mounts. */
  readonly rootfs: string = `${this.path}/rootfs`;
  readonly probe: string = `${this.path}/probe`;
  /** What every name is made of that probes and victims agree on. */
  readonly nonce: string = crypto.randomUUID().slice(0, 8);
  readonly port: number = 20_000 + parseInt(this.nonce, 16) % 40_000;
  readonly #before: string;

  /** @param probe The probe program. */
  constructor(probe: string) {
    Deno.chmodSync(this.path, 0o755);
    for (const each of [this.outside, this.shared, this.writable, this.rootfs]) Deno.mkdirSync(each);
    Deno.chmodSync(this.writable, 0o777);
    for (const name of ["tmp", "usr"]) Deno.mkdirSync(`${this.rootfs}/${name}`);
    for (const copy of [this.probe, `${this.outside}/victim`, `${this.shared}/setuid`]) {
      Deno.copyFileSync(probe, copy);
    }
    Deno.chmodSync(`${this.shared}/setuid`, 0o4755);
    Deno.writeTextFileSync(`${this.outside}/secret`, this.nonce, { mode: 0o644 });
    for (const name of ["file", "goner"]) Deno.writeTextFileSync(`${this.shared}/${name}`, "untouched");
    run("mknod", "-m", "666", `${this.shared}/zero`, "c", "1", "5");
    run("mknod", "-m", "666", `${this.shared}/loop`, "b", "7", "0");
    Deno.writeTextFileSync(`${this.writable}/foreign`, "private", { mode: 0o600 });
    Deno.chownSync(`${this.writable}/foreign`, FOREIGN_ID, FOREIGN_ID);
    this.#before = this.#listing();
  }

  /** What of the host has changed that no sandbox may change; empty if nothing. */
  changes(): string[] {
    const before = this.#before.split("\n");
    const changed = this.#listing().split("\n").filter((line) => !before.includes(line));
    return [...changed, ...this.#rights()];
  }

  /** Type, mode, owner, size and times of everything that is not to be written. */
  #listing(): string {
    const args = [this.outside, this.shared, "-not", "-type", "s", "-not", "-path", this.outside];
    return run("find", ...args, "-printf", "%p %y %m %U %G %s %T@ %C@ %l\\n");
  }

  /** Files that would give somebody on the host rights. */
  #rights(): string[] {
    const more = ["(", "-perm", "/6000", "-o", "-type", "b", "-o", "-type", "c", ")", "-printf", "%p %M\\n"];
    return run("find", this.writable, ...more).split("\n").filter((line) => line !== "");
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** Compiles the probe program. @throws {Error} with what the compiler says. */
export function buildProbe(output: string): void {
  const sources = [...Deno.readDirSync(SOURCES)].map(({ name }) => name).filter((name) =>
    name.endsWith(".c")
  );
  const flags = ["-static", "-O1", "-o", output];
  run("gcc", ...flags, ...sources.sort().map((name) => `${SOURCES}/${name}`));
}

function run(program: string, ...args: string[]): string {
  const { success, stdout, stderr } = new Deno.Command(program, { args }).outputSync();
  if (!success) throw new Error(`${program} failed:\n${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}
