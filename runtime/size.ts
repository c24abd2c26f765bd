import { UsageError } from "./errors.ts";

/**
 * A size such as `64m`, `512MB`, `1GiB` or `4096` in bytes; the units are powers of 1024.
 *
 * @param where What it is given for, such as `--memory`.
 * @throws {UsageError} if it is none.
 */
export function readSize(text: string, where: string): number {
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?)([kmgt]?)(?:i?b)?$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(number) * 1024 ** " kmgt".indexOf(unit.toLowerCase() || " "));
  if (!(bytes > 0 && bytes <= Number.MAX_SAFE_INTEGER)) {
    throw new UsageError(`Cannot use "${text}" for ${where}: write it as 4096, 64m, 512MB or 1GiB`);
  }
  return bytes;
}
