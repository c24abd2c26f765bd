import { deepEqual } from "node:assert/strict";
import { fromFileUrl, relative, toFileUrl } from "@std/path";
import { type Edge, type Source, wrongEdges, wrongWords } from "./helpers/layers_rules.ts";

const ROOT = fromFileUrl(new URL("..", import.meta.url));
/** Folders without code of the project: data, what a build makes, and what bundles contain. */
const NOT_CODE = ["bin", "bundles", "dist", "docs", "node_modules", "tests/testdata"];

Deno.test("readEdges() finds the imports of this module", async () => {
  const edges = await readEdges([{ path: "tests/layers_test.ts", text: "" }]);
  deepEqual(edges.map(({ from, to }) => `${from} ${to}`), [
    "tests/layers_test.ts tests/helpers/layers_rules.ts",
  ]);
});

Deno.test("imports go one way, and each word is used where it belongs", async () => {
  const sources = [...readSources("")];
  deepEqual([...wrongEdges(await readEdges(sources)), ...wrongWords(sources)], []);
});

for (
  const [from, to, right] of [
    ["ffi/fd.ts", "ffi/libc.ts", true],
    ["ffi/fd.ts", "runtime/errors.ts", false],
    ["runtime/spec/decode.ts", "runtime/errors.ts", true],
    ["runtime/spec/decode.ts", "ffi/libc.ts", false],
    ["runtime/plan/mounts.ts", "runtime/spec/types.ts", true],
    ["runtime/plan/mounts.ts", "type:runtime/host/facts.ts", true],
    ["runtime/plan/mounts.ts", "runtime/host/facts.ts", false],
    ["runtime/plan/mounts.ts", "type:runtime/host/probe.ts", false],
    ["runtime/plan/mounts.ts", "type:ffi/fd.ts", false],
    ["runtime/launch/elf.ts", "runtime/plan/plan.ts", true],
    ["runtime/launch/elf.ts", "type:runtime/spec/types.ts", false],
    ["runtime/host/probe.ts", "runtime/spec/types.ts", false],
    ["runtime/supervise/wait.ts", "runtime/launch/elf.ts", true],
    ["runtime/supervise/wait.ts", "runtime/plan/plan.ts", false],
    ["runtime/state/records.ts", "runtime/cgroup/v2.ts", false],
    ["runtime/cgroup/v2.ts", "runtime/create.ts", false],
    ["runtime/create.ts", "runtime/run.ts", true],
    ["runtime/create.ts", "runtime/launch/elf.ts", true],
    ["runtime/create.ts", "snapshots/dump.ts", false],
    ["snapshots/dump.ts", "runtime/create.ts", true],
    ["snapshots/dump.ts", "network/links.ts", false],
    ["network/links.ts", "mod.ts", false],
    ["mod.ts", "network/links.ts", true],
    ["mod.ts", "ffi/libc.ts", false],
    ["cli/main.ts", "mod.ts", true],
    ["cli/main.ts", "cli/args.ts", true],
    ["cli/main.ts", "type:runtime/plan/plan.ts", false],
    ["daemon/serve.ts", "cli/args.ts", false],
    ["cli/main.ts", "tests/helpers/skip.ts", false],
    ["tests/unit/ffi/fd_test.ts", "ffi/fd.ts", true],
    ["tests/unit/ffi/fd_test.ts", "ffi/_table.ts", false],
    ["ffi/fd.ts", "ffi/_table.ts", true],
    ["elsewhere/x.ts", "mod.ts", false],
  ] as const
) {
  Deno.test(`${from} ${right ? "may" : "must not"} import ${to}`, () => {
    const type = to.startsWith("type:");
    const wrong = wrongEdges([{ from, to: to.replace("type:", ""), type }]);
    deepEqual(wrong.length, right ? 0 : 1, wrong.join("\n"));
  });
}

