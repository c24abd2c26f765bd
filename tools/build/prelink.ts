/** Does at build time what the dynamic linker would do at every start: moving a PIE to its address. */
import type { Machine } from "./elf.ts";

const PT = { load: 1, gnuStack: 0x6474e551 };
const ET_EXEC = 2;
const ET_DYN = 3;
const DF_1_PIE = 0x08000000n;
const DT = {
  rela: 7n,
  relasz: 8n,
  relacount: 0x6ffffff9n,
  flags1: 0x6ffffffbn,
  symtab: 6n,
  gnuHash: 0x6ffffef5n,
};
// PLTGOT, HASH, STRTAB, SYMTAB, RELA, INIT, FINI, JMPREL, INIT_ARRAY, FINI_ARRAY, GNU_HASH, VERSYM, VERDEF, VERNEED
const ADDRESSES = new Set(
  [3n, 4n, 5n, 6n, 7n, 12n, 13n, 23n, 25n, 26n, DT.gnuHash, 0x6ffffff0n, 0x6ffffffcn, 0x6ffffffen],
);
const RELATIVE = new Set([8, 1027]); // R_X86_64_RELATIVE, R_AARCH64_RELATIVE
const IRELATIVE = new Set([37, 1032]);
const SHN_UNDEF = 0;
const SHN_ABS = 0xfff1;
const STT_TLS = 6;

/**
 * Moves a position-independent executable to `base` for good, in place.
 *
 * Deno has some 160,000 pointers to itself in 2.5 MB of data. Written at every start, they cost a fault and a copy
 * for each of 600 pages; written here, the pages are shared with all other processes and most are never touched.
 * The price is that the executable, unlike its libraries, heap and stack, is no longer somewhere else each time:
 * `base` should differ from build to build.
 *
 * @param base A multiple of 64 KiB, far from where the kernel puts anything.
 * @throws {Error} When the executable is not position-independent.
 */
export function prelink(bytes: Uint8Array, base: bigint): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint16(16, true) !== ET_DYN) throw new Error("Cannot prelink: it has a fixed address already");
  const u64 = (at: number): bigint => view.getBigUint64(at, true);
  const put = (at: number, value: bigint): void => view.setBigUint64(at, value, true);
  const headers = Array.from(
    { length: view.getUint16(56, true) },
    (_, i) => Number(u64(32)) + i * view.getUint16(54, true),
  );
  const loads = headers.filter((at) => view.getUint32(at, true) === PT.load).map((at) => ({
    address: u64(at + 16),
    end: u64(at + 16) + u64(at + 32),
    offset: u64(at + 8),
  }));
  const offset = (address: bigint): number => {
    const load = loads.find((l) => address >= l.address && address < l.end);
    if (load === undefined) throw new Error(`Cannot prelink: address ${address} is not in the file`);
    return Number(load.offset + address - load.address);
  };
  const dynamic = new Map<bigint, number>(); // tag → offset of its value
  const dynamicAt = headers.find((at) => view.getUint32(at, true) === 2)!;
  for (let at = Number(u64(dynamicAt + 8)); u64(at) !== 0n; at += 16) dynamic.set(u64(at), at + 8);
  const value = (tag: bigint): bigint => u64(dynamic.get(tag)!);

  const count = dynamic.has(DT.relacount) ? value(DT.relacount) : 0n;
  const tables = [[value(DT.rela), value(DT.relasz)], [
    u64(dynamic.get(23n)!),
    u64(dynamic.get(2n)!),
  ]] as const;
  for (const [table, size] of tables) {
    for (let at = offset(table), end = at + Number(size); at < end; at += 24) {
      const [target, type] = [u64(at), view.getUint32(at + 8, true)];
      if (RELATIVE.has(type)) put(offset(target), u64(at + 16) + base);
      if (RELATIVE.has(type) || IRELATIVE.has(type)) put(at + 16, u64(at + 16) + base);
      put(at, target + base);
    }
  }
  // The relative ones come first and are done: the linker is shown the rest only.
  put(dynamic.get(DT.rela)!, value(DT.rela) + 24n * count);
  put(dynamic.get(DT.relasz)!, value(DT.relasz) - 24n * count);
  if (count > 0n) put(dynamic.get(DT.relacount)!, 0n);

  for (
    let at = offset(value(DT.symtab)), left = symbolCount(view, offset(value(DT.gnuHash)));
    left > 0;
    left--
  ) {
    const section = view.getUint16(at + 6, true);
    const tls = (view.getUint8(at + 4) & 15) === STT_TLS;
    if (section !== SHN_UNDEF && section !== SHN_ABS && !tls) put(at + 8, u64(at + 8) + base);
    at += 24;
  }
  for (const [tag, at] of dynamic) if (ADDRESSES.has(tag)) put(at, u64(at) + base);
  if (dynamic.has(DT.flags1)) put(dynamic.get(DT.flags1)!, value(DT.flags1) & ~DF_1_PIE);
  for (const at of headers) {
    if (view.getUint32(at, true) === PT.gnuStack) continue;
    put(at + 16, u64(at + 16) + base);
    put(at + 24, u64(at + 24) + base);
  }
  put(24, u64(24) + base);
  view.setUint16(16, ET_EXEC, true);
}

/** Picks a base at random, between where the kernel puts executables and the lowest addresses. */
export function randomBase(machine: Machine): bigint {
  const [random] = crypto.getRandomValues(new Uint32Array(1));
  // Some aarch64 kernels give a process 39 bits of addresses.
  return machine === "x86_64"
    ? 0x1000_0000_0000n + BigInt(random! & 0xfffffff) * 0x10000n
    : 0x8_0000_0000n + BigInt(random! & 0x3ffff) * 0x10000n;
}

/** The number of dynamic symbols, which only the hash table tells: the last one of the last chain is the last. */
function symbolCount(view: DataView, hash: number): number {
  const [buckets, first, bloom] = [0, 4, 8].map((at) => view.getUint32(hash + at, true)) as [
    number,
    number,
    number,
  ];
  const bucketsAt = hash + 16 + bloom * 8;
  let last = 0;
  for (let i = 0; i < buckets; i++) last = Math.max(last, view.getUint32(bucketsAt + 4 * i, true));
  if (last < first) return first;
  const chainAt = bucketsAt + 4 * buckets;
  while ((view.getUint32(chainAt + 4 * (last - first), true) & 1) === 0) last++;
  return last + 1;
}
