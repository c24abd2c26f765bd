import { deepEqual, equal, match } from "node:assert/strict";
import { AS_STRANGER, bundled, cli, Temporary } from "../helpers/cli.ts";
import { TestBundle } from "../helpers/launch_bundle.ts";
import { skip } from "../helpers/skip.ts";

Deno.test("run names what is closed to the user who runs a bundle", async (t) => {
  if (Deno.uid() !== 0) return skip("needs root to become another user");
  using here = new Temporary();
  const options = { program: await bundled(here), wrapper: AS_STRANGER, cwd: "/" };
  using bundle = new TestBundle();
  bundle.write("echo in", { process: { capabilities: {} } });
  const config = `${bundle.path}/config.json`;
  const enter = (path: string): string =>
    `permission denied: this user may not enter "${path}" (chmod +x opens it)`;
  const open = await cli(["run", bundle.path], options);
  deepEqual([open.code, open.stdout, open.stderr], [0, "in\n", ""], "it runs where nothing is closed");
  for (
    const [path, mode, args, says] of [
      [bundle.path, 0o700, ["run", bundle.path], `/: ${enter(bundle.path)}`],
      [bundle.path, 0o700, ["run", "--bundle", bundle.path, "box"], `/: ${enter(bundle.path)}`],
      [config, 0o600, ["run", bundle.path], `/: permission denied: it must be readable for this user`],
      [
        bundle.rootfs,
        0o700,
        ["run", bundle.path],
        `/root/path: Cannot use "${bundle.rootfs}": ${enter(bundle.rootfs)}`,
      ],
      [
        `${bundle.rootfs}/etc`,
        0o700,
        ["run", "--mount", `${bundle.rootfs}/tmp:/etc/x`, bundle.path],
        /"\/etc\/x" \(.*, openat2\): EACCES; permission denied: a directory on the way is closed to the sandbox's user$/,
      ],
    ] as const
  ) {
    await t.step(`${mode.toString(8)} ${path} for ${args.join(" ")}`, async () => {
      const { mode: before } = Deno.statSync(path);
      Deno.chmodSync(path, mode);
      const { code, stdout, stderr } = await cli(args, options);
      Deno.chmodSync(path, before! & 0o777);
      deepEqual([code, stdout], [1, ""]);
      if (typeof says === "string") equal(stderr, `runtime: Cannot use "${config}": ${says}\n`);
      else match(stderr.trimEnd(), says);
    });
  }
});
