import type { Mount, Spec } from "../../mod.ts";
import type { Temporary } from "./cli.ts";
import { MOUNTS, type Part, type TestBundle } from "./launch_bundle.ts";

/** What a file of the host says that no untrusted bundle may read. */
export const SECRET = "the host's secret";

/** What an untrusted bundle asks for. */
export type Request = Part & Partial<Pick<Spec, "hooks">>;

/** A bind at `/x`. */
export function bind(source: string, ...options: string[]): Mount {
  return { destination: "/x", type: "bind", source, options: ["rbind", ...options] };
}

/** The usual mounts, and these. */
export function all(...mounts: Mount[]): Part {
  return { mounts: [...MOUNTS, ...mounts] };
}

/** Writes a config.json that asks for something. */
export function ask(bundle: TestBundle, script: string, { hooks, ...part }: Request): void {
  bundle.write(script, part);
  if (!hooks) return;
  const file = `${bundle.path}/config.json`;
  Deno.writeTextFileSync(file, JSON.stringify({ ...JSON.parse(Deno.readTextFileSync(file)), hooks }));
}

/** A directory of the host, outside of a bundle, with a file `secret`. */
export function outsideOf(directory: Temporary): string {
  const path = `${directory.path}/outside`;
  Deno.mkdirSync(path);
  Deno.writeTextFileSync(`${path}/secret`, SECRET);
  return path;
}
