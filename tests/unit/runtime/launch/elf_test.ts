import { deepEqual, equal, ok } from "node:assert/strict";
import { assemble, type Image } from "../../../../runtime/launch/image.ts";
import { CODE_ADDRESS, DATA_ADDRESS, machineCode } from "../../../../runtime/launch/machine.ts";
import { type Arch, SYSCALLS } from "../../../../runtime/plan/abi.ts";
import { plan } from "../../../../runtime/plan/plan.ts";
import { works } from "../../../helpers/c_program.ts";
import {
  everythingRequest,
  HOST,
  HOST_V2,
  opsOf,
  requestOf,
  ROOTLESS,
} from "../../../helpers/plan_samples.ts";

const ARCHES = ["x86_64", "aarch64"] as const;
const DATA_OFFSET = 0x1000;
const RECORD_BYTES = 96;
const MAP = [{ containerID: 0, hostID: 100_000, size: 65_536 }];

/** Real plans, from the smallest to one with everything. */
function images(arch: Arch): [name: string, image: Image][] {
  const host = { ...HOST, arch };
  return [
    ["the smallest spec", assemble(plan(requestOf({}, { host })))],
    ["everything", assemble(plan(everythingRequest({ host })))],
    [
      "everything on its own",
      assemble(plan(everythingRequest({ host, form: "standalone" })), { texts: true }),
    ],
    ["an unprivileged user", assemble(plan(everythingRequest({ host: { ...ROOTLESS, arch } })))],
    ["cgroup v2", assemble(plan(everythingRequest({ host: { ...HOST_V2, arch } })))],
  ];
}

function segments(
  elf: Uint8Array<ArrayBuffer>,
): { type: number; flags: number; offset: number; address: number; size: number; align: number }[] {
  const view = new DataView(elf.buffer, elf.byteOffset);
  return Array.from({ length: view.getUint16(56, true) }, (_, index) => {
    const at = Number(view.getBigUint64(32, true)) + index * 56;
    equal(view.getBigUint64(at + 16, true), view.getBigUint64(at + 24, true));
    equal(view.getBigUint64(at + 32, true), view.getBigUint64(at + 40, true));
    return {
      type: view.getUint32(at, true),
      flags: view.getUint32(at + 4, true),
      offset: Number(view.getBigUint64(at + 8, true)),
      address: Number(view.getBigUint64(at + 16, true)),
      size: Number(view.getBigUint64(at + 32, true)),
      align: Number(view.getBigUint64(at + 48, true)),
    };
  });
}