Deno.test("wrongEdges() names a cycle once and lets types close one", () => {
  const [a, b, c] = ["runtime/a.ts", "runtime/b.ts", "runtime/c.ts"] as const;
  const path = [{ from: a, to: b }, { from: b, to: c }];
  deepEqual(wrongEdges([...path, { from: c, to: a }]), [
    "runtime/a.ts imports runtime/b.ts imports runtime/c.ts imports runtime/a.ts: a cycle",
  ]);
  deepEqual(wrongEdges([...path, { from: c, to: a, type: true }]), []);
});

for (
  const [path, text, wrong] of [
    ["ffi/libc.ts", "Deno.dlopen(x)", []],
    ["runtime/run.ts", "Deno.dlopen(x)", ["runtime/run.ts calls Deno.dlopen"]],
    ["runtime/run.ts", "Deno.exit(1)", ["runtime/run.ts calls Deno.exit"]],
    ["cli/main.ts", "Deno.exit(1)", []],
    ["runtime/plan/x.ts", "// Deno.env is not read here", []],
    ["runtime/plan/x.ts", 'Deno.env.get("A")', ["runtime/plan/x.ts mentions Deno."]],
    ["runtime/plan/x.ts", 'import "../../ffi/fd.ts"', ["runtime/plan/x.ts mentions ffi"]],
    ["cli/x.ts", 'await import("../mod.ts")', ["cli/x.ts loads the whole library"]],
    ["cli/x.ts", 'import { BUILD_ID } from "../mod.ts"', []],
    ["runtime/x.ts", 'import { check, errno as code } from "../ffi/errno.ts"', ["runtime/x.ts reads errno"]],
    ["ffi/x.ts", "errnoMemory()[0]", ["ffi/x.ts reads errno"]],
    ["ffi/x.ts", 'import { attempt, check } from "./errno.ts"', []],
    ["runtime/plan/x.ts", 'import { errno } from "./op.ts"', []],
    ["tests/x_test.ts", "Deno.exit(1)", []],
  ] as const
) {
  Deno.test(`wrongWords() finds ${wrong.length ? "the" : "no"} fault in ${path}: ${text}`, () => {
    deepEqual(wrongWords([{ path, text }]), wrong);
  });
}

function* readSources(dir: string): Iterable<Source> {
  for (const { name, isFile, isDirectory } of Deno.readDirSync(ROOT + dir)) {
    const path = dir + name;
    if (isFile && /\.tsx?$/.test(name)) yield { path, text: Deno.readTextFileSync(ROOT + path) };
    if (isDirectory && !name.startsWith(".") && !NOT_CODE.includes(path)) yield* readSources(path + "/");
  }
}

interface Module {
  readonly specifier: string;
  readonly error?: string;
  readonly dependencies?: readonly Record<"code" | "type", { readonly specifier: string } | undefined>[];
}

/** Every import of one of our files by another, dynamic ones included. */
async function readEdges(sources: readonly Source[]): Promise<Edge[]> {
  // One module that imports all of them: files that nothing reaches are read too, by one process.
  const entry = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(
      entry,
      sources.map(({ path }) => `import "${toFileUrl(ROOT + path)}";\n`).join(""),
    );
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", "--no-npm", "--no-lock", "--config", `${ROOT}deno.json`, entry],
    }).output();
    if (!success) throw new Error(`Cannot read the imports: ${new TextDecoder().decode(stderr)}`);
    const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as { modules: Module[] };
    const own = modules.filter(({ specifier }) => specifier.startsWith(toFileUrl(ROOT).href));
    for (const { error } of own) {
      // A file that is not there is for the type check to report.
      if (error && !error.startsWith("Module not found")) throw new Error(error);
    }
    return own.flatMap(edgesOf);
  } finally {
    await Deno.remove(entry);
  }
}

function edgesOf({ specifier, dependencies = [] }: Module): Edge[] {
  return dependencies.flatMap(({ code, type }) => {
    const to = (code ?? type)?.specifier ?? "";
    return to.startsWith("file:")
      ? [{ from: local(specifier), to: local(to), type: code === undefined }]
      : [];
  });
}

function local(url: string): string {
  return relative(ROOT, fromFileUrl(url));
}
