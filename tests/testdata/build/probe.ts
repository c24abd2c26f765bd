// What build_test.ts builds: each command shows one thing about the process it runs in.
import { resolve } from "@std/path";
import { readLine } from "./lines.ts";

export const COMMANDS: Record<string, () => unknown> = {
  args: () => Deno.args,
  cwd: () => Deno.cwd(),
  env: () => ({ ...Deno.env.toObject() }),
  exec: () => Deno.execPath(),
  exit: () => Deno.exit(Number(Deno.args[1])),
  fail: () => {
    throw new TypeError("probe failed");
  },
  echo: readLine,
  descriptors: () => child("/bin/ls", ["/proc/self/fd"]).trim().split("\n"),
  childEnv: () => child("/usr/bin/env", []).trim().split("\n").sort(),
  lazy: async () => (await import("node:path")).posix.join("a", "b"),
  process: () => [process.platform, process.pid === Deno.pid],
  // As libraries ask who they run as.
  // deno-lint-ignore no-prototype-builtins
  user: () => [process.hasOwnProperty("getuid"), process.getuid?.() === Deno.uid()],
  // Whoever needs Node's process has another object in its place afterwards.
  resolve: () => {
    const before = process;
    return [resolve("a"), process === before];
  },
  meta: () => [import.meta.main, import.meta.url],
};

function child(program: string, args: string[]): string {
  return new TextDecoder().decode(new Deno.Command(program, { args }).outputSync().stdout);
}

const command = COMMANDS[Deno.args[0]!] ?? COMMANDS["args"]!;
console.log(JSON.stringify(await command()));
