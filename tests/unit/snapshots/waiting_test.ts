import { equal, ok } from "node:assert/strict";
import { DATA_ADDRESS } from "../../../runtime/launch/machine.ts";
import { WAITING_CODE } from "../../../snapshots/waiting.ts";
import { GATE_FD, TABLE_FD } from "../../../snapshots/worker_plan.ts";
import { works } from "../../helpers/c_program.ts";

const PREFIX = Deno.build.arch === "x86_64" ? "" : "x86_64-linux-gnu-";
const SOURCE = new URL("../../../snapshots/waiting_x86_64.s", import.meta.url).pathname;

Deno.test({
  name: "WAITING_CODE is what waiting_x86_64.s assembles to",
  ignore: !works(`${PREFIX}as`, "--version"),
  fn: () => {
    const directory = Deno.makeTempDirSync();
    const run = (name: string, ...args: string[]): void => {
      const command = new Deno.Command(`${PREFIX}${name}`, { args, cwd: directory });
      const { success, stderr } = command.outputSync();
      ok(success, new TextDecoder().decode(stderr));
    };
    try {
      run("as", "-o", "a.o", SOURCE);
      run("objcopy", "-j", ".text", "-O", "binary", "a.o", "a.bin");
      equal(WAITING_CODE, Deno.readFileSync(`${directory}/a.bin`).toHex());
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  },
});

Deno.test("waiting_x86_64.s knows its descriptors and where the data lies", () => {
  const text = Deno.readTextFileSync(SOURCE);
  const value = (name: string): number => Number(new RegExp(`\\.set\\s+${name}, (\\w+)`).exec(text)?.[1]);
  equal(value("GATE"), GATE_FD);
  equal(value("TABLE"), TABLE_FD);
  equal(value("DATA"), DATA_ADDRESS);
});
