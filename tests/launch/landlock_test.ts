import { deepEqual, equal, match } from "node:assert/strict";
import { loadBundle, Sandbox, type SandboxOptions } from "../../mod.ts";
import { cli, ROOT } from "../helpers/cli.ts";
import { ALL_CAPABILITIES, namespaces, type Part, type RunOptions } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";
import { AbstractListener, Bystander } from "../helpers/neighbours.ts";
import { lacksLandlock as lacks } from "../helpers/landlock.ts";

/** What an attack says without Landlock, and with it. */
async function bothWays(run: (options: RunOptions) => Promise<string>): Promise<[string, string]> {
  return [await run({ landlock: false }), await run({ landlock: true })];
}

launchTest(
  "with Landlock a read-only root cannot be remounted, whatever the capabilities",
  async (bundle) => {
    if (lacks(2)) return;
    const part: Part = { root: { readonly: true } };
    const attack = "mount -o remount,rw / 2>/dev/null; touch /planted 2>/dev/null && echo out";
    const run = async (options: RunOptions): Promise<string> =>
      (await bundle.run(attack, part, options)).stdout;
    deepEqual(await bothWays(run), ["out\n", ""]);
  },
);

launchTest("with Landlock a program without CAP_MKNOD makes no device file at all", async (bundle) => {
  if (lacks(2)) return;
  const less = ALL_CAPABILITIES.filter((name) => name !== "CAP_MKNOD");
  const capabilities = { bounding: less, permitted: less, effective: less } as never;
  // Character device 0:0, which overlays take for a deleted file, is for everybody (mknod(2)).
  const attack = "mknod /tmp/w c 0 0 2>/dev/null && echo made";
  const run = async (options: RunOptions): Promise<string> => {
    const { stdout } = await bundle.run(attack, { process: { capabilities } }, options);
    await Deno.remove(`${bundle.rootfs}/tmp/w`).catch(() => {});
    return stdout;
  };
  deepEqual(await bothWays(run), ["made\n", ""]);
});

launchTest("with Landlock a signal does not leave a sandbox that shares the host's pids", async (bundle) => {
  if (lacks(6)) return;
  await using victim = await Bystander.start();
  const part: Part = { linux: { namespaces: namespaces([], ["pid"]) } };
  const attack = `kill -0 ${victim.pid} 2>/dev/null && echo reached; sleep 9 & kill $! && wait $!; echo $?`;
  const run = async (options: RunOptions): Promise<string> =>
    (await bundle.run(attack, part, options)).stdout;
  deepEqual(await bothWays(run), ["reached\n143\n", "143\n"], "its own processes stay within reach");
});

launchTest(
  "with Landlock /proc/<other> leads nowhere in a sandbox that shares the host's pids",
  async (bundle) => {
    if (lacks(2)) return;
    await using victim = await Bystander.start();
    bundle.file("../marker", "secret\n");
    const part: Part = { linux: { namespaces: namespaces([], ["pid"]) } };
    const attack =
      `cat /proc/${victim.pid}/root${bundle.path}/marker 2>/dev/null; cat /proc/self/root/etc/own`;
    bundle.file("etc/own", "own\n");
    const run = async (options: RunOptions): Promise<string> =>
      (await bundle.run(attack, part, options)).stdout;
    deepEqual(await bothWays(run), ["secret\nown\n", "own\n"]);
  },
);

/** What a Python program prints in a sandbox of the host's /usr that shares its network. */
async function python(code: string, options: Omit<SandboxOptions, "bundle">): Promise<string> {
  const { path, spec } = loadBundle(`${ROOT}/bundles/python`);
  const process = { ...spec.process!, args: ["python3", "-c", code] };
  const shared = spec.linux?.namespaces?.filter(({ type }) => type !== "network") ?? [];
  const own = { path, spec: { ...spec, process, linux: { ...spec.linux, namespaces: shared } } };
  await using sandbox = await Sandbox.run({ ...options, bundle: own });
  const [text] = await Promise.all([new Response(sandbox.stdout).text(), sandbox.wait()]);
  return text;
}

launchTest("with Landlock abstract sockets of the host are out of reach in its network", async () => {
  if (lacks(6)) return;
  await using listener = await AbstractListener.start();
  const code = `
import socket
for name in ["${listener.name}", "own"]:
    try:
        with socket.socket(socket.AF_UNIX) as own, socket.socket(socket.AF_UNIX) as other:
            if name == "own": own.bind("\\0own"); own.listen()
            other.connect("\\0" + name)
            print("connected")
    except OSError as error: print(error.errno)`;
  deepEqual([await python(code, {}), await python(code, { landlock: true })], [
    "connected\nconnected\n",
    "1\nconnected\n",
  ]);
});

launchTest("with Landlock ioctl works on the devices of the sandbox and on no other", async () => {
  if (lacks(5)) return;
  const code = `
import fcntl, os
for path in ["/hostdev/ptmx", "/dev/ptmx"]:
    terminal = os.open(path, os.O_RDWR)
    try: fcntl.ioctl(terminal, 0x80045430, bytes(4)); print("done") # TIOCGPTN
    except OSError as error: print(error.errno)`;
  const mounts = [{ destination: "/hostdev", type: "bind", source: "/dev", options: ["rbind"] }];
  deepEqual([await python(code, { mounts }), await python(code, { mounts, landlock: true })], [
    "done\ndone\n",
    "13\ndone\n",
  ]);
});

for (
  const [name, script, says] of [
    ["renames between directories", "mkdir a b && echo x > a/f && mv a/f b/g && ln b/g a/h && cat a/h", "x"],
    [
      "git",
      "git init -q . && git config user.email a@b && git config user.name n && echo x > x && git add x && " +
      "git commit -qm first && git log --format=%s && git gc -q",
      "first",
    ],
    [
      "a C compiler",
      `printf '#include <stdio.h>\\nint main(){return puts("made")<0;}' > t.c && cc t.c && ./a.out`,
      "made",
    ],
    [
      "npm",
      `mkdir p && echo '{"name":"p","version":"1.0.0","bin":"b"}' > p/package.json && echo '#!/bin/sh' > p/b && ` +
      `npm install --offline --silent --no-audit --install-links ./p >&2 && ls node_modules`,
      "p",
    ],
  ] as const
) {
  launchTest(`under --landlock goes on: ${name}`, async () => {
    if (lacks(2)) return;
    const args = ["run", "--landlock", "--workdir", "/tmp", "--", "sh", "-c", script];
    const { code, stdout, stderr } = await cli(args);
    deepEqual([code, stdout.trim()], [0, says], stderr);
  });
}

launchTest("plan --landlock shows the rules", async () => {
  if (lacks(2)) return;
  const { stdout } = await cli(["plan", "--landlock", `${ROOT}/bundles/hello`]);
  match(
    stdout,
    / init +landlock_restrict_self\(landlock, 0\) {2}# put the program under the Landlock rules\n/,
  );
  equal((await cli(["plan", `${ROOT}/bundles/hello`])).stdout.includes("landlock_"), false);
});
