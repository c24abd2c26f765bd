import { deepEqual, equal, ok } from "node:assert/strict";
import { dirname, join, normalize } from "@std/path";
import config from "../deno.json" with { type: "json" };
import { ROOT, RUNTIME, Temporary } from "./helpers/cli.ts";
import { NetworkWorld } from "./helpers/network_world.ts";
import { skip } from "./helpers/skip.ts";
import { findCriu } from "../snapshots/installed.ts";

const DOCS: readonly string[] = [
  "README.md",
  "CONTRIBUTING.md",
  ...[...Deno.readDirSync(`${ROOT}/docs`)].map(({ name }) => `docs/${name}`).filter((name) =>
    name.endsWith(".md")
  ).sort(),
];
/** Folders whose files the docs name by their path from the checkout. */
const FOLDERS = /^(?:\.ci|bench|bundles|cli|docs|examples|ffi|network|runtime|snapshots|tests|tools)\//;
const TEXT = new TextDecoder();

interface Block {
  readonly language: string;
  readonly text: string;
}

function read(doc: string): string {
  return Deno.readTextFileSync(`${ROOT}/${doc}`);
}

function blocks(text: string): Block[] {
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language = "", body = ""]) => ({
    language,
    text: body,
  }));
}

function prose(text: string): string {
  return text.replaceAll(/^```.*?^```$/gms, "");
}

function exists(path: string): boolean {
  try {
    Deno.statSync(`${ROOT}/${path}`);
    return true;
  } catch {
    return false;
  }
}

/** Where the links of a document lead that stay in the checkout. */
function links(doc: string): { link: string; path: string; anchor: string }[] {
  return [...prose(read(doc)).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link = ""]) => link)
    .filter((link) => !/^[a-z]+:/.test(link))
    .map((link) => {
      const [path = "", anchor = ""] = link.split("#");
      return { link, path: path === "" ? doc : normalize(join(dirname(doc), path)), anchor };
    });
}

/** The anchors that GitHub gives the headings of a document. */
function anchors(doc: string): Set<string> {
  return new Set(
    [...prose(read(doc)).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => {
      return heading.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(/\s/g, "-");
    }),
  );
}

