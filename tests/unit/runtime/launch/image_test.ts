import { deepEqual, equal } from "node:assert/strict";
import { assemble, stepAt } from "../../../../runtime/launch/image.ts";
import { type Arch, ERRNO, O, O_DIRECTORY, O_NOFOLLOW } from "../../../../runtime/plan/abi.ts";
import { type Op, op, slot, text, zeros } from "../../../../runtime/plan/op.ts";
import { exit, RUNNABLE, runOps, say } from "../../../helpers/run_image.ts";

/** A plan's steps with the exit code and the output that are due on every architecture. */
type Row = readonly [name: string, ops: (arch: Arch) => readonly Op[], code: number, stdout?: string];

const ROWS: readonly Row[] = [
  ["ends with a code", () => [exit(7)], 7],
  [
    "let adds first and second × third",
    () => [op("a", "let", [5, 6, 7], { into: "x" }), exit(slot("x"))],
    47,
  ],
  ["let keeps a value", () => [op("a", "let", [42], { into: "x" }), exit(slot("x"))], 42],
  ["let takes 1 for a missing factor", () => [op("a", "let", [40, 2], { into: "x" }), exit(slot("x"))], 42],
  [
    "let subtracts by a negative factor",
    () => [op("a", "let", [50, 4, -2], { into: "x" }), exit(slot("x"))],
    42,
  ],
  [
    "let works on 64 bits",
    () => [
      op("a", "let", [0xffff_ffff_ffff_fff0n, 2n ** 32n, 2n ** 31n], { into: "x" }),
      op("b", "let", [slot("x"), -1, 0x7fff_ffff_ffff_fff0n], { zero: "ok" }),
      exit(1),
      exit(42, { label: "ok" }),
    ],
    42,
  ],
  [
    "load reads 8 bytes at first + second × third",
    () => {
      const table = new Uint8Array(24);
      new DataView(table.buffer).setBigUint64(16, 42n, true);
      return [
        op("index", "let", [2], { into: "i" }),
        op("load", "load", [{ bytes: table, shows: "table" }, slot("i"), 8], { into: "x" }),
        exit(slot("x")),
      ];
    },
    42,
  ],
  [
    "load reads inside bytes",
    () => [
      op("load", "load", [{
        inside: { bytes: new Uint8Array([1, 42, 0, 0, 0, 0, 0, 0, 0]), shows: "" },
        offset: 1,
      }, 0], { into: "x" }),
      exit(slot("x")),
    ],
    42,
  ],
  ...([0, 7, 10, 4294967295, 2n ** 64n - 1n] as const).map((number): Row => {
    const room = text(".".repeat(20));
    return [
      `decimal writes ${number}`,
      () => [
        op("digits", "decimal", [number, { inside: room, offset: 20 }]),
        op("say", "write", [1, { bytes: room.bytes, shows: "" }, 0]),
        op("say", "write", [1, room, 20]),
        exit(0),
      ],
      0,
      String(number).padStart(20, "."),
    ];
  }),
  ["zero jumps on 0", () => [op("a", "let", [0], { zero: "z" }), exit(1), exit(42, { label: "z" })], 42],
  [
    "zero goes on otherwise",
    () => [op("a", "let", [1], { zero: "z" }), exit(42), exit(1, { label: "z" })],
    42,
  ],
  [
    "positive jumps above 0",
    () => [op("a", "let", [3], { positive: "p" }), exit(1), exit(42, { label: "p" })],
    42,
  ],
  [
    "positive goes on with 0",
    () => [op("a", "let", [0], { positive: "p" }), exit(42), exit(1, { label: "p" })],
    42,
  ],
  [
    "zero and positive part the ways",
    () => [
      op("a", "let", [0], { zero: "z", positive: "p" }),
      exit(1),
      exit(2, { label: "p" }),
      exit(42, { label: "z" }),
    ],
    42,
  ],
  [
    "failed jumps on an error",
    () => [op("a", "close", [999], { failed: "f" }), exit(1), exit(42, { label: "f" })],
    42,
  ],
  [
    "ignored errors go on with the next step",
    () => [op("a", "close", [999], { ignore: ["EBADF"] }), exit(42)],
    42,
  ],
  [
    "ignored jumps on an ignored error",
    () => [
      op("a", "close", [999], { ignore: ["EPERM", "EBADF"], ignored: "i" }),
      exit(1),
      exit(42, { label: "i" }),
    ],
    42,
  ],
  [
    "all six ignored errors count",
    () => [
      op("a", "close", [999], { ignore: ["EPERM", "EIO", "ENXIO", "E2BIG", "ENOENT", "EBADF"] }),
      exit(42),
    ],
    42,
  ],
  [
    "failed takes what is not ignored",
    () => [
      op("a", "close", [999], { ignore: ["EPERM"], ignored: "i", failed: "f" }),
      exit(1),
      exit(2, { label: "i" }),
      exit(42, { label: "f" }),
    ],
    42,
  ],
  [
    "labels are found before and behind the step",
    () => [
      op("start", "let", [0], { into: "n" }),
      op("count", "let", [slot("n"), 1], { into: "n", label: "loop" }),
      op("compare", "let", [slot("n"), -1, 42], { zero: "done" }),
      op("again", "let", [0], { zero: "loop" }),
      exit(slot("n"), { label: "done" }),
    ],
    42,
  ],
  [
    "a failing step keeps its errno beside the record",
    () => [op("a", "close", [999], { failed: "f" }), exit(slot("errno"), { label: "f" })],
    ERRNO.EBADF,
  ],
  [
    "EAGAIN is retried at most 128 times",
    () => [
      // A pipe that nobody writes to, without waiting.
      op("pipe", "pipe2", [zeros(8, "ends"), 0o4000]),
      op("read", "read", [3, zeros(8, "byte"), 1], { ignore: ["EAGAIN"], ignored: "tired" }),
      exit(1),
      exit(42, { label: "tired" }),
    ],
    42,
  ],
  [
    "O_DIRECTORY and O_NOFOLLOW are those of the architecture",
    (arch) => [
      op("a", "openat", [-100, "/proc/self/exe", O.PATH | O_DIRECTORY[arch], 0], { failed: "one" }),
      exit(1),
      op("a", "let", [slot("errno"), -1, ERRNO.ENOTDIR], { label: "one", zero: "two" }),
      exit(2),
      // Not a link in /proc: QEMU 8 follows those by itself.
      op("b", "openat", [-100, "/bin/sh", O.RDONLY | O_NOFOLLOW[arch], 0], {
        label: "two",
        failed: "three",
      }),
      exit(3),
      op("b", "let", [slot("errno"), -1, ERRNO.ELOOP], { label: "three", zero: "four" }),
      exit(4),
      exit(42, { label: "four" }),
    ],
    42,
  ],
  [
    "strings are pointers to NUL-terminated text, one for all uses",
    () => [
      op("look", "faccessat2", [-100, "/proc", 0, 0], { failed: "no" }),
      op("look", "faccessat2", [-100, "/größe/none", 0, 0], { failed: "good" }),
      exit(1, { label: "no" }),
      exit(42, { label: "good" }),
    ],
    42,
  ],
  [
    "execve gets argv and envp",
    () => [
      op("run", "execve", ["/bin/sh", { strings: ["sh", "-c", 'echo "$0 $1 $A"; exit 42', "zero", "ü b"] }, {
        strings: ["A=x y", "PATH=/bin"],
      }]),
    ],
    42,
    "zero ü b x y\n",
  ],
  [
    "struct members that are slots are filled in, nested ones too",
    () => {
      const inner = { struct: "inner", members: [["a", 8, slot("x")], ["b", 8, 5]] } as const;
      const outer = {
        struct: "outer",
        members: [["p", 8, inner], ["c", 8, slot("x")], ["d", 4, 7], ["e", 2, 8], ["f", 1, 9], ["g", 1, 255]],
      } as const;
      return [
        op("x", "let", [30], { into: "x" }),
        op("use", "load", [outer, 0], { into: "inner" }),
        op("use", "load", [slot("inner"), 0], { into: "a" }),
        op("use", "load", [outer, 1, 8], { into: "c" }),
        op("sum", "let", [slot("a"), slot("c")], { into: "sum" }),
        op("sum", "let", [slot("sum"), -1, 18], { into: "sum" }),
        exit(slot("sum")),
      ];
    },
    42,
  ],
  ["pieces of output come in order", () => [say("a"), say("ü"), say("c\n"), exit(0)], 0, "aüc\n"],
];

