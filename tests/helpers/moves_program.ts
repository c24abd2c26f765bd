import { attach } from "../../tools/build/elf.ts";
import { STUBS } from "../../tools/build/stubs.ts";
import { Temporary } from "./cli.ts";
import { hasCompiler } from "./c_program.ts";

/** Stands for Deno: says that it was left to it, with what arguments, and how many descriptors are open. */
const HOST = `
#include <stdio.h>
#include <dirent.h>
extern char **environ;
int main(int argc, char **argv) {
  int open = 0;
  for (DIR *dir = opendir("/proc/self/fd"); readdir(dir); open++);
  printf("left with %d:", open - 3);
  for (int i = 1; i < argc; i++) printf(" %s", argv[i]);
  return environ == 0;
}`;

/** What the stub of the executable makes of a command line. */
export interface Moved {
  readonly code: number;
  /** Begins with `left` if Deno would have begun. */
  readonly said: string;
}

/** The stub of the executable before a program that takes no time. */
export class MovesProgram implements Disposable {
  readonly #directory = new Temporary();
  readonly path: string = `${this.#directory.path}/program`;

  /** @param answers What it is to print for `--version` and `--help`. */
  constructor(answers: readonly string[] = []) {
    const [source, host] = [this.#directory.file("host.c", HOST), `${this.#directory.path}/host`];
    const args = ["-fPIC", "-pie", "-Wl,--build-id", "-o", host, source];
    const { success, stderr } = new Deno.Command("gcc", { args }).outputSync();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    const stub = Uint8Array.fromHex(STUBS[Deno.build.arch]);
    const parts = {
      stub,
      words: ["deno"],
      settings: ["SET=1"],
      payload: new Uint8Array(),
      answers: answers.map((each) => new TextEncoder().encode(each)),
    };
    Deno.writeFileSync(this.path, attach(Deno.readFileSync(host), parts), { mode: 0o755 });
  }

  run(...args: readonly string[]): Moved {
    const { code, signal, stdout, stderr } = new Deno.Command(this.path, { args: [...args] }).outputSync();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    return { code: signal === null ? code : -1, said };
  }

  [Symbol.dispose](): void {
    this.#directory[Symbol.dispose]();
  }
}

/** Why no such program can be made here. */
export const missing: string | undefined = hasCompiler ? undefined : "needs gcc";
