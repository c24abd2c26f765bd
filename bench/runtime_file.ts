import { fromFileUrl, join } from "@std/path";

const ROOT = fromFileUrl(new URL("..", import.meta.url));
const SOURCES = ["cli", "ffi", "runtime", "snapshots", "tools", "mod.ts", "deno.json"];

/** The path of bin/runtime, which is built if it is missing or older than its sources. */
export async function runtimeFile(): Promise<string> {
  const path = join(ROOT, "bin/runtime");
  const built = await Deno.stat(path).then((info) => info.mtime?.getTime() ?? 0, () => 0);
  if (built > Math.max(...SOURCES.map((source) => newest(join(ROOT, source))))) return path;
  const args = ["task", "--quiet", "build"];
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT }).output();
  if (!success) throw new Error(`Cannot build bin/runtime: ${new TextDecoder().decode(stderr).trim()}`);
  return path;
}

/** When a file, or the latest of a folder's, was changed. */
function newest(path: string): number {
  const { isDirectory, mtime } = Deno.statSync(path);
  const own = mtime?.getTime() ?? 0;
  if (!isDirectory) return own;
  return Math.max(own, ...Deno.readDirSync(path).map(({ name }) => newest(join(path, name))));
}
