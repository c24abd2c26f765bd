import { command, lines } from "./command.ts";

/** A kernel that was unpacked and not installed. */
export interface Kernel {
  /** As `uname -r` says it. */
  readonly version: string;
  /** The compressed image. */
  readonly image: string;
  /** The directory that `lib/modules` lies in. */
  readonly base: string;
}

/** Debian's kernel for guests; it depends on the package with the image. */
const META = "linux-image-cloud-amd64";

/**
 * Debian's newest kernel for guests, from the cache or the archive.
 *
 * @throws {Error} if it is in neither.
 */
export async function kernel(cache: string): Promise<Kernel> {
  const [known] = unpacked(cache);
  if (known !== undefined) return known;
  const depends = await lines("apt-cache", ["depends", "--important", META]);
  const name = depends.map((line) => /Depends: (linux-image-[0-9]\S+)/.exec(line)?.[1]).find((each) => each);
  if (name === undefined) throw new Error(`apt-cache knows no ${META}: run apt-get update`);
  const work = Deno.makeTempDirSync({ dir: cache, prefix: ".kernel-" });
  try {
    // As root apt gives its rights up for a download, and may not write here then.
    await command("apt-get", ["-q", "-o", "APT::Sandbox::User=root", "download", name], { cwd: work });
    const [file] = [...Deno.readDirSync(work)].map((each) => each.name).filter((each) =>
      each.endsWith(".deb")
    );
    await command("dpkg-deb", ["--extract", `${work}/${file}`, `${work}/tree`]);
    const base = await arranged(`${work}/tree`);
    const { version } = found(base)!;
    await command("/sbin/depmod", ["-b", base, version]);
    Deno.renameSync(base, `${cache}/kernel-${version}`);
  } finally {
    Deno.removeSync(work, { recursive: true });
  }
  return unpacked(cache)[0]!;
}

/** Newer packages have the modules in /usr/lib; depmod and modprobe look into lib. */
async function arranged(tree: string): Promise<string> {
  try {
    Deno.statSync(`${tree}/lib/modules`);
  } catch {
    await Deno.symlink("usr/lib", `${tree}/lib`);
  }
  return tree;
}

function unpacked(cache: string): Kernel[] {
  return [...Deno.readDirSync(cache)].map(({ name }) => name).filter((name) => name.startsWith("kernel-"))
    .sort()
    .reverse().flatMap((name) => found(`${cache}/${name}`) ?? []);
}

function found(base: string): Kernel | undefined {
  const [version] = [...Deno.readDirSync(`${base}/lib/modules`)].map(({ name }) => name);
  return version === undefined ? undefined : { version, base, image: `${base}/boot/vmlinuz-${version}` };
}

/** The modules that `names` need, in the order in which they must be loaded, each as its file's content. */
export async function modules({ base, version }: Kernel, names: readonly string[]): Promise<Uint8Array[]> {
  const files = new Set<string>();
  for (const name of names) {
    const args = ["-d", base, "-S", version, "--show-depends", "--ignore-install", name];
    for (const line of await lines("/sbin/modprobe", args)) {
      const [, file] = /^insmod (\S+)/.exec(line) ?? [];
      if (file !== undefined) files.add(file);
    }
  }
  return await Promise.all(
    [...files].map((file) => file.endsWith(".xz") ? command("xz", ["-dc", file]) : Deno.readFile(file)),
  );
}
