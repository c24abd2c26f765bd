import { deepEqual, equal, match } from "node:assert/strict";
import { padding, TAR_END, tarHeader } from "../../snapshots/store/tar.ts";
import { BOX } from "../helpers/containers.ts";
import { SnapshotBox, snapshotTest } from "../helpers/snapshot_box.ts";

const COUNT = `count=0; while :; do count=$((count + 1)); echo "{\\"count\\":$count}"; sleep 0.05; done`;

/** A file of an archive. */
interface Part {
  name: string;
  bytes: Uint8Array<ArrayBuffer>;
  type?: string;
}

/** The files of an archive, by GNU tar. */
function partsOf(archive: string, id: string): Part[] {
  const tar = (...args: readonly string[]): Uint8Array<ArrayBuffer> => {
    const { code, stdout } = new Deno.Command("tar", { args: [...args] }).outputSync();
    equal(code, 0);
    return new Uint8Array(stdout);
  };
  return new TextDecoder().decode(tar("tf", archive)).trim().split("\n").map((name) => {
    equal(name.split("/")[0], id);
    return { name, bytes: tar("xOf", archive, name) };
  });
}

function writeArchive(file: string, parts: readonly Part[]): void {
  const blocks = parts.flatMap(({ name, bytes, type = "0" }) => {
    const header = tarHeader(name, bytes.length);
    header[156] = type.charCodeAt(0);
    const sum = header.reduce((all, byte, at) => all + (at >= 148 && at < 156 ? 32 : byte), 0);
    header.set(new TextEncoder().encode(sum.toString(8).padStart(6, "0")), 148);
    return [header, bytes, new Uint8Array(padding(bytes.length))];
  });
  Deno.writeFileSync(file, new Uint8Array([...blocks, TAR_END].flatMap((each) => [...each])));
}

snapshotTest(
  "an exported snapshot is imported elsewhere and restored; hostile archives leave nothing",
  async () => {
    await using box = new SnapshotBox();
    const { path } = box.containers.bundle;
    const [store, other, file] = [`${path}/store`, `${path}/other`, `${path}/snapshot.tar`];
    const said = (...args: readonly string[]): Promise<string> => box.containers.output("snapshot", ...args);
    box.write(["bash", "-c", COUNT]);
    const started = await box.start();
    await box.atLeast(2, started);
    const id = (await said("create", "--store", store, BOX)).trim();
    await said("export", "--store", store, id, file);
    const again = await box.containers.run("snapshot", "export", "--store", store, id, file);
    match(again.stderr, /there is one already/);
    const parts = partsOf(file, id);
    const hostile = async (reason: RegExp, change: (parts: Part[]) => void): Promise<void> => {
      const changed = parts.map((each) => ({ ...each }));
      change(changed);
      writeArchive(`${path}/hostile.tar`, changed);
      const { code, stderr } = await box.containers.run(
        ...["snapshot", "import", "--store", other, `${path}/hostile.tar`],
      );
      match(stderr, reason);
      equal(code, 1);
      deepEqual([...Deno.readDirSync(other)], []);
    };
    const last = (all: Part[]): Part => all.at(-1)!;
    await hostile(/holds "\.\.\/\.\.\/escaped", which is no file/, (all) => last(all).name = "../../escaped");
    await hostile(/holds ".*\/\.\.", which is no file/, (all) => last(all).name = `${id}/..`);
    await hostile(/is no ordinary file/, (all) => last(all).type = "2");
    await hostile(/its manifest does not know it/, (all) => last(all).name = `${id}/core-999.img`);
    await hostile(/is there twice/, (all) => all.push({ ...last(all) }));
    await hostile(/has another size than its manifest says/, (all) => last(all).bytes = new Uint8Array(1));
    await hostile(/it was altered/, (all) => last(all).bytes = last(all).bytes.map((byte) => byte ^ 1));
    await hostile(/is missing/, (all) => all.pop());
    await hostile(/"ai-sandbox\.json" is missing/, (all) => all.reverse().unshift(all.pop()!));
    writeArchive(`${path}/hostile.tar`, parts);
    Deno.truncateSync(`${path}/hostile.tar`, Deno.statSync(`${path}/hostile.tar`).size - 2000);
    match(
      (await box.containers.run("snapshot", "import", "--store", other, `${path}/hostile.tar`)).stderr,
      /cut off/,
    );
    equal((await said("import", "--store", other, "--tag", "came", file)).trim(), id);
    equal((await said("import", "--store", other, file)).trim(), id);
    const restore = ["restore", "--detach", "--store", other, "--snapshot", "came"];
    match((await box.containers.run(...restore, BOX)).stderr, /it was imported; name a bundle by --bundle/);
    await box.containers.output(...restore, "--bundle", path, BOX);
    const [first] = await box.atLeast<{ count: number }>(1, box.containers.commands - 1);
    equal(first!.count, box.lines<{ count: number }>(started).at(-1)!.count + 1);
    await box.containers.output("delete", "--force", BOX);
  },
);