for (const doc of DOCS) {
  Deno.test(`${doc} links to what is there`, () => {
    const dead = links(doc).filter(({ path, anchor }) => {
      return !exists(path) || (anchor !== "" && path.endsWith(".md") && !anchors(path).has(anchor));
    });
    deepEqual(dead.map(({ link }) => link), []);
  });

  Deno.test(`${doc} names files that are there`, () => {
    const named = [...prose(read(doc)).matchAll(/`([^`\s]+)`/g)].map(([, word = ""]) => word);
    const files = named.filter((word) => FOLDERS.test(word) && !/[<>*…]/.test(word));
    deepEqual(files.filter((file) => !exists(file)), []);
  });

  Deno.test(`${doc} shows commands and flags that exist`, async () => {
    const wrong: string[] = [];
    for (const command of commands(doc)) wrong.push(...await wrongWords(command));
    deepEqual(wrong, []);
  });
}

/** The commands in the shell blocks of a document, as words. */
function commands(doc: string): string[][] {
  return blocks(read(doc)).filter(({ language }) => language === "sh" || language === "console").flatMap(
    ({ language, text }) => {
      const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
      const typed = language === "sh" ? lines : lines.filter((line, index) => {
        return line.startsWith("$ ") && !lines[index + 1]?.includes("has no such flag");
      });
      return typed.flatMap((line) => line.replace(/^\$ /, "").split(/&&|\||;/)).map((one) =>
        one.trim().replace(/ # .*$/, "").split(/\s+/)
      );
    },
  );
}

/** What of a command is not there: the command, a task, a flag. */
async function wrongWords(words: readonly string[]): Promise<string[]> {
  const [program, ...rest] = words;
  const say = (what: string): string[] => [`${words.join(" ")}: there is no ${what}`];
  switch (program) {
    case "./setup":
      return flagsOf(rest).filter((flag) => !Deno.readTextFileSync(`${ROOT}/setup`).includes(`  ${flag} `))
        .flatMap(say);
    case "runtime":
    case "bin/runtime":
      return (await unknownFlags(rest)).flatMap(say);
    case "deno": {
      if (rest[0] !== "task") return [];
      const [name = "", ...args] = rest.slice(1).filter((word) => word !== "--quiet");
      if (!(name in config.tasks)) return say(`task ${name}`);
      return name === "run" ? (await unknownFlags(["run", ...args])).flatMap(say) : [];
    }
    default:
      return [];
  }
}

async function unknownFlags([command = "", ...args]: readonly string[]): Promise<string[]> {
  const known = command.startsWith("-") ? await helpOf([]) : await helpOf([command]);
  return flagsOf([command, ...args]).filter((flag) => !known.includes(flag));
}

/** The flags among the words, up to `--`, which ends ours. */
function flagsOf(words: readonly string[]): string[] {
  const end = words.indexOf("--");
  const ours = end < 0 ? words : words.slice(0, end);
  return ours.filter((word) => word.startsWith("-")).map((word) => word.split("=")[0]!);
}

const helps = new Map<string, Promise<string[]>>();

/** The flags in the help of a command; throws if there is no such command. */
function helpOf(command: readonly string[]): Promise<string[]> {
  const key = command.join(" ");
  let help = helps.get(key);
  if (!help) {
    help = bash(`runtime ${key} --help`, ROOT).then(({ code, output }) => {
      if (code !== 0) throw new Error(output);
      return [...output.matchAll(/(?<![\w-])--?[a-z][a-z-]*/g)].map(([flag]) => flag);
    });
    helps.set(key, help);
  }
  return help;
}

/** Runs a script in which `runtime` is the command line of this checkout, in a network of its own if there is one. */
async function bash(
  script: string,
  cwd: string,
  world?: NetworkWorld,
): Promise<{ code: number; output: string }> {
  const words = world ? [...RUNTIME, "--root", world.root] : RUNTIME;
  const quoted = words.map((word) => `'${word}'`).join(" ");
  const place = world ? ["nsenter", "-t", `${world.host.pid}`, "-n", "--"] : [];
  const [program, ...args] = [
    ...place,
    "bash",
    "-c",
    `exec 2>&1\nruntime() { ${quoted} "$@"; }\n${script}`,
  ];
  const { code, stdout } = await new Deno.Command(program!, {
    args,
    cwd,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stderr: "null",
  }).output();
  return { code, output: TEXT.decode(stdout) };
}

function hasCriu(): boolean {
  try {
    findCriu();
    return true;
  } catch {
    return false;
  }
}

/** Numbers, ids and the column of step numbers differ from machine to machine. */
function withoutNumbers(text: string): string {
  return text.replaceAll(/"id": ".*?"/g, '"id": …').replaceAll(/(\d[\d.:TZ-]*)/g, "0")
    .replaceAll(/^ +0 /gm, "0 ").trimEnd();
}

Deno.test("README.md shows what its commands print", async (test) => {
  if (Deno.uid() !== 0) return skip("needs root, as whom the examples were run");
  const text = read("README.md");
  using directory = new Temporary();
  Deno.symlinkSync(`${ROOT}/bundles`, `${directory.path}/bundles`);
  for (
    const { text: code } of blocks(text).filter(({ text, language }) =>
      /^(python|yaml)$/.test(language) && text.startsWith("# ")
    )
  ) {
    directory.file(/^# (\S+)\n/.exec(code)![1]!, code);
  }
  const shown = blocks(text).filter(({ language }) => language === "console");
  ok(shown.length > 5);
  await using world = await NetworkWorld.create();
  await world.serve("http:192.0.2.2:80", "dns:192.0.2.53:53");
  for (const { text } of shown) {
    const own = text.includes("--network-policy") ? world : undefined;
    if (!hasCriu() && /^\$ runtime (checkpoint|restore|delete)/m.test(text)) continue;
    const turns = text.split(/^\$ /m).filter(Boolean).map((turn) => turn.split(/\n(.*)/s));
    for (const [command = "", printed = ""] of turns) {
      await test.step(command, async () => {
        const { output } = await bash(command, directory.path, own);
        equal(withoutNumbers(output), withoutNumbers(printed));
      });
    }
  }
});

Deno.test("README.md shows a program that uses the library, and what it prints", async () => {
  const all = blocks(read("README.md"));
  const at = all.findIndex(({ language }) => language === "ts");
  const [program, printed] = [all[at]!.text, all[at + 1]!.text];
  using directory = new Temporary();
  const file = directory.file("program.ts", program.replace(`"./mod.ts"`, `"${ROOT}/mod.ts"`));
  const command = [Deno.execPath(), "run", "-A", "--quiet", "--check", "--config", `${ROOT}/deno.json`, file];
  const { code, output } = await bash(command.join(" "), ROOT);
  equal(output, printed);
  equal(code, 0);
});

Deno.test("README.md has a place for the results of the benches", () => {
  ok(/^<!-- bench -->\n.*^<!-- \/bench -->$/ms.test(read("README.md")));
});

Deno.test("docs/words.md defines each word once and names the file where it is at home", () => {
  const rows = prose(read("docs/words.md")).split("\n").filter((line) => line.startsWith("- "));
  ok(rows.length > 20);
  const words = rows.map((row) => {
    const [, word, file] = /^- \*\*([^*]+)\*\*: .* `([^`\s]+)`$/.exec(row) ?? [];
    ok(word !== undefined && file !== undefined && exists(file), row);
    return word;
  });
  deepEqual(words, [...new Set(words)].sort((a, b) => a.localeCompare(b, "en")));
});
