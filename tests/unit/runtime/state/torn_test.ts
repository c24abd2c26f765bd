import { deepEqual, throws } from "node:assert/strict";
import { LifecycleError } from "../../../../runtime/errors.ts";
import { decodeRecord, encodeRecord, type Record } from "../../../../runtime/state/record.ts";
import { Store } from "../../../../runtime/state/store.ts";

const RECORD: Omit<Record, "version"> = {
  id: "box",
  bundle: "/srv/box",
  rootfs: "/srv/box/rootfs",
  annotations: { purpose: "ä" },
  created: "2026-01-01T00:00:00.000Z",
  owner: 0,
  phase: "created",
  init: { pid: 7, startTicks: 8, bootId: "x" },
  groups: [{ directory: "/sys/fs/cgroup/pids/box", version: 1, controllers: "pids" }],
  parents: [],
};

Deno.test("a record that ends at any byte is refused whole", () => {
  const bytes = new TextEncoder().encode(encodeRecord(RECORD));
  for (let length = 0; length < bytes.length; length++) {
    const text = new TextDecoder().decode(bytes.subarray(0, length));
    throws(() => decodeRecord(text, "record.json", "box"), LifecycleError, `${length}`);
  }
});

Deno.test("a temporary file of a writer that died at any byte is in nobody's way", async () => {
  const root = Deno.makeTempDirSync({ prefix: "store-" });
  try {
    const store = new Store(root);
    const bytes = new TextEncoder().encode(encodeRecord(RECORD));
    for (let length = 0; length <= bytes.length; length++) {
      for (const name of ["record.json.new", "config.json.new"]) {
        Deno.mkdirSync(`${root}/box`, { recursive: true });
        Deno.writeFileSync(`${root}/box/${name}`, bytes.subarray(0, length));
      }
      using entry = store.claim("box");
      entry.write(RECORD);
      deepEqual(entry.read(), { version: 1, ...RECORD });
      for (const name of ["record.json.new", "config.json.new"]) {
        Deno.writeFileSync(`${root}/box/${name}`, bytes.subarray(0, length));
      }
      entry.remove();
      deepEqual([...Deno.readDirSync(root)], []);
    }
    deepEqual(await store.lock("box"), undefined);
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});
