import type { BlockIoLimits, BlockIoWeight } from "../spec/linux.ts";
import { type Hierarchies, isSet, onlyVersion1, RESOURCES, type Write } from "./hierarchy.ts";

const POINTER = `${RESOURCES}/blockIO`;

const RATES = [
  ["throttleReadBpsDevice", "read_bps", "rbps"],
  ["throttleWriteBpsDevice", "write_bps", "wbps"],
  ["throttleReadIOPSDevice", "read_iops", "riops"],
  ["throttleWriteIOPSDevice", "write_iops", "wiops"],
] as const;

/** Weights and rates of block devices: controller `blkio`, which version 2 calls `io`. */
export function* blockIoWrites(limits: BlockIoLimits, hierarchies: Hierarchies): Iterable<Write> {
  const { weight, leafWeight, weightDevice = [] } = limits;
  yield* weightWrites({ weight, leafWeight }, "", POINTER, hierarchies);
  for (const [index, each] of weightDevice.entries()) {
    yield* weightWrites(each, numbers(each), `${POINTER}/weightDevice/${index}`, hierarchies);
  }
  for (const [field, file, key] of RATES) {
    for (const [index, each] of (limits[field] ?? []).entries()) {
      const pointer = `${POINTER}/${field}/${index}`;
      const { version, mountPoint } = place(hierarchies, pointer);
      // A rate of 0 is no limit to version 1, and no number to version 2.
      const rate = version === 2 && !isSet(each.rate) ? "max" : each.rate;
      yield version === 1
        ? { mountPoint, file: `blkio.throttle.${file}_device`, value: `${numbers(each)} ${rate}`, pointer }
        : { mountPoint, file: "io.max", value: `${numbers(each)} ${key}=${rate}`, pointer };
    }
  }
}

/** The weights of one device, or of all if `device` is empty. */
function* weightWrites(
  { weight, leafWeight }: { readonly [kind in "weight" | "leafWeight"]?: number | undefined },
  device: string,
  pointer: string,
  hierarchies: Hierarchies,
): Iterable<Write> {
  const line = (value: number): string => device === "" ? String(value) : `${device} ${value}`;
  const suffix = device === "" ? "" : "_device";
  if (isSet(weight)) {
    const { version, mountPoint } = place(hierarchies, `${pointer}/weight`);
    // Which one there is depends on the schedulers that this kernel was built with.
    const [file, otherwise] = version === 1
      ? [`blkio.weight${suffix}`, { file: `blkio.bfq.weight${suffix}`, value: line(weight) }] as const
      : ["io.bfq.weight", { file: "io.weight", value: line(ioWeight(weight)) }] as const;
    yield { mountPoint, file, value: line(weight), pointer: `${pointer}/weight`, otherwise };
  }
  if (isSet(leafWeight)) {
    const { version, mountPoint } = place(hierarchies, `${pointer}/leafWeight`);
    if (version === 2) throw onlyVersion1(`${pointer}/leafWeight`);
    const file = `blkio.leaf_weight${suffix}`;
    yield { mountPoint, file, value: line(leafWeight), pointer: `${pointer}/leafWeight` };
  }
}

function place(hierarchies: Hierarchies, pointer: string): ReturnType<Hierarchies["with"]> {
  return hierarchies.find("blkio") ?? hierarchies.with("io", pointer);
}

function numbers({ major, minor }: Pick<BlockIoWeight, "major" | "minor">): string {
  return `${major}:${minor}`;
}

/** From the 10 to 1,000 of `blkio.weight` to the 1 to 10,000 of `io.weight`, as runc and crun convert. */
function ioWeight(weight: number): number {
  return 1 + Math.floor(((weight - 10) * 9999) / 990);
}
