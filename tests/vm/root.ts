import { command, lines } from "./command.ts";
import type { Kernel } from "./kernel.ts";

/** What the guest has of this system, by Debian package; what they depend on comes along. */
const PACKAGES = [
  "base-files",
  "base-passwd",
  "bash",
  "busybox-static",
  "coreutils",
  "dash",
  "dbus",
  "diffutils",
  "e2fsprogs",
  "findutils",
  "gawk",
  "grep",
  "iproute2",
  "kmod",
  "libc-bin",
  "libseccomp2",
  "libstdc++6",
  "mawk",
  "mount",
  "passwd",
  "perl-base",
  "procps",
  "python3",
  "sed",
  "systemd",
  "tar",
  "util-linux",
];
const LEFT_OUT = /^\/usr\/share\/(doc|man|locale|info|perl|bug|lintian|zoneinfo)\//;
/** Files that no package holds. */
const ETC = ["/etc/passwd", "/etc/group", "/etc/ld.so.cache", "/etc/alternatives", "/etc/nsswitch.conf"];
/** The image has holes: this is only what it may grow to. */
const SIZE_MB = 1024;

/**
 * The file system that the guest starts from: a part of this one, this Deno, and the kernel's modules. It is kept in
 * the cache until any of them changes.
 */
export async function rootImage(cache: string, kernel: Kernel): Promise<string> {
  const packages = await installed(PACKAGES);
  const deno = Deno.execPath();
  const key = JSON.stringify([packages, Deno.version.deno, kernel.version, PACKAGES, ETC, SIZE_MB]);
  const name = `${cache}/root-${await digest(key)}.img`;
  if (exists(name)) return name;
  for (const old of [...Deno.readDirSync(cache)].filter((each) => each.name.startsWith("root-"))) {
    Deno.removeSync(`${cache}/${old.name}`);
  }
  const work = Deno.makeTempDirSync({ dir: cache, prefix: ".root-" });
  try {
    const stage = `${work}/stage`;
    Deno.mkdirSync(stage);
    await copy(await files(packages.map(([package_]) => package_)), stage);
    await command("cp", [deno, `${stage}/usr/bin/deno`]);
    await command("cp", ["-r", `${kernel.base}/lib/modules`, `${stage}/usr/lib/modules`]);
    for (const each of ["dev", "proc", "sys", "run", "tmp", "root", "mnt"]) {
      Deno.mkdirSync(`${stage}/${each}`, { recursive: true });
    }
    // lazy_itable_init: the kernel would fill the tables in while the tests run.
    const options = ["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-E", "lazy_itable_init=0", "-m", "0"];
    await command("/sbin/mke2fs", [...options, "-d", stage, `${work}/image`, `${SIZE_MB}M`]);
    Deno.renameSync(`${work}/image`, name);
  } finally {
    Deno.removeSync(work, { recursive: true });
  }
  return name;
}

/** The packages and what they depend on, with their versions. */
async function installed(names: readonly string[]): Promise<[name: string, version: string][]> {
  const format =
    "${binary:Package}\t${Version}\t${db:Status-Status}\t${Provides}\t${Pre-Depends}, ${Depends}\n";
  const known = new Map<string, { readonly version: string; readonly depends: readonly string[] }>();
  const bare = (text: string): string[] => text.split(/[,|]/).map((each) => each.trim().split(/[ :(]/)[0]!);
  const provided = new Map<string, string>();
  for (const line of await lines("dpkg-query", ["--show", `--showformat=${format}`])) {
    const [qualified = "", version = "", status, provides = "", depends = ""] = line.split("\t");
    if (status !== "installed") continue;
    const [name = ""] = qualified.split(":");
    known.set(name, { version, depends: bare(depends) });
    for (const each of bare(provides)) provided.set(each, name);
  }
  const found = new Map<string, string>();
  const add = (asked: string): void => {
    const name = known.has(asked) ? asked : provided.get(asked) ?? "";
    const one = known.get(name);
    if (one === undefined || found.has(name)) return;
    found.set(name, one.version);
    one.depends.forEach(add);
  };
  names.forEach(add);
  return [...found].sort(([one], [other]) => one < other ? -1 : 1);
}

/** Paths of the packages' files, without documentation. */
async function files(packages: readonly string[]): Promise<string[]> {
  const all = await lines("dpkg-query", ["--listfiles", ...packages]);
  // Packages still say /bin/sh where that directory is a link into /usr.
  const merged = all.map((path) =>
    path.replace(/^\/(bin|lib\w*|sbin)\//, (top) => isLink(top) ? `/usr${top}` : top)
  );
  return [...new Set([...merged, ...ETC])].filter((path) => /^\/./.test(path) && !LEFT_OUT.test(path));
}

/** Copies files as they are; a link to a directory stays one, and what is listed through it lands behind it. */
async function copy(paths: readonly string[], to: string): Promise<void> {
  const list = new TextEncoder().encode(paths.map((path) => `.${path}\0`).sort().join(""));
  const archive = `${to}.tar`;
  const from = ["-C", "/", "--null", "--no-recursion", "--ignore-failed-read", "--warning=no-failed-read"];
  await command("tar", [...from, "-cf", archive, "-T", "-"], { stdin: list });
  await command("tar", ["-C", to, "--keep-directory-symlink", "-xpf", archive]);
  for (const directory of ["etc/alternatives"]) {
    await command("cp", ["-a", `/${directory}/.`, `${to}/${directory}`]);
  }
  Deno.removeSync(archive);
}

function isLink(path: string): boolean {
  return Deno.lstatSync(path.replace(/\/$/, "")).isSymlink;
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

async function digest(text: string): Promise<string> {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return bytes.toHex().slice(0, 16);
}
