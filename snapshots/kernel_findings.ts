import { open } from "../ffi/fd.ts";
import { newTmpfs } from "../ffi/layers.ts";
import { publish } from "../ffi/publish.ts";
import { fileSystemOf } from "../ffi/tree.ts";
import { probeHost } from "../runtime/host/probe.ts";
import type { InstalledCriu } from "./installed.ts";
import { checkKernel } from "./worker.ts";

/** Where CRIU keeps what it has found out of the kernel until the next boot: only on a tmpfs. */
const [RUN, NAME] = ["/run", "criu.kdat"];
const KEPT = "/run/ai-sandbox/criu";
const TMPFS_MAGIC = 0x01021994n;

/** So that many restores at once find out once. */
let finding: Promise<Uint8Array<ArrayBuffer>> | undefined;

/**
 * A file with what CRIU has found out of this kernel, for which it takes about 40 ms each time that it does not know.
 * Where `/run` is no tmpfs, CRIU does not keep it: it would outlast the boot. Here the file's name tells the boot.
 *
 * @returns Nothing where CRIU helps itself, or where it cannot be helped: it only takes longer then.
 */
export async function kernelFindings(criu: InstalledCriu): Promise<string | undefined> {
  if (Deno.uid() !== 0) return undefined;
  try {
    using run = open(RUN, 0);
    if (fileSystemOf(run) === TMPFS_MAGIC) return undefined;
    const file = `${KEPT}/${nameOf(criu.program)}`;
    if (isOurs(file)) return file;
    const found = await (finding ??= findOut(criu).finally(() => finding = undefined));
    if (isOurs(file)) return file;
    Deno.mkdirSync(KEPT, { recursive: true, mode: 0o700 });
    for (const { name } of Deno.readDirSync(KEPT)) Deno.removeSync(`${KEPT}/${name}`); // of another boot or CRIU
    publish(KEPT, file, found);
    return isOurs(file) ? file : undefined;
  } catch {
    return undefined;
  }
}

/** The boot, and which program it was. */
function nameOf(program: string): string {
  const boot = Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim();
  const { size, mtime, ino } = Deno.statSync(program);
  return [boot, size, mtime?.getTime() ?? 0, ino ?? 0].join("-");
}

function isOurs(file: string): boolean {
  try {
    const directory = Deno.lstatSync(KEPT);
    const { isFile, size } = Deno.lstatSync(file);
    return directory.isDirectory && directory.uid === 0 && (directory.mode! & 0o077) === 0 && isFile &&
      size > 0;
  } catch {
    return false;
  }
}

/** Has CRIU find out all that it wants to know, with a tmpfs for `/run`. */
async function findOut(criu: InstalledCriu): Promise<Uint8Array<ArrayBuffer>> {
  using run = newTmpfs("ai-sandbox", []);
  await checkKernel(criu, probeHost().arch, run);
  return Deno.readFileSync(`/proc/self/fd/${run.raw}/${NAME}`);
}
