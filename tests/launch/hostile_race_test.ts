import { equal, match, ok } from "node:assert/strict";
import { LaunchError } from "../../runtime/launch/launch_error.ts";
import { MOUNTS, namespaces, type TestBundle } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";
import { attempt, Outside } from "../helpers/launch_outside.ts";

/** More descriptors than init ever has. */
const DESCRIPTORS = Array.from({ length: 60 }, (_, index) => index + 3);

/**
 * Swaps two names of a directory as fast as it can. Both are there at any time: what the runtime made for one that is
 * not would end the race. It is one process, of which nothing is left when it is killed.
 */
const SWAP = `
import ctypes, os, sys
libc, AT_FDCWD, RENAME_EXCHANGE = ctypes.CDLL(None), -100, 2
os.chdir(sys.argv[1])
one, two = (name.encode() for name in sys.argv[2:])
while libc.renameat2(AT_FDCWD, one, AT_FDCWD, two, RENAME_EXCHANGE) == 0: pass`;

/** Swaps two names of the rootfs until it is disposed of. */
class Swapper implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  constructor({ rootfs }: TestBundle, one: string, two: string) {
    this.#process = new Deno.Command("python3", { args: ["-c", SWAP, rootfs, one, two] }).spawn();
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.status;
  }
}

launchTest(
  "launch() mounts inside or not at all while a directory becomes a link (CVE-2021-30465)",
  async (bundle) => {
    const outside = new Outside(bundle);
    bundle.directory("place/target");
    Deno.symlinkSync(outside.path, `${bundle.rootfs}/trap`);
    await using _swapper = new Swapper(bundle, "place", "trap");
    const mounts = [...MOUNTS, { destination: "/place/target", type: "tmpfs" }, {
      destination: "/place/dir/new",
      type: "tmpfs",
    }];
    let [built, refused] = [0, 0];
    for (let round = 0; round < 60; round++) {
      const result = await attempt(bundle, outside, "true", { mounts });
      if (result instanceof LaunchError) refused++;
      else built++;
    }
    equal(built + refused, 60);
  },
);

for (const overlay of [{ kind: "none" }, { kind: "tmpfs" }] as const) {
  launchTest(
    `launch() starts in no descriptor as its directory (CVE-2024-21626), overlay ${overlay.kind}`,
    async (bundle) => {
      const outside = new Outside(bundle);
      for (const number of DESCRIPTORS.slice(0, 25)) {
        for (const cwd of [`/proc/self/fd/${number}`, `/proc/self/fd/${number}/..`, `/proc/1/fd/${number}`]) {
          const result = await attempt(bundle, outside, "pwd", { process: { cwd } }, { overlay });
          ok(result instanceof LaunchError, `${cwd}: ${result}`);
        }
      }
    },
  );
}

launchTest("launch() starts in no link to a descriptor (CVE-2024-21626)", async (bundle) => {
  const outside = new Outside(bundle);
  for (const number of DESCRIPTORS.slice(0, 25)) {
    Deno.symlinkSync(`/proc/self/fd/${number}`, `${bundle.rootfs}/link${number}`);
    const result = await attempt(bundle, outside, "pwd", { process: { cwd: `/link${number}` } });
    ok(result instanceof LaunchError, `${result}`);
  }
});

launchTest("launch() checks the working directory where it shares the host's mounts", async (bundle) => {
  const linux = { namespaces: namespaces([], ["mount"]) };
  const outside = new Outside(bundle);
  for (const number of [3, 4, 5, 6, 7]) {
    const result = await attempt(bundle, outside, "pwd", {
      mounts: [],
      linux,
      process: { cwd: `/proc/self/fd/${number}` },
    });
    ok(result instanceof LaunchError);
  }
});

launchTest("launch() runs no program of the host through a descriptor (CVE-2024-21626)", async (bundle) => {
  const outside = new Outside(bundle);
  for (const number of DESCRIPTORS) {
    for (const rest of ["1/root/usr/bin/busybox", "../usr/bin/busybox", "bin/busybox", "usr/bin/busybox"]) {
      const result = await attempt(bundle, outside, [`/proc/self/fd/${number}/${rest}`, "echo", "ran"], {});
      ok(result instanceof LaunchError, `/proc/self/fd/${number}/${rest} ran`);
    }
  }
});

launchTest("launch() runs no program through a PATH of descriptors", async (bundle) => {
  const outside = new Outside(bundle);
  const path = DESCRIPTORS.map((number) => `/proc/self/fd/${number}/1/root/usr/bin`).join(":");
  const result = await attempt(bundle, outside, ["busybox", "echo", "ran"], {
    process: { env: [`PATH=${path}`] },
  });
  match(String(result), /^LaunchError: Cannot find "busybox" in PATH/);
});
