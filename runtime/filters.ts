import { BUILD_ID } from "./build_id.ts";
import type { Host } from "./host/facts.ts";
import { keep, readKept } from "./kept_files.ts";
import { type CompiledFilter, compileFilter, type Compiler } from "./seccomp.ts";
import type { Seccomp } from "./spec/linux.ts";

/** How many filters a process keeps at hand. */
const MOST_FILTERS = 64;
const KIND = "filters";
const HEADER_BYTES = 8;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

const filters = new Map<string, CompiledFilter>();

/**
 * What {@linkcode compileFilter} makes, or what it made before of the same words: libseccomp takes 2 ms for an
 * ordinary profile, 6 ms for three architectures. Kept for this process; a built command also keeps files.
 *
 * @param path What to call the spec in errors.
 * @param compiler Who compiles.
 * @throws {SpecError} where the kernel would refuse it.
 * @throws {UnsupportedError} if it has to be compiled and libseccomp is not installed.
 *
 * @example
 * ```ts ignore
 * const filter = filterOf(bundle.spec.linux.seccomp, probeHost());
 * ```
 */
export function filterOf(
  seccomp: Seccomp,
  host: Pick<Host, "arch">,
  path?: string,
  compiler: Compiler = "libseccomp",
): CompiledFilter {
  const { defaultAction, defaultErrnoRet, architectures, flags, syscalls } = seccomp;
  const key = JSON.stringify(
    [compiler, host.arch, defaultAction, defaultErrnoRet, architectures, flags, syscalls],
    (_, value) => typeof value === "bigint" ? `${value}n` : value,
  );
  const known = filters.get(key) ?? read(key);
  const filter = known ?? compileFilter(seccomp, host, path, compiler);
  if (filters.size >= MOST_FILTERS) filters.clear();
  filters.set(key, filter);
  if (!known) keep(KIND, key, () => pack(key, filter));
  return filter;
}

/**
 * The filter of a config.json that is trusted: where it says nothing of flags, speculation stays as it is without a filter,
 * as with runc.
 */
export function trustedFilter(seccomp: Seccomp, host: Pick<Host, "arch">): CompiledFilter {
  return filterOf({ flags: ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"], ...seccomp }, host);
}

function pack(key: string, { program, ...rest }: CompiledFilter): Uint8Array<ArrayBuffer> {
  const head = encoder.encode(JSON.stringify({ build: BUILD_ID, key, rest }));
  const bytes = new Uint8Array(HEADER_BYTES + head.length + program.length);
  new Uint32Array(bytes.buffer, 0, 2).set([head.length, bytes.length]);
  bytes.set(head, HEADER_BYTES);
  bytes.set(program, HEADER_BYTES + head.length);
  return bytes;
}

function read(key: string): CompiledFilter | undefined {
  const bytes = readKept(KIND, key);
  if (bytes === undefined || bytes.length < HEADER_BYTES) return undefined;
  const [headLength = 0, total] = new Uint32Array(bytes.buffer, 0, 2);
  if (total !== bytes.length) return undefined;
  const programAt = HEADER_BYTES + headLength;
  const { build, key: its, rest } = JSON.parse(decoder.decode(bytes.subarray(HEADER_BYTES, programAt)));
  return build === BUILD_ID && its === key ? { ...rest, program: bytes.slice(programAt) } : undefined;
}
