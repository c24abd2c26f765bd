import { equal, ok } from "node:assert/strict";
import { CODE_ADDRESS, DATA_ADDRESS, machineCode } from "../../../../runtime/launch/machine.ts";
import type { Arch } from "../../../../runtime/plan/abi.ts";
import { works } from "../../../helpers/c_program.ts";

const PREFIX: Record<Arch, string> = {
  x86_64: Deno.build.arch === "x86_64" ? "" : "x86_64-linux-gnu-",
  aarch64: "aarch64-linux-gnu-",
};

for (const arch of ["x86_64", "aarch64"] as const) {
  const tool = (name: string): string => PREFIX[arch] + name;
  Deno.test({
    name: `machineCode() is what machine/${arch}.s assembles to`,
    ignore: !works(tool("as"), "--version"),
    fn: () => {
      const source = new URL(`../../../../runtime/launch/machine/${arch}.s`, import.meta.url).pathname;
      const directory = Deno.makeTempDirSync();
      const run = (name: string, ...args: string[]): void => {
        const { success, stderr } = new Deno.Command(tool(name), { args, cwd: directory }).outputSync();
        ok(success, new TextDecoder().decode(stderr));
      };
      try {
        run("as", "-o", "a.o", source);
        run("ld", `-Ttext=0x${CODE_ADDRESS.toString(16)}`, "-o", "a.elf", "a.o");
        run("objcopy", "-j", ".text", "-O", "binary", "a.elf", "a.bin");
        equal(machineCode(arch).toHex(), Deno.readFileSync(`${directory}/a.bin`).toHex());
      } finally {
        Deno.removeSync(directory, { recursive: true });
      }
    },
  });

  Deno.test(`machine/${arch}.s knows where the data lies`, () => {
    const source = new URL(`../../../../runtime/launch/machine/${arch}.s`, import.meta.url);
    const [, address] = /\.set\s+DATA, (0x[0-9a-f]+)/.exec(Deno.readTextFileSync(source)) ?? [];
    equal(Number(address), DATA_ADDRESS);
  });
}
