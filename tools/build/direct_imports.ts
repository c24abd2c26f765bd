import { dirname, join, relative } from "@std/path";

/** What is copied of a checkout to bundle it. */
const PARTS = ["cli", "ffi", "network", "runtime", "snapshots", "mod.ts", "deno.json", "deno.lock"];

/**
 * A copy of the checkout at `root` in which the command line imports from the modules themselves what it has through
 * `mod.ts`. With the library's door in between every command would load what any of them needs.
 *
 * @returns The copy's directory, which the caller removes.
 */
export async function withDirectImports(root: string): Promise<string> {
  const copy = await Deno.makeTempDir();
  const args = ["-r", ...PARTS.map((part) => join(root, part)), copy];
  const { success, stderr } = await new Deno.Command("cp", { args }).output();
  if (!success) throw new Error(`Cannot copy the program: ${new TextDecoder().decode(stderr).trim()}`);
  const origins = exportsOf(await Deno.readTextFile(join(root, "mod.ts")));
  for await (const file of typescript(join(copy, "cli"))) {
    const text = await Deno.readTextFile(file);
    const up = relative(dirname(file), copy);
    await Deno.writeTextFile(file, direct(text, origins, up));
  }
  return copy;
}

/** Where each value that `mod.ts` exports comes from. */
export function exportsOf(door: string): Map<string, string> {
  const origins = new Map<string, string>();
  for (const [, names, from] of door.matchAll(/export \{([^}]*)\} from "\.\/([^"]+)";/g)) {
    for (const name of names!.split(",").map((each) => each.trim())) {
      if (/^\w+$/.test(name)) origins.set(name, from!);
    }
  }
  return origins;
}

/** The text of a module with its imports from `mod.ts` taken from where they come from; `up` leads to the checkout. */
export function direct(text: string, origins: ReadonlyMap<string, string>, up: string): string {
  return text.replace(/import \{([^}]*)\} from "((?:\.\.\/)+mod\.ts)";/g, (_, list: string, door: string) => {
    const names = list.split(",").map((each) => each.trim()).filter((each) => each !== "");
    return names.map((name) => {
      const from = origins.get(name);
      return from === undefined
        ? `import { ${name} } from "${door}";`
        : `import { ${name} } from "${up}/${from}";`;
    }).join("\n");
  });
}

async function* typescript(directory: string): AsyncIterable<string> {
  for await (const { name, isDirectory } of Deno.readDir(directory)) {
    const path = join(directory, name);
    if (isDirectory) yield* typescript(path);
    else if (name.endsWith(".ts")) yield path;
  }
}