for (const arch of ["x86_64", "aarch64"] as const) {
  const ignore = !RUNNABLE.includes(arch);
  for (const [name, ops, code, stdout = ""] of ROWS) {
    Deno.test({
      name: `assemble() on ${arch}: ${name}`,
      ignore,
      fn: () => {
        const ran = runOps(arch, ops(arch));
        deepEqual([ran.code, ran.stdout, ran.stderr], [code, stdout, ""]);
      },
    });
  }

  Deno.test({
    name: `assemble() on ${arch} reports the record and the errno of the step that failed`,
    ignore,
    fn: () => {
      const steps = [op("go on", "let", [0]), say(""), op("close it", "close", [999]), exit(1)];
      const { code, stdoutBytes } = runOps(arch, steps);
      equal(code, 99);
      const words = new BigUint64Array(stdoutBytes.slice(0, 16).buffer);
      equal(words[1], BigInt(ERRNO.EBADF));
      const image = assemble({
        arch,
        sections: [{ by: "launcher", ops: [...steps, exit(0, { label: "fail" })] }],
      });
      const step = stepAt(Number(words[0]));
      equal(image.steps[step]?.does, "close it");
      equal(step, 2);
    },
  });

  Deno.test({
    name: `assemble() on ${arch} keeps the words of every step where it is asked to`,
    ignore,
    fn: () => {
      const steps = [
        op("do the impossible", "close", [999], { failed: "told" }),
        op("words", "load", [slot("failed"), 1, 56], { label: "told", into: "words" }),
        op("length", "load", [slot("words"), 0], { into: "length" }),
        op("text", "let", [slot("words"), 8], { into: "text" }),
        op("say", "write", [1, slot("text"), slot("length")], { failed: "end" }),
        exit(3, { label: "end" }),
      ];
      const { code, stdout } = runOps(arch, steps.map((each) => each), { texts: true });
      deepEqual([code, stdout], [3, "do the impossible"]);
    },
  });
}
