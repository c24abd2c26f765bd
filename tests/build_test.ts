/** Builds a small program into one executable and runs that where neither Deno nor anything of ours is at hand. */
import { deepEqual, equal, match, ok, rejects, throws } from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { build } from "../tools/build.ts";
import { bundle, toChunk } from "../tools/build/bundle.ts";
import { direct, exportsOf } from "../tools/build/direct_imports.ts";
import { NUMBERS, readElf } from "../tools/build/elf.ts";
import { STUBS } from "../tools/build/stubs.ts";
import { ROOT } from "./helpers/cli.ts";
import { containerTest } from "./helpers/container_test.ts";
import { skip } from "./helpers/skip.ts";

const PROBE = fromFileUrl(new URL("testdata/build/probe.ts", import.meta.url));
const BUILD = fromFileUrl(new URL("../tools/build.ts", import.meta.url));
const TOOLS = fromFileUrl(new URL("../tools/build/", import.meta.url));
const BINUTILS = { x86_64: "", aarch64: "aarch64-linux-gnu-" } as const;

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `program` with nothing but `env`, from `cwd`. */
async function run(
  program: string,
  args: readonly string[],
  options: { cwd: string; env?: Record<string, string>; stdin?: string },
): Promise<Result> {
  const env = Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`);
  const child = new Deno.Command("/usr/bin/env", {
    args: ["-i", ...env, program, ...args],
    cwd: options.cwd,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(options.stdin ?? "")).catch(() => {});
  await writer.close().catch(() => {});
  const { code, stdout, stderr } = await child.output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

Deno.test("build() makes an executable that stands alone", async (t) => {
  const dir = await Deno.makeTempDir();
  const cwd = join(dir, "empty");
  const program = join(dir, "runtime");
  await Deno.mkdir(cwd);
  const json = async (args: string[], options: Partial<Parameters<typeof run>[2]> = {}): Promise<unknown> => {
    const { code, stdout, stderr } = await run(program, args, { cwd, ...options });
    deepEqual({ code, stderr }, { code: 0, stderr: "" });
    return JSON.parse(stdout);
  };
  try {
    const args = ["run", "-A", BUILD, "--entry", PROBE, "--output", program, "--warm=args", "--warm=env"];
    const built = await new Deno.Command(Deno.execPath(), { args }).output();
    await t.step("and says what is in it", () => {
      const report = new TextDecoder().decode(built.success ? built.stdout : built.stderr);
      match(
        report,
        /^program: [\d +]+ bytes from .+\ncode cache: [\d +]+ bytes\n.+: [\d.]+ MB with Deno .+\nbuilt in/,
      );
    });
    await t.step("of mode 0755", async () => equal((await Deno.stat(program)).mode! & 0o7777, 0o755));
    await t.step("arguments pass unchanged", async () => {
      for (
        const args of [[], ["--help"], ["--version"], ["-A", "--", "--version", "", "a b", "é✓", "%41#?"]]
      ) {
        deepEqual(await json(args), args);
      }
      const many = Array.from({ length: 5000 }, (_, i) => `${i}`);
      deepEqual(await json(many), many);
    });
    await t.step(
      "the exit code passes",
      async () => equal((await run(program, ["exit", "42"], { cwd })).code, 42),
    );
    await t.step("an uncaught error exits with 1", async () => {
      const { code, stdout, stderr } = await run(program, ["fail"], { cwd });
      deepEqual({ code, stdout }, { code: 1, stdout: "" });
      match(stderr, /TypeError: probe failed/);
    });
    await t.step("stdin passes", async () => equal(await json(["echo"], { stdin: "grüße\n" }), "grüße"));
    await t.step("the environment passes without Deno's settings", async () => {
      deepEqual(await json(["env"]), {});
      const env = { A: "1", DENO: "2", _: "3", PATH: "", HOME: "", EMPTY: "" };
      const steering = { DENO_V8_FLAGS: "--no-such-flag", NODE_OPTIONS: "--inspect", OTEL_DENO: "true" };
      deepEqual(await json(["env"], { env: { ...env, ...steering } }), env);
      deepEqual(await json(["childEnv"], { env: { A: "1", DENO_DIR: cwd } }), ["A=1"]);
    });
    await t.step("children inherit no descriptor", async () => {
      const { stdout } = await run("/bin/ls", ["/proc/self/fd"], { cwd }); // what the test itself has passed on
      deepEqual(await json(["descriptors"]), stdout.trim().split("\n"));
    });
    await t.step(
      "node: modules load when they are asked for",
      async () => equal(await json(["lazy"]), "a/b"),
    );
    await t.step("process works", async () => deepEqual(await json(["process"]), ["linux", true]));
    await t.step(
      "process has getuid() of its own, by which libraries tell D-Bus who they are",
      async () => deepEqual(await json(["user"]), [true, true]),
    );
    await t.step(
      "a relative path is resolved without Node's process, which takes 40 ms to load",
      async () => {
        deepEqual(await json(["resolve"]), [join(cwd, "a"), true]);
      },
    );
    await t.step("import.meta names the executable", async () => {
      deepEqual(await json(["meta"]), [true, `file://${program}`]);
    });
    await t.step("nothing is written", async () => {
      await json(["args"], { env: { HOME: cwd, XDG_CACHE_HOME: cwd } });
      deepEqual([...Deno.readDirSync(cwd)], []);
    });
    await t.step("the working directory has no influence", async () => {
      const hostile = join(dir, "hostile");
      await Deno.mkdir(join(hostile, "node_modules"), { recursive: true });
      const bad = '{ "imports": { "node:path": "./bad.js" }, "type": "commonjs", "workspace": ["./gone"] }';
      for (const name of ["deno.json", "package.json", "deno.lock", ".npmrc", "bunfig.toml"]) {
        await Deno.writeTextFile(join(hostile, name), bad);
      }
      await Deno.writeTextFile(join(hostile, ".env"), "BAD=1\n");
      const env = { HOME: hostile };
      deepEqual(await json(["env"], { cwd: hostile, env }), env);
      equal(await json(["lazy"], { cwd: hostile, env }), "a/b");
    });
    await t.step("it runs through a symbolic link", async () => {
      await Deno.symlink(program, join(dir, "node"));
      deepEqual(JSON.parse((await run(join(dir, "node"), ["x"], { cwd })).stdout), ["x"]);
    });
    await t.step("it runs through PATH", async () => {
      const { stdout } = await run("/bin/sh", ["-c", "runtime x"], { cwd, env: { PATH: dir } });
      deepEqual(JSON.parse(stdout), ["x"]);
    });
    await t.step("it runs from a read-only file on another file system", async () => {
      const copy = await Deno.makeTempFile({ dir: "/dev/shm" });
      try {
        await Deno.copyFile(program, copy);
        await Deno.chmod(copy, 0o555);
        equal(JSON.parse((await run(copy, ["exec"], { cwd })).stdout), copy);
      } finally {
        await Deno.remove(copy);
      }
    });
    await t.step("it runs the same when built the plain way", async () => {
      const plain = join(dir, "plain");
      await build({ entry: PROBE, output: plain, minify: false, prelink: false, codeCache: false });
      deepEqual(JSON.parse((await run(plain, ["args", "--help"], { cwd })).stdout), ["args", "--help"]);
      deepEqual(JSON.parse((await run(plain, ["childEnv"], { cwd })).stdout), [""]);
      await Deno.remove(plain);
    });
    await t.step("a failed build leaves the old one and no rest", async () => {
      await rejects(build({ entry: join(dir, "gone.ts"), output: program }), /Cannot bundle/);
      deepEqual(await json(["x"]), ["x"]);
      deepEqual([...Deno.readDirSync(dir)].map((e) => e.name).sort(), [
        "empty",
        "hostile",
        "node",
        "runtime",
      ]);
    });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

