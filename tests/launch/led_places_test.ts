import { equal, match, ok } from "node:assert/strict";
import { existsSync } from "node:fs";
import { LaunchError } from "../../runtime/launch/launch_error.ts";
import type { Mount } from "../../runtime/spec/config.ts";
import { MOUNTS, type TestBundle } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";
import { attempt, Outside } from "../helpers/launch_outside.ts";

const TRUSTED = { trusted: true };

/** Links of the rootfs → the place of a mount → where it lies then. */
type Row = readonly [links: Readonly<Record<string, string>>, destination: string, place: string];

const ROWS: readonly Row[] = [
  [{ "etc/hosts": "/tmp/hosts" }, "/etc/hosts", "/tmp/hosts"],
  [{ "etc/hosts": "../tmp/a/b" }, "/etc/hosts", "/tmp/a/b"],
  [{ jump: "/tmp/foo/bar", "etc/hosts": "/jump/baz/hosts" }, "/etc/hosts", "/tmp/foo/bar/baz/hosts"],
  [{ one: "two/x/../y", two: "./three" }, "/one/z", "/three/y/z"],
];

function plant(bundle: TestBundle, links: Row[0]): void {
  for (const [name, to] of Object.entries(links)) Deno.symlinkSync(to, `${bundle.rootfs}/${name}`);
}

/** What a trusted bundle prints that has these mounts beside the usual ones. */
async function printed(bundle: TestBundle, script: string, mounts: readonly Mount[]): Promise<string> {
  return await bundle.output(script, { mounts: [...MOUNTS, ...mounts] }, TRUSTED);
}

for (const [links, destination, place] of ROWS) {
  launchTest(
    `launch() makes the place that ${JSON.stringify(links)} lead ${destination} to`,
    async (bundle) => {
      plant(bundle, links);
      Deno.writeTextFileSync(`${bundle.path}/file`, "given");
      Deno.mkdirSync(`${bundle.path}/directory`);
      Deno.writeTextFileSync(`${bundle.path}/directory/f`, "given");
      const bind = (source: string): Mount => ({ destination, source, options: ["bind"] });
      equal(
        await printed(bundle, `cat ${place}; grep -c " ${place} " /proc/self/mounts`, [bind("file")]),
        "given1",
      );
      equal(Deno.statSync(bundle.rootfs + place).size, 0);
      Deno.removeSync(bundle.rootfs + place);
      equal(await printed(bundle, `cat ${place}/f`, [bind("directory")]), "given");
      ok(Deno.statSync(bundle.rootfs + place).isDirectory);
    },
  );
}

launchTest("launch() makes where a link leads to in what an earlier mount shows", async (bundle) => {
  plant(bundle, { "etc/hosts": "/tmp/a/hosts" });
  Deno.writeTextFileSync(`${bundle.path}/file`, "given");
  const mounts: Mount[] = [
    { destination: "/tmp", type: "tmpfs" },
    { destination: "/etc/hosts", source: "file", options: ["bind"] },
  ];
  equal(await printed(bundle, "cat /etc/hosts /tmp/a/hosts", mounts), "givengiven");
  equal([...Deno.readDirSync(`${bundle.rootfs}/tmp`)].length, 0);
});

launchTest("launch() lets links lead no place of a trusted bundle out of the rootfs", async (bundle) => {
  const outside = new Outside(bundle);
  Deno.writeTextFileSync(`${bundle.path}/given`, "given");
  const leads = [outside.path, outside.marker, `${"../".repeat(30)}${outside.path}`, `${outside.path}/new`];
  for (const lead of leads) {
    for (const destination of ["/target", "/target/below"]) {
      for (const mount of [{ type: "tmpfs" }, { source: "given", options: ["bind"] }]) {
        const inside = bundle.rootfs + outside.path;
        if (existsSync(inside)) Deno.removeSync(inside, { recursive: true });
        plant(bundle, { target: lead });
        const said = await attempt(bundle, outside, "cat /proc/self/mounts", {
          mounts: [...MOUNTS, { destination, ...mount }],
        }, TRUSTED);
        ok(!(said instanceof LaunchError), String(said));
        ok(said.includes(` ${outside.path}`), said);
        Deno.removeSync(`${bundle.rootfs}/target`);
      }
    }
  }
});

launchTest(
  "launch() refuses links that lead nowhere, and those of what it lays out itself",
  async (bundle) => {
    const mounts = (destination: string): readonly Mount[] => [...MOUNTS, { destination, type: "tmpfs" }];
    plant(bundle, { loop: "loop", one: "two", two: "one/x" });
    for (const place of ["/loop", "/one", "/loop/x"]) {
      match((await bundle.failure("true", { mounts: mounts(place) }, TRUSTED)).message, /ELOOP/);
    }
    Deno.removeSync(`${bundle.rootfs}/dev`);
    plant(bundle, { dev: "/elsewhere" });
    match((await bundle.failure("true", {}, TRUSTED)).message, /EEXIST/);
  },
);

launchTest(
  "launch() makes nothing where a link leads to for a bundle that is not trusted",
  async (bundle) => {
    plant(bundle, { target: "/nowhere" });
    const mounts = [...MOUNTS, { destination: "/target", type: "tmpfs" }];
    match((await bundle.failure("true", { mounts })).message, /EEXIST/);
  },
);
