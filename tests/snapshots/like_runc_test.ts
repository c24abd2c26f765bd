/** What runc's tests of checkpoints expect. */

import { deepEqual, equal, throws } from "node:assert/strict";
import { criuConfig } from "../../snapshots/criu_config.ts";
import { MANIFEST } from "../../snapshots/manifest.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { Temporary } from "../helpers/cli.ts";
import { BOX } from "../helpers/containers.ts";
import { SnapshotBox, snapshotTest } from "../helpers/snapshot_box.ts";

const SCRIPT = 'while :; do echo "{\\"is\\":\\"$(ls /place)\\"}"; sleep 0.05; done';
const USR = { destination: "/usr", type: "bind", source: "/usr", options: ["rbind", "ro"] };

snapshotTest(
  "a checkpoint takes the place of an earlier one, in mounts that links and the host's files hold",
  async () => {
    await using box = new SnapshotBox();
    const { path, rootfs } = box.containers.bundle;
    Deno.mkdirSync(`${rootfs}/real/place`, { recursive: true });
    Deno.symlinkSync("/real/place", `${rootfs}/place`);
    for (const name of ["one", "two"]) Deno.mkdirSync(`${path}/${name}`);
    const bind = (
      source: string,
      destination: string,
    ): { source: string; destination: string; options: string[] } => ({
      source,
      destination,
      options: ["rw", "bind"],
    });
    const mounts = [
      ...starterSpec().mounts ?? [],
      USR,
      bind("one", "/place"),
      bind("two", "/place/for/nested"),
    ];
    box.write(["bash", "-c", SCRIPT], { mounts });
    await box.atLeast(1, await box.start());
    await box.checkpoint();
    Deno.removeSync(`${path}/one/for`, { recursive: true });
    await box.atLeast(1, await box.restore());
    // An image of before that there is no more would be read by CRIU; what its manifest calls its own may be anything.
    const manifest = JSON.parse(Deno.readTextFileSync(`${box.images}/${MANIFEST}`));
    const [seal] = Object.values(manifest.seals);
    Object.assign(manifest.seals, { "gone-1.img": seal, "../kept.img": seal });
    Deno.writeTextFileSync(`${box.images}/${MANIFEST}`, JSON.stringify(manifest));
    for (const file of ["gone-1.img", "../kept.img"]) Deno.writeTextFileSync(`${box.images}/${file}`, "");
    await box.checkpoint();
    const [line] = await box.atLeast<{ is: string }>(1, await box.restore());
    equal(line!.is, "for");
    equal(Deno.readTextFileSync(`${path}/kept.img`), "");
    await box.containers.output("delete", "--force", BOX);
  },
);

Deno.test("criuConfig() takes switches and the name of the log from the file of an annotation, and no programs", () => {
  using here = new Temporary();
  const read = (text: string): ReturnType<typeof criuConfig> =>
    criuConfig({ "org.criu.config": here.file("criu.conf", text) });
  deepEqual(criuConfig({}), { switches: [] });
  deepEqual(read("# nothing\n\n"), { switches: [] });
  deepEqual(read("log-file=a.log\nshell-job\n  tcp-established # kept\n"), {
    switches: ["shell_job", "tcp_established"],
    logFile: "a.log",
  });
  for (
    const line of [
      "action-script=/bin/x",
      "log-file=../x",
      "log-file=/x",
      "exec-cmd",
      "shell-job=1",
      "root /",
    ]
  ) {
    throws(() => read(line), /org\.criu\.config .* neither a switch nor the name of the log/, line);
  }
  Deno.symlinkSync("criu.conf", `${here.path}/link`);
  throws(() => criuConfig({ "org.criu.config": `${here.path}/link` }), /no ordinary file/);
});