for (const [machine, prefix] of Object.entries(BINUTILS) as [keyof typeof STUBS, string][]) {
  Deno.test(`STUBS.${machine} is what stub_${machine}.S assembles to`, async (t) => {
    const dir = await Deno.makeTempDir();
    try {
      const [object, linked, bytes] = ["object", "linked", "bytes"].map((name) =>
        join(dir, name)
      ) as string[];
      for (
        const [tool, ...args] of [
          ["as", "-o", object!, join(TOOLS, `stub_${machine}.S`)],
          ["ld", "-Ttext=0", "-o", linked!, object!],
          ["objcopy", "-O", "binary", "-j", ".text", linked!, bytes!],
        ]
      ) {
        const { success, stderr } = await new Deno.Command(prefix + tool, { args }).output();
        ok(success, new TextDecoder().decode(stderr));
      }
      equal(Deno.readFileSync(bytes!).toHex(), STUBS[machine]);
      equal(STUBS[machine].length % 32, 0);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      skip(`needs ${prefix}binutils`, t);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  });
}

/** Links a program that reaches libc's `environ` as Deno does, for another machine than this one. */
async function foreignHost(dir: string): Promise<string> {
  const path = (name: string): string => join(dir, name);
  const sources = {
    libc: ".data\n.globl environ\n.type environ, %object\n.size environ, 8\nenviron: .quad 0\n",
    host: ".globl _start\n_start: adrp x0, :got:environ\nldr x0, [x0, :got_lo12:environ]\nret\n",
  };
  for (const [name, text] of Object.entries(sources)) await Deno.writeTextFile(path(`${name}.s`), text);
  for (
    const [tool, ...args] of [
      ["as", path("libc.s"), "-o", path("libc.o")],
      ["as", path("host.s"), "-o", path("host.o")],
      ["ld", "-shared", path("libc.o"), "-o", path("libc.so.6")],
      [
        "ld",
        "-pie",
        "--build-id",
        "--dynamic-linker=/lib/ld",
        path("host.o"),
        path("libc.so.6"),
        "-o",
        path("host"),
      ],
    ]
  ) {
    const { success, stderr } = await new Deno.Command(BINUTILS.aarch64 + tool, { args }).output();
    ok(success, new TextDecoder().decode(stderr));
  }
  return path("host");
}

containerTest(
  "build() leaves no container of its warm-up behind, even if that could not remove it",
  async () => {
    const output = await Deno.makeTempFile();
    try {
      const warm = [`--root containers create --bundle . build-${Deno.pid}`];
      const report = await build({ entry: join(ROOT, "cli/main.ts"), output, warm });
      ok(!report.includes("no code cache: no warm-up succeeded"));
    } finally {
      await Deno.remove(output);
    }
  },
);

Deno.test("build() extends a Deno of another machine", async () => {
  if (Deno.build.arch === "aarch64") return skip("aarch64 is no other machine here");
  const dir = await Deno.makeTempDir();
  try {
    const [deno, output] = [await foreignHost(dir), join(dir, "runtime")];
    const report = await build({ entry: PROBE, output, deno });
    match(report.join("\n"), /^no code cache: a program for aarch64 cannot run here$/m);
    const bytes = await Deno.readFile(output);
    const view = new DataView(bytes.buffer);
    equal(view.getUint16(18, true), 183, "EM_AARCH64");
    const { freeAddress, entry } = readElf(await Deno.readFile(deno));
    equal(view.getBigUint64(24, true), freeAddress, "it begins with the stub");
    const load = [...Array(view.getUint16(56, true)).keys()].map((index) => 64 + 56 * index).filter((at) =>
      view.getUint32(at, true) === 1 && view.getBigUint64(at + 16, true) === freeAddress
    );
    equal(load.length, 1, "one segment holds it");
    const at = Number(view.getBigUint64(load[0]! + 8, true));
    const code = STUBS.aarch64.length / 2 - 8 * NUMBERS;
    equal(bytes.subarray(at, at + code).toHex(), STUBS.aarch64.slice(0, 2 * code));
    equal(view.getBigInt64(at + code + 16, true), entry - freeAddress, "from where it goes on with Deno");
    match(new TextDecoder().decode(bytes.subarray(at + 0x10000)), /probe failed/);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    skip("needs binutils-aarch64-linux-gnu");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

for (
  const [module, script, imports, needs] of [
    ["f();\nexport { f };\n", "f();\n\nreturn { get f() { return f; } };", [], []],
    ["f();export{a as b,c};", "f();\nreturn { get b() { return a; }, get c() { return c; } };", [], []],
    ['import * as p from "node:path";\np;', 'const p = await import("node:path");\np;', ["node:path"], []],
    ['function f(){}import{a}from"node:fs";a', 'function f(){}const { a } = await import("node:fs");a', [
      "node:fs",
    ], []],
    ['import{a as b,c}from"node:fs";b', 'const { a: b,c } = await import("node:fs");b', ["node:fs"], []],
    [
      'import d, { e } from "node:os";',
      'const { default: d, e } = await import("node:os");',
      ["node:os"],
      [],
    ],
    ['import "node:os";', 'await import("node:os");', ["node:os"], []],
    [
      'import{a as b}from"./x.js";import"./y.js";import("./z.js")',
      'const { a: b } = await __load("x.js");await __load("y.js");__load("z.js")',
      [],
      ["x.js", "y.js"],
    ],
    [
      'function f(){}import{a}from"node:os";',
      'function f(){}const { a } = await import("node:os");',
      ["node:os"],
      [],
    ],
    ["if (import.meta.main) f();", "if (true) f();", [], []],
    ['const s = "import x from";', 'const s = "import x from";', [], []],
  ] as const
) {
  Deno.test(`toChunk() rewrites ${module.trim().replaceAll("\n", " ")}`, () => {
    deepEqual(toChunk(module), { text: `async (__load) => { "use strict"; \n${script}\n}`, imports, needs });
  });
}

Deno.test("toChunk() finds the exports in front of licenses, and libraries that are chunks", () => {
  const { text } = toChunk('import("lib");f();export{f as default}\n/*! A license. */\n/* Another. */\n', [
    "lib",
  ]);
  ok(text.includes('__load("lib");f();'));
  match(text, /Another\. \*\/\nreturn \{ get default\(\) \{ return f; \} \};\n\}$/);
  match(toChunk('import("lib")').text, /import\("lib"\)/);
});

Deno.test("direct() takes imports from where the library's door has them", () => {
  const origins = exportsOf(
    'export { a, type T } from "./runtime/a.ts";\nexport { b } from "./runtime/b.ts";\nexport type { U } from "./u.ts";\n',
  );
  deepEqual([...origins], [["a", "runtime/a.ts"], ["b", "runtime/b.ts"]]);
  equal(
    direct(
      'import { a, type T } from "../../mod.ts";\nimport type { U } from "../../mod.ts";',
      origins,
      "../..",
    ),
    'import { a } from "../../runtime/a.ts";\nimport { type T } from "../../mod.ts";\n' +
      'import type { U } from "../../mod.ts";',
  );
});

/** A program of which `main.ts` runs the module that its argument names; hot and warm share more than cold does. */
async function writeProgram(dir: string): Promise<string> {
  const user = (name: string, shared: readonly string[]): string => {
    const imports = shared.map((each) => `import { ${each} } from "./${each}.ts";\n`).join("");
    return `${imports}export const run = () => console.log("${name}", ${shared.join("(), ")}());`;
  };
  const shared = (name: string): string =>
    `let count = 0;\nexport const ${name} = () => "${name}" + ++count;`;
  const files = {
    "main.ts": "export {};\nconst all = { hot: () => import('./hot.ts'), warm: () => import('./warm.ts'), " +
      "cold: () => import('./cold.ts') };\nfor (const name of Deno.args) (await all[name as 'hot']()).run();",
    "hot.ts": user("hot", ["all", "both"]),
    "warm.ts": user("warm", ["all", "both"]),
    "cold.ts": user("cold", ["all"]),
    "all.ts": shared("all"),
    "both.ts": shared("both"),
  };
  for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(join(dir, name), text);
  return join(dir, "main.ts");
}

Deno.test("bundle() keeps what begins, what runs often, and what two such share apart from the rest", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const hot = [["hot"], ["warm", "absent"]];
    const { scripts, map: { places } } = await bundle(await writeProgram(dir), { minify: true, hot });
    equal(scripts.length, 5);
    const chunks = Object.keys(places);
    const place = (name: string): number => places[chunks.find((each) => each.startsWith(`${name}-`))!]!;
    const inOne = [
      ...new Set(chunks.filter((each) => each.startsWith("chunk-")).map((each) => places[each])),
    ];
    deepEqual([places["main.js"], place("cold"), inOne.length], [0, 4, 1]);
    deepEqual([place("hot"), place("warm"), ...inOne].toSorted(), [1, 2, 3]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("bundle() loads a use as one script, without what a use before it has, and runs each chunk once", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const entry = await writeProgram(dir);
    const uses = [{ modules: ["warm"] }, { modules: ["hot"], after: "warm" }, { modules: ["hot"] }];
    const { scripts } = await bundle(entry, { minify: true, uses });
    equal(scripts.length, 5);
    const program = join(dir, "program.js");
    await Deno.writeTextFile(
      program,
      `const scripts = ${JSON.stringify(scripts)};
const table = (index) => (console.log(index), (0, eval)(scripts[index]));
const first = table(0);
await first.start(table, first);`,
    );
    for (
      const [args, expected] of [
        [["warm", "hot"], "0 2 warm all1 both1 3 hot all2 both2"],
        [["hot", "warm"], "0 4 hot all1 both1 2 warm all2 both2"],
        [["cold", "hot", "hot"], "0 1 cold all1 4 hot all2 both1 hot all3 both2"],
      ] as const
    ) {
      const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["run", "-A", program, ...args] })
        .output();
      equal(new TextDecoder().decode(stdout).trim().replaceAll("\n", " "), expected);
    }
    const wrong = [{ modules: ["warm"], after: "hot" }, { modules: ["hot"] }];
    await rejects(bundle(entry, { minify: true, uses: wrong }), /no earlier use has "hot"/);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("readElf() refuses what is not a Deno executable", () => {
  throws(() => readElf(new Uint8Array(100)), /not a 64-bit little-endian ELF file/);
  throws(() => readElf(new TextEncoder().encode("#!/bin/sh\n")), /not a 64-bit little-endian ELF file/);
});
