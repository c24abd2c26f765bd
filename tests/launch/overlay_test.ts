import { equal, match } from "node:assert/strict";
import type { Root } from "../../runtime/plan/context.ts";
import { launchTest } from "../helpers/launch_leaks.ts";
import { USER_NAMESPACE } from "../helpers/launch_bundle.ts";

const OVERLAY = { overlay: { kind: "tmpfs" } } as const;

function listing(path: string): string {
  const { stdout } = new Deno.Command("find", {
    args: [path, "-printf", "%P %m %U %G %s %T@\n"],
  }).outputSync();
  return new TextDecoder().decode(stdout).split("\n").toSorted().join("\n");
}

launchTest("launch() leaves the rootfs below an overlay as it is", async (bundle) => {
  bundle.file("etc/keep", "old");
  bundle.file("etc/gone", "old");
  bundle.directory("old/deep");
  const before = listing(bundle.rootfs);
  const script =
    "echo new > /etc/keep; rm /etc/gone; rm -r /old; mkdir /made; chmod 700 /etc; cat /etc/keep; ls /etc";
  equal(await bundle.output(script, {}, OVERLAY), "new\nkeep");
  equal(listing(bundle.rootfs), before);
});

launchTest("launch() begins every overlay anew", async (bundle) => {
  equal(await bundle.output("test -e /mark; echo $?; touch /mark", {}, OVERLAY), "1");
  equal(await bundle.output("test -e /mark; echo $?; touch /mark", {}, OVERLAY), "1");
});

launchTest("launch() hides what was removed in an overlay and shows what is made anew", async (bundle) => {
  bundle.file("data/a", "1");
  bundle.file("data/sub/b", "2");
  const script =
    "rm -r /data; test -e /data; echo $?; mkdir /data; ls -A /data; echo 3 > /data/c; ls -A /data";
  equal(await bundle.output(script, {}, OVERLAY), "1\nc");
});

launchTest("launch() stacks several lower layers, the first on top", async (bundle) => {
  const layers = ["top", "middle"].map((name) => `${bundle.path}/${name}`);
  for (const layer of layers) Deno.mkdirSync(layer);
  Deno.writeTextFileSync(`${layers[0]}/who`, "top");
  Deno.writeTextFileSync(`${layers[1]}/who`, "middle");
  Deno.writeTextFileSync(`${layers[1]}/only`, "middle");
  bundle.file("who", "bottom");
  bundle.file("base", "bottom");
  const root: Root = { kind: "overlay", lowers: [...layers, bundle.rootfs], sizeBytes: 1 << 20 };
  equal(await bundle.output("cat who; echo; cat only; echo; cat base", {}, { root }), "top\nmiddle\nbottom");
});

launchTest(
  "launch() takes layers whose names hold colons, commas, backslashes and spaces",
  async (bundle) => {
    const layer = `${bundle.path}/a:b,c\\d e`;
    Deno.mkdirSync(layer);
    Deno.writeTextFileSync(`${layer}/odd`, "found");
    const root: Root = { kind: "overlay", lowers: [layer, bundle.rootfs], sizeBytes: 1 << 20 };
    equal(await bundle.output("cat /odd", {}, { root }), "found");
  },
);

launchTest("launch() bounds the upper layer of an overlay", async (bundle) => {
  const overlay = { kind: "tmpfs", sizeBytes: 1 << 20 } as const;
  const { code, stderr } = await bundle.run("dd if=/dev/zero of=/big bs=64k count=64", {}, { overlay });
  equal(code, 1);
  match(stderr, /No space left on device/);
  equal(
    await bundle.output("dd if=/dev/zero of=/big bs=64k count=8 2>/dev/null; stat -c %s /big", {}, {
      overlay,
    }),
    `${8 << 16}`,
  );
});

launchTest("launch() bounds the upper layer against many empty files as well", async (bundle) => {
  const overlay = { kind: "tmpfs", sizeBytes: 1 << 20 } as const;
  const script = "i=0; while [ $i -lt 20000 ]; do : > /f$i || exit 1; i=$((i+1)); done";
  const { code } = await bundle.run(script, {}, { overlay });
  equal(code, 1);
});

launchTest("launch() puts an overlay over the rootfs in a user namespace", async (bundle) => {
  bundle.file("etc/gone", "old");
  Deno.chownSync(bundle.rootfs, 100_000, 100_000);
  Deno.chownSync(`${bundle.rootfs}/etc`, 100_000, 100_000);
  Deno.chownSync(`${bundle.rootfs}/etc/gone`, 100_000, 100_000);
  const script = "rm /etc/gone && echo new > /etc/new && ls /etc && stat -c '%u %g' /etc/new";
  equal(await bundle.output(script, { linux: USER_NAMESPACE }, OVERLAY), "new\n0 0");
  equal(Deno.readTextFileSync(`${bundle.rootfs}/etc/gone`), "old");
});

launchTest("launch() makes a scratch root of entries and binds", async (bundle) => {
  const root: Root = {
    kind: "scratch",
    sizeBytes: 1 << 20,
    entries: [
      { kind: "directory", path: "/bin", mode: 0o755 },
      { kind: "directory", path: "/shared", mode: 0o1777 },
      { kind: "link", path: "/link", to: "shared" },
      { kind: "file", path: "/text", text: "grüße\n" },
    ],
  };
  const mounts = [{ destination: "/bin", source: `${bundle.rootfs}/bin`, options: ["bind", "ro"] }];
  const script = "cat /text; stat -c '%a %F' /shared /text; readlink /link; ls -d /*";
  equal(
    await bundle.output(script, { mounts }, { root }),
    "grüße\n1777 directory\n644 regular file\nshared\n/bin\n/dev\n/link\n/shared\n/text",
  );
});

launchTest("launch() names a layer that does not exist", async (bundle) => {
  const root: Root = { kind: "overlay", lowers: [`${bundle.path}/none`], sizeBytes: 1 << 20 };
  match(
    (await bundle.failure("true", {}, { root })).message,
    /^Cannot open layer ".*\/none" .*ENOENT; no such file/,
  );
});
