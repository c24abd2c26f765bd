/** docs/conformance.md has every property, command and flag, and the tests that it names are there. */

import { deepEqual, ok } from "node:assert/strict";

const ROOT = new URL("../", import.meta.url);
const SCHEMA = new URL("tests/testdata/oci/schema/", ROOT);
const DOC = Deno.readTextFileSync(new URL("docs/conformance.md", ROOT));
/** The parts of the schema for systems that this runtime does not run on. */
const OTHER_SYSTEMS = new Set(["solaris", "windows", "vm", "zos", "freebsd"]);

interface Node {
  readonly $ref?: string;
  readonly items?: Node;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly allOf?: readonly Node[];
  readonly oneOf?: readonly Node[];
  readonly anyOf?: readonly Node[];
}

/** The pointers of all properties below a node of a schema file; what refers to itself is followed once. */
function* properties(node: Node, file: string, path = "", seen: readonly string[] = []): Iterable<string> {
  if (node.$ref !== undefined) {
    const [name, pointer = ""] = node.$ref.split("#");
    const target = name || file;
    if (seen.includes(`${target}#${pointer}`)) return;
    let found: unknown = JSON.parse(Deno.readTextFileSync(new URL(target, SCHEMA)));
    for (const key of pointer.split("/").filter(Boolean)) found = (found as Record<string, unknown>)[key];
    yield* properties(found as Node, target, path, [...seen, `${target}#${pointer}`]);
    return;
  }
  for (
    const each of [
      ...node.allOf ?? [],
      ...node.oneOf ?? [],
      ...node.anyOf ?? [],
      ...node.items ? [node.items] : [],
    ]
  ) {
    yield* properties(each, file, path, seen);
  }
  for (const [name, each] of Object.entries(node.properties ?? {})) {
    if (path === "" && OTHER_SYSTEMS.has(name)) continue;
    yield `${path}/${name}`;
    yield* properties(each, file, `${path}/${name}`, seen);
  }
}

Deno.test("docs/conformance.md has every property of the schema", () => {
  const root: Node = JSON.parse(Deno.readTextFileSync(new URL("config-schema.json", SCHEMA)));
  const all = new Set(properties(root, "config-schema.json"));
  ok(all.size > 150);
  deepEqual([...all].filter((path) => !DOC.includes(`| \`${path}\` |`)), []);
});

Deno.test("docs/conformance.md has every command and flag", async () => {
  const missing: string[] = [];
  for (const { name: file } of Deno.readDirSync(new URL("cli/commands/", ROOT))) {
    const { command } = await import(new URL(`cli/commands/${file}`, ROOT).href);
    if (!command) continue;
    const { name, flags } = command.help;
    const rows = ["", ...flags.map((flag: { name: string }) => `\`--${flag.name}\``)];
    missing.push(...rows.map((flag) => `| \`${name}\` | ${flag} |`).filter((row) => !DOC.includes(row)));
  }
  deepEqual(missing, []);
});

Deno.test("each row of docs/conformance.md names a test that is there", () => {
  const [, rows] = DOC.split("## Properties of config.json");
  const lines = rows!.split("\n").filter((line) => line.startsWith("| `"));
  ok(lines.length > 400);
  const lost = lines.filter((line) => {
    const [, file, name] = /\]\(\.\.\/(tests\/[^)]+_test\.ts)\): (.+) \|$/.exec(line) ?? [];
    if (file === undefined || name === undefined) return true;
    return !Deno.readTextFileSync(new URL(file, ROOT)).includes(name.replaceAll("\\|", "|"));
  });
  deepEqual(lost, []);
});
