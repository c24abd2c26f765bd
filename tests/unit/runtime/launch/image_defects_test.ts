import { equal, ok, throws } from "node:assert/strict";
import { assemble } from "../../../../runtime/launch/image.ts";
import { DATA_ADDRESS } from "../../../../runtime/launch/machine.ts";
import { type Op, op, slot } from "../../../../runtime/plan/op.ts";
import { exit } from "../../../helpers/run_image.ts";

Deno.test("assemble() refuses labels and slots that nothing defines, and labels that two steps have", () => {
  const of = (...ops: Op[]): () => void => () =>
    void assemble({ arch: "x86_64", sections: [{ by: "end", ops: [...ops, exit(0, { label: "fail" })] }] });
  throws(of(op("a", "let", [0], { zero: "nowhere" })), /Cannot jump to "nowhere": no step has this label/);
  throws(of(op("a", "let", [slot("nothing")])), /Cannot use slot "nothing": no step stores it/);
  throws(
    of(op("a", "let", [{ struct: "s", members: [["x", 4, slot("y")]] }], { into: "y" })),
    /Cannot keep slot "y" in s\.x: it has 4 bytes/,
  );
  throws(
    () => void assemble({ arch: "x86_64", sections: [{ by: "end", ops: [exit(0)] }] }),
    /Cannot jump to "fail"/,
  );
});

Deno.test("assemble() places large data and numbers up to 64 bits", () => {
  const big = { bytes: new Uint8Array(1 << 20).fill(7), shows: "big" };
  const ops = [op("a", "write", [1, big, big.bytes.length]), exit(0, { label: "fail" })];
  const { elf } = assemble({ arch: "x86_64", sections: [{ by: "end", ops }] });
  ok(elf.length > 1 << 20);
  const view = new DataView(elf.buffer);
  const record = (number: number | bigint): bigint => {
    const image = assemble({
      arch: "x86_64",
      sections: [{ by: "end", ops: [op("a", "let", [number]), exit(0, { label: "fail" })] }],
    });
    return new DataView(image.elf.buffer).getBigUint64(0x1000 + 0x20, true);
  };
  for (
    const number of [
      0,
      1,
      0x7fffffff,
      0x80000000,
      0xffffffff,
      2 ** 32,
      2 ** 53 - 1,
      2n ** 63n,
      2n ** 64n - 1n,
    ]
  ) {
    equal(record(number), BigInt(number));
  }
  for (const number of [-1, -100, -(2 ** 31), -(2 ** 32), -(2 ** 40), -1n, -(2n ** 32n)]) {
    equal(record(number), BigInt.asUintN(64, BigInt(number)));
  }
  equal(view.getBigUint64(24, true) < BigInt(DATA_ADDRESS), true);
});