for (const arch of ARCHES) {
  for (const [name, { elf, steps }] of images(arch)) {
    Deno.test(`assemble() makes an ELF file of code and data on ${arch}: ${name}`, () => {
      const view = new DataView(elf.buffer, elf.byteOffset);
      deepEqual([...elf.subarray(0, 8)], [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]);
      deepEqual([view.getUint16(16, true), view.getUint16(18, true)], [2, arch === "x86_64" ? 62 : 183]);
      equal(Number(view.getBigUint64(24, true)), CODE_ADDRESS);
      const [text, data, stack] = segments(elf);
      deepEqual([text?.type, text?.flags, data?.type, data?.flags], [1, 5, 1, 6]);
      deepEqual([stack?.type, stack?.flags], [0x6474e551, 6], "a stack without execution");
      for (const { offset, address, align } of [text!, data!]) equal(offset % align, address % align);
      equal(data!.offset + data!.size, elf.length);
      ok(text!.address + text!.size <= data!.address);
      // With pages of 64 KiB too the segments lie on pages of their own.
      ok(Math.floor((text!.address + text!.size - 1) / 0x10000) < Math.floor(data!.address / 0x10000));
      const code = machineCode(arch);
      const start = CODE_ADDRESS - text!.address + text!.offset;
      deepEqual(elf.subarray(start, start + code.length), code);
    });

    Deno.test(`assemble() writes records that stay inside the image on ${arch}: ${name}`, () => {
      const view = new DataView(elf.buffer, elf.byteOffset);
      const first = DATA_ADDRESS + 0x20;
      const end = DATA_ADDRESS + elf.length - DATA_OFFSET;
      const numbers = new Set<number>([
        -1,
        -2,
        -3,
        ...Object.values(SYSCALLS).map((pair) => pair[ARCHES.indexOf(arch)]!),
      ]);
      const isRecord = (address: number): boolean =>
        address >= first && address < first + steps.length * RECORD_BYTES &&
        (address - first) % RECORD_BYTES === 0;
      steps.forEach(({ does, call }, index) => {
        const at = DATA_OFFSET + 0x20 + index * RECORD_BYTES;
        ok(numbers.has(view.getInt32(at + 64, true)), `${does}: ${call}`);
        const [zero, positive, error, ignored] = [72, 76, 80, 84].map((offset) =>
          view.getUint32(at + offset, true)
        );
        // Only an exit may be the last: nothing comes behind it.
        const last = index === steps.length - 1 && call === "exit_group";
        for (const target of [zero!, positive!, ignored!]) {
          ok(isRecord(target) || last, `${does} goes nowhere`);
        }
        ok(isRecord(error!), `${does} fails to nowhere`);
        const result = Number(view.getBigUint64(at + 48, true));
        ok(result >= DATA_ADDRESS && result + 8 <= end && result % 8 === 0, `${does} stores outside`);
        const mask = view.getUint8(at + 88);
        for (let position = 0; position < 6; position++) {
          if ((mask >> position & 1) === 0) continue;
          const slot = Number(view.getBigUint64(at + position * 8, true));
          ok(slot >= DATA_ADDRESS && slot + 8 <= end && slot % 8 === 0, `${does} reads a slot outside`);
        }
        equal(view.getUint8(at + 89), 128);
        const words = Number(view.getBigUint64(at + 56, true));
        ok(words === 0 || (words >= first && words < end));
      });
    });

    Deno.test(`assemble() writes pointers that stay inside the image on ${arch}: ${name}`, () => {
      const view = new DataView(elf.buffer, elf.byteOffset);
      const end = DATA_ADDRESS + elf.length - DATA_OFFSET;
      // Whatever points near the image points into its data.
      for (let at = DATA_OFFSET; at + 8 <= elf.length; at += 8) {
        const word = view.getBigUint64(at, true);
        if (word < 0x400000n || word > 0x42ffffn) continue;
        ok(word >= BigInt(DATA_ADDRESS) && word <= BigInt(end), `${word.toString(16)} at ${at}`);
      }
    });

    Deno.test({
      name: `readelf finds nothing wrong on ${arch}: ${name}`,
      ignore: !works("readelf", "--version"),
      fn: () => {
        const path = Deno.makeTempFileSync();
        try {
          Deno.writeFileSync(path, elf);
          const { stdout, stderr } = new Deno.Command("readelf", { args: ["-hlW", path] }).outputSync();
          equal(new TextDecoder().decode(stderr), "");
          const text = new TextDecoder().decode(stdout);
          ok(text.includes(arch === "x86_64" ? "Advanced Micro Devices X86-64" : "AArch64"), text);
          equal(text.match(/^ +LOAD /gm)?.length, 2);
        } finally {
          Deno.removeSync(path);
        }
      },
    });
  }
}

Deno.test("plan() gives no two steps the same label", () => {
  const mounts = [{ destination: "/proc", type: "proc" }];
  const userns = {
    namespaces: [{ type: "mount" }, { type: "user" }],
    uidMappings: MAP,
    gidMappings: MAP,
  } as const;
  const requests = [
    requestOf(),
    everythingRequest(),
    everythingRequest({ form: "standalone" }),
    everythingRequest({ host: ROOTLESS }),
    requestOf({ mounts, linux: userns, process: { terminal: true } }),
    requestOf({ mounts, process: { terminal: true } }),
  ];
  for (const request of requests) {
    const labels = opsOf(plan(request)).flatMap(({ label }) => label ?? []);
    deepEqual(labels.filter((label, index) => labels.indexOf(label) !== index), []);
  }
});

Deno.test("assemble() makes the same image of the same plan", () => {
  deepEqual(assemble(plan(everythingRequest())).elf, assemble(plan(everythingRequest())).elf);
});

Deno.test("assemble() keeps the steps of a plan in their order", () => {
  const made = plan(everythingRequest());
  const { steps } = assemble(made);
  const words = opsOf(made).map(({ does }) => does);
  deepEqual(steps.map(({ does }) => does).filter((does) => !does.startsWith("fill in ")), words);
});
