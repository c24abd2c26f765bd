import { deepEqual, ok } from "node:assert/strict";
import { evaluate, hasCompiler } from "../../helpers/c_program.ts";

const ROOT = new URL("../../../", import.meta.url);
const INCLUDES = [
  ..."errno fcntl sched signal time unistd elf net/if".split(" "),
  ..."mman epoll eventfd timerfd socket un resource prctl ioctl wait stat syscall".split(" ").map((name) =>
    `sys/${name}`
  ),
  ..."sched seccomp mempolicy ioprio capability openat2 close_range".split(" ").map((name) =>
    `linux/${name}`
  ),
].map((name) => `${name}.h`);
/** These are members of an enum and no macros. */
const ENUMERATED = /^(MPOL_(?!F_)|IOPRIO_(CLASS|WHO)_)/;
/** A number as TypeScript writes it. */
const NUMBER = String.raw`(-?(?:0[xob])?[0-9a-fA-F_]+)n?`;

/** Every number in `source` that has the name of a C constant. */
function* constants(source: string): Iterable<[name: string, value: bigint]> {
  const single = new RegExp(String.raw`\bconst ([A-Z]\w*) = ${NUMBER};`, "g");
  const member = new RegExp(String.raw`^\s+([A-Z][A-Z0-9]*_\w+): ${NUMBER},`, "gm");
  const printed = new RegExp(String.raw`named\(\s*"([A-Z][A-Z0-9_]+)",\s*${NUMBER}\s*,?\)`, "g");
  for (const pattern of [single, member, printed]) {
    for (const [, name, value] of source.matchAll(pattern)) yield [name!, parse(value!)];
  }
  for (const [, names, values] of source.matchAll(/\bconst \[([A-Z][\w, ]+)\] = \[([\w, ]+)\]/g)) {
    const each = values!.split(", ");
    for (const [index, name] of names!.split(", ").entries()) {
      if (/^\d\w*$/.test(each[index] ?? "")) yield [name, parse(each[index]!.replace(/n$/, ""))];
    }
  }
}

function parse(text: string): bigint {
  return text.startsWith("-") ? -BigInt(text.slice(1)) : BigInt(text.replaceAll("_", ""));
}

function* sources(directory: URL): Iterable<URL> {
  for (const { name, isDirectory } of Deno.readDirSync(directory)) {
    if (isDirectory) yield* sources(new URL(`${name}/`, directory));
    else if (name.endsWith(".ts")) yield new URL(name, directory);
  }
}

Deno.test({
  name: "every constant with the name of a C macro has its value",
  ignore: !hasCompiler || Deno.build.arch !== "x86_64",
  fn: () => {
    const found = [...sources(new URL("ffi/", ROOT)), ...sources(new URL("runtime/", ROOT))].flatMap(
      (url) => {
        const file = url.pathname.slice(ROOT.pathname.length);
        return [...constants(Deno.readTextFileSync(url))].map(([name, value]) => ({ file, name, value }));
      },
    );
    const names = [...new Set(found.map(({ name }) => name))];
    const expressions = new Map(names.map((name) => [name, ENUMERATED.test(name) ? `(${name})` : name]));
    const missing = "#ifndef MPOL_PREFERRED_MANY\n#define MPOL_WEIGHTED_INTERLEAVE 6\n#endif";
    const real = evaluate([...expressions.values()], { includes: INCLUDES, declarations: [missing] });
    const known = found.filter(({ name }) => real.get(expressions.get(name)!) !== undefined);
    const wrong = known.filter(({ name, value }) => real.get(expressions.get(name)!) !== value);
    deepEqual(wrong.map(({ file, name, value }) => `${file}: ${name} = ${value}`), []);
    ok(known.length > 80, `only ${known.length} constants were found`);
  },
});
