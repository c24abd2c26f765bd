import { equal, match } from "node:assert/strict";
import { MOUNTS, USER_NAMESPACE } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";

for (const [name, more] of [["", {}], [" in a user namespace", USER_NAMESPACE]] as const) {
  launchTest(`launch() masks files and directories${name}`, async (bundle) => {
    bundle.file("secret/file", "hidden");
    bundle.file("etc/secret", "hidden");
    const maskedPaths = [
      "/secret",
      "/etc/secret",
      "/proc/interrupts",
      "/sys/kernel",
      "/proc/none/of/these",
      "/proc/keys",
    ];
    const script =
      "ls -A /secret /sys/kernel | grep -v : ; cat /etc/secret /proc/interrupts /proc/keys; stat -c %F /etc/secret /proc/interrupts; touch /secret/x; echo x > /etc/secret; cat /etc/secret";
    const { stdout, stderr } = await bundle.run(script, { linux: { ...more, maskedPaths } });
    equal(stdout.trim(), "character special file\ncharacter special file");
    equal(stderr, "touch: /secret/x: Read-only file system\n");
    equal(Deno.readTextFileSync(`${bundle.rootfs}/etc/secret`), "hidden");
  });

  launchTest(`launch() makes paths read-only with everything below them${name}`, async (bundle) => {
    bundle.file("etc/conf", "old");
    const readonlyPaths = ["/proc/sys", "/proc/fs", "/etc/conf", "/none", "/dev"];
    const script = [
      "echo x > /proc/sys/kernel/domainname",
      "echo x > /etc/conf",
      "touch /dev/x /dev/shm/x",
      "echo x > /dev/null && echo null",
      "cat /etc/conf",
    ].join("; ");
    const { stdout, stderr } = await bundle.run(script, { linux: { ...more, readonlyPaths } });
    equal(stdout, "null\nold");
    equal(stderr.match(/Read-only file system/g)?.length, 4, stderr);
  });
}

launchTest("launch() masks a path by the host's /dev/null and not by a forged one", async (bundle) => {
  bundle.file("etc/secret", "hidden");
  bundle.file("dev/null", "forged");
  const mounts = MOUNTS.filter(({ destination }) => !destination.startsWith("/dev"));
  const linux = { maskedPaths: ["/etc/secret", "/proc/interrupts"] };
  match((await bundle.failure("true", { mounts, linux })).message, /Cannot make device "\/dev\/null"/);
  const text = await bundle.output(
    "cat /etc/secret /proc/interrupts; stat -c '%t:%T' /etc/secret /proc/interrupts",
    {
      linux,
    },
  );
  equal(text, "1:3\n1:3");
});

launchTest("launch() masks a path below a symbolic link inside the rootfs", async (bundle) => {
  bundle.file("real/file", "hidden");
  Deno.symlinkSync("/real", `${bundle.rootfs}/link`);
  Deno.symlinkSync("real/file", `${bundle.rootfs}/direct`);
  const linux = { maskedPaths: ["/link/file"] };
  equal(await bundle.output("stat -c %F /real/file; cat /real/file", { linux }), "character special file");
  equal(await bundle.output("cat /real/file", { linux: { maskedPaths: ["/direct"] } }), "");
});

launchTest("launch() masks one path twice and a path below a masked one", async (bundle) => {
  bundle.file("secret/deep/file", "hidden");
  const linux = { maskedPaths: ["/secret/deep", "/secret/deep", "/secret", "/secret/deep/file"] };
  equal(await bundle.output("ls -A /secret", { linux }), "");
});

launchTest("launch() makes masked paths of a read-only root, over an overlay", async (bundle) => {
  bundle.file("etc/secret", "hidden");
  const part = {
    root: { readonly: true },
    linux: { maskedPaths: ["/etc/secret"], readonlyPaths: ["/proc/sys"] },
  };
  equal(await bundle.output("cat /etc/secret", part, { overlay: { kind: "tmpfs" } }), "");
});
