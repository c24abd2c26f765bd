import { deepEqual, equal, match, ok } from "node:assert/strict";
import { hasCompiler } from "../helpers/c_program.ts";
import { ROOT, RUNTIME, Temporary } from "../helpers/cli.ts";
import { containerTest } from "../helpers/container_test.ts";
import { type Answer, BOX, Containers } from "../helpers/containers.ts";
import { skip } from "../helpers/skip.ts";
import { buildInjector, type Call, injected, type Point, readLog } from "./injector.ts";

const LIMIT_S = 90;
/** What lies where the file is to be: nothing, or one of before. */
const BEFORE = [undefined, "old"];

/** A command that writes a file, at one of whose calls something is done. */
class Writer implements Disposable {
  readonly #directory = new Temporary();
  readonly #place = `${this.#directory.path}/place`;
  readonly #injector = buildInjector(this.#directory.path);
  readonly #log = `${this.#directory.path}/log`;
  readonly file = `${this.#place}/file`;

  /** @param args What it is given, but for the file. */
  constructor(readonly containers: Containers, readonly args: readonly string[]) {
    Deno.mkdirSync(this.#place);
  }

  /** Runs it; its own calls from the first that names the place of the file. */
  async run(before: string | undefined, point?: Point): Promise<Answer & { readonly own: readonly Call[] }> {
    for (const name of Object.keys(this.files)) Deno.removeSync(`${this.#place}/${name}`);
    if (before !== undefined) Deno.writeTextFileSync(this.file, before);
    const fixed = { from: this.#place, log: this.#log, limitS: LIMIT_S, point };
    this.containers.program = [...injected(this.#injector, fixed), ...RUNTIME];
    const said = await this.containers.run(...this.args, this.file);
    this.containers.program = RUNTIME;
    await this.containers.run("delete", "--force", BOX);
    const { calls, hit } = readLog(this.#log);
    if (point) ok(hit, "it has come to that call");
    return { ...said, own: calls.filter(({ process }) => process === 0) };
  }

  /** What came to be at each call from the first to the one behind the last that is about the file. */
  async *killed(before: string | undefined): AsyncIterable<{ readonly files: Record<string, string> }> {
    const { code, own } = await this.run(before);
    equal(code, 0);
    const last = own.findLastIndex(({ detail }) => detail.startsWith(this.#place));
    ok(last >= 0);
    for (let number = 1; number <= last + 2; number++) {
      await this.run(before, { process: 0, number, fault: "kill-self" });
      yield { files: this.files };
    }
  }

  /** What lies in the place. */
  get files(): Record<string, string> {
    const names = Array.from(Deno.readDirSync(this.#place), ({ name }) => name);
    return Object.fromEntries(names.map((name) => [name, Deno.readTextFileSync(`${this.#place}/${name}`)]));
  }

  [Symbol.dispose](): void {
    this.#directory[Symbol.dispose]();
  }
}

for (const before of BEFORE) {
  const where = before === undefined ? "where none was" : "in place of another one";
  containerTest(`a command that is killed leaves a whole pid file, or none, ${where}`, async () => {
    if (!hasCompiler) return skip("needs gcc");
    await using containers = new Containers();
    // By Deno: flags do not stand there else.
    using writer = new Writer(containers, ["create", BOX, "--pid-file"]);
    for await (const { files: { file = before, ...others } } of writer.killed(before)) {
      deepEqual(others, {});
      if (file !== before) match(file!, /^\d+$/);
    }
  });
}

containerTest("a pid file is written where the file system has no files without a name", async () => {
  if (!hasCompiler) return skip("needs gcc");
  await using containers = new Containers();
  using writer = new Writer(containers, ["create", BOX, "--pid-file"]);
  for (const before of BEFORE) {
    const { code } = await writer.run(before, { process: 0, number: 1, fault: "EPERM" });
    equal(code, 0);
    const { file, ...others } = writer.files;
    match(file!, /^\d+$/);
    deepEqual(others, {});
  }
});

containerTest("compile that is killed leaves a whole executable, and never takes one away", async () => {
  if (!hasCompiler) return skip("needs gcc");
  await using containers = new Containers();
  using writer = new Writer(containers, ["compile", `${ROOT}/bundles/hello`, "--output"]);
  await writer.run(undefined);
  const { file: whole } = writer.files;
  for (const before of BEFORE) {
    for await (const { files: { file, ...others } } of writer.killed(before)) {
      ok(file === before || file === whole);
      // Only on its way into the place of another one is it there by another name.
      ok(Object.values(others).every((text) => before !== undefined && text === whole));
    }
  }
});
