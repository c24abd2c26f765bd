/** The name that engines know the image of the tests by. */
export const IMAGE = "localhost/box:latest";

/**
 * Writes an archive as `docker save` makes it, of an image that holds busybox and nothing else.
 *
 * @param name What engines know it by.
 * @param args Its program, which otherwise says `hello from box`.
 * @returns The path of the archive, and that of the files alone.
 */
export async function writeImage(
  directory: string,
  name = IMAGE,
  args: readonly string[] = ["/bin/echo", "hello from box"],
): Promise<{ image: string; layer: string }> {
  const [root, parts, archive] = [`${directory}/root`, `${directory}/parts`, `${directory}/image.tar`];
  for (const path of ["bin", "etc", "tmp", "root", "proc", "sys", "dev", "run"]) {
    Deno.mkdirSync(`${root}/${path}`, { recursive: true });
  }
  Deno.copyFileSync("/usr/bin/busybox", `${root}/bin/busybox`);
  Deno.chmodSync(`${root}/bin/busybox`, 0o755);
  Deno.chmodSync(`${root}/tmp`, 0o1777);
  for (const name of APPLETS) Deno.symlinkSync("busybox", `${root}/bin/${name}`);
  Deno.writeTextFileSync(
    `${root}/etc/passwd`,
    "root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000::/tmp:/bin/sh\n",
  );
  Deno.writeTextFileSync(`${root}/etc/group`, "root:x:0:\nguest:x:1000:\n");
  Deno.mkdirSync(parts);
  await tar(root, `${parts}/layer.tar`, ["."]);
  const config = {
    architecture: Deno.build.arch === "x86_64" ? "amd64" : "arm64",
    os: "linux",
    config: { Env: ["PATH=/bin"], Cmd: args },
    rootfs: { type: "layers", diff_ids: [`sha256:${await sha256(Deno.readFileSync(`${parts}/layer.tar`))}`] },
    history: [],
  };
  const text = new TextEncoder().encode(JSON.stringify(config));
  const file = `${await sha256(text)}.json`;
  Deno.writeFileSync(`${parts}/${file}`, text);
  const manifest = [{ Config: file, RepoTags: [name], Layers: ["layer.tar"] }];
  Deno.writeTextFileSync(`${parts}/manifest.json`, JSON.stringify(manifest));
  await tar(parts, archive, ["manifest.json", file, "layer.tar"]);
  return { image: archive, layer: `${parts}/layer.tar` };
}

const APPLETS = [
  "sh",
  "echo",
  "cat",
  "sleep",
  "true",
  "false",
  "id",
  "grep",
  "ls",
  "stty",
  "tty",
  "hostname",
  "ps",
  "kill",
  "test",
  "head",
  "env",
  "touch",
  "nproc",
  "mount",
  "ip",
];

async function tar(directory: string, archive: string, names: readonly string[]): Promise<void> {
  const args = ["-C", directory, "--owner=0", "--group=0", "-cf", archive, ...names];
  const { success, stderr } = await new Deno.Command("tar", { args }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}
