import { isAbsolute, resolve } from "@std/path";
import { type Mount, UsageError } from "../mod.ts";

/**
 * A mount from the command line: `SOURCE:TARGET[:ro|rw]`, or `type=bind|tmpfs,source=…,target=…[,option…]`. Binds are
 * read-only unless they say `rw`.
 *
 * @throws {UsageError} if it is neither.
 */
export function readMount(text: string): Mount {
  const refused = (why: string): UsageError => {
    return new UsageError(
      `Cannot use "${text}" for --mount: ${why}; write SOURCE:TARGET[:rw] or type=bind,source=…,target=…`,
    );
  };
  const keys: Record<string, string> = {};
  const options: string[] = [];
  if (/^(type|src|source|dst|destination|target)=/.test(text)) {
    for (const part of text.split(",")) {
      const equals = part.indexOf("=");
      const key = ALIASES[part.slice(0, equals)] ?? part.slice(0, equals);
      if (equals > 0 && ["type", "source", "target"].includes(key)) keys[key] = part.slice(equals + 1);
      else options.push(part === "readonly" ? "ro" : part);
    }
  } else {
    const [source, target = source, mode, ...more] = text.split(":");
    if (more.length > 0) throw refused("it has too many colons");
    Object.assign(keys, { source, target });
    if (mode !== undefined) options.push(...mode.split(","));
  }
  const { type = "bind", source, target } = keys;
  if (target === undefined || !isAbsolute(target)) throw refused("the target must be an absolute path");
  if (type === "tmpfs") {
    return { destination: target, type, source: "tmpfs", options: ["nosuid", "nodev", ...options] };
  }
  if (type !== "bind") throw refused(`there is no type "${type}" but bind and tmpfs`);
  if (!source) throw refused("the source is missing");
  try {
    Deno.statSync(source);
  } catch (cause) {
    throw refused(`"${source}" cannot be used (${cause instanceof Error ? cause.message : cause})`);
  }
  const writable = options.includes("rw");
  const kept = options.filter((option) => option !== "rw" && option !== "ro");
  return {
    destination: target,
    type,
    source: resolve(source),
    options: ["rbind", "rnosuid", "rnodev", ...(writable ? [] : ["rro"]), ...kept],
  };
}

const ALIASES: Record<string, string> = { src: "source", dst: "target", destination: "target" };
