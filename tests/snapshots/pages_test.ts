import { deepEqual, equal, match, ok } from "node:assert/strict";
import { isThere } from "../../ffi/look.ts";
import { findCriu } from "../../snapshots/installed.ts";
import { canServe, readPageServer } from "../../snapshots/page_server.ts";
import { BOX } from "../helpers/containers.ts";
import { skip } from "../helpers/skip.ts";
import { SnapshotBox, snapshotTest } from "../helpers/snapshot_box.ts";
import { waitUntil } from "../helpers/eventually.ts";

/** Has memory that nothing else knows, and says what its hash is. */
const PROGRAM = `
import hashlib, json, os, time
memory, count = bytearray(os.urandom(8 << 20)), 0
while True:
    count += 1
    print(json.dumps({"count": count, "memory": hashlib.sha256(memory).hexdigest()}), flush=True)
    time.sleep(0.05)
`;
/** Below those that the kernel gives away, and above those of services. */
const [FIRST_PORT, PORTS] = [20_000, 10_000];
const taken = new Set<number>();

interface Line {
  readonly count: number;
  readonly memory: string;
}

class PagesBox extends SnapshotBox {
  readonly work: string = `${this.containers.bundle.path}/work`;

  async begin(): Promise<number> {
    this.write(["python3", "-c", PROGRAM]);
    Deno.mkdirSync(this.work);
    const started = await this.start();
    await this.atLeast<Line>(2, started);
    return started;
  }

  /** Starts CRIU beside the runtime. */
  criu(...args: readonly string[]): Deno.ChildProcess {
    const { program } = findCriu();
    return new Deno.Command(program, { args: [...args], stdin: "null", stdout: "null", stderr: "null" })
      .spawn();
  }
}

/** Whether somebody listens at a port; it is not tried, as a page server serves who comes first (proc_net_tcp(5)). */
function isListenedAt(port: string): boolean {
  const local = `:${Number(port).toString(16).toUpperCase().padStart(4, "0")}`;
  return Deno.readTextFileSync("/proc/net/tcp").split("\n").some((line) => {
    const [, at = "", , state] = line.trim().split(/\s+/);
    return at.endsWith(local) && state === "0A";
  });
}

/** Whether somebody listens at the socket in a work directory of CRIU, whose name is there before that (proc_net_unix). */
function isServed(work: string): boolean {
  return isThere(`${work}/lazy-pages.socket`) &&
    / 00010000 .*lazy-pages\.socket$/m.test(Deno.readTextFileSync("/proc/net/unix"));
}

/** A port that nobody listens at, and that the kernel gives to nobody who asks for any (`ip_local_port_range`). */
function freePort(): string {
  for (let port = FIRST_PORT + Deno.pid % PORTS;; port++) {
    if (!taken.has(port) && !isListenedAt(`${port}`)) {
      taken.add(port);
      return `${port}`;
    }
  }
}

snapshotTest("restore --lazy-pages has memory fetched by a criu lazy-pages when it is needed", async () => {
  await using box = new PagesBox();
  const started = await box.begin();
  await box.checkpoint();
  const last = box.lines<Line>(started).at(-1)!;
  const alone = await box.tryRestore("--lazy-pages", "--work-path", box.work);
  equal(alone.code, 1);
  match(alone.stderr, /criu failed: .*lazy-pages/);
  const daemon = box.criu("lazy-pages", "--images-dir", box.images, "--work-dir", box.work);
  await waitUntil(() => isServed(box.work));
  const lines = await box.atLeast<Line>(3, await box.restore("--lazy-pages", "--work-path", box.work));
  deepEqual(lines[0], { count: last.count + 1, memory: last.memory });
  await box.containers.output("delete", "--force", BOX);
  await daemon.status;
});

snapshotTest(
  "checkpoint --page-server sends pages to one, and they are restored from where they are put",
  async () => {
    await using box = new PagesBox();
    const started = await box.begin();
    const port = freePort();
    const served = ["--images-dir", box.work, "--address", "127.0.0.1", "--port", port];
    const server = box.criu("page-server", ...served);
    await waitUntil(() => isListenedAt(port));
    await box.checkpoint("--page-server", `127.0.0.1:${port}`);
    await server.status;
    const last = box.lines<Line>(started).at(-1)!;
    ok(!isThere(`${box.images}/pages-1.img`));
    for (const { name } of Deno.readDirSync(box.work)) {
      if (/^page/.test(name)) Deno.copyFileSync(`${box.work}/${name}`, `${box.images}/${name}`);
    }
    const [line] = await box.atLeast<Line>(1, await box.restore());
    deepEqual(line, { count: last.count + 1, memory: last.memory });
    await box.containers.output("delete", "--force", BOX);
  },
);

snapshotTest("checkpoint --lazy-pages serves memory, and --status-fd tells when", async () => {
  if (!canServe()) return skip("needs CAP_SYS_RESOURCE, or fs.pipe-max-size of 4 MiB");
  await using box = new PagesBox();
  const started = await box.begin();
  const [port, status] = [freePort(), `${box.containers.bundle.path}/status`];
  const { program } = box.containers;
  box.containers.program = ["sh", "-c", 'exec "$@" 9>"$0"', status, ...program];
  const server = ["--page-server", `127.0.0.1:${port}`, "--status-fd", "9"];
  const checkpoint = box.tryCheckpoint("--lazy-pages", ...server);
  await waitUntil(() => isThere(status) && Deno.statSync(status).size > 0);
  deepEqual(Deno.readFileSync(status), Uint8Array.of(0));
  box.containers.program = program;
  const last = box.lines<Line>(started).at(-1)!;
  // The one that is held has the name until its pages are fetched.
  const other = ["restore", "--detach", "--image-path", box.images];
  const alone = await box.containers.run(...other, `${BOX}-2`);
  match(alone.stderr, /its memory was served, and is there only for --lazy-pages/);
  const fetched = ["--page-server", "--address", "127.0.0.1", "--port", port];
  const daemon = box.criu("lazy-pages", "--images-dir", box.images, "--work-dir", box.work, ...fetched);
  await waitUntil(() => isServed(box.work));
  await box.containers.output(...other, "--lazy-pages", "--work-path", box.work, `${BOX}-2`);
  const [line] = await box.atLeast<Line>(1, box.containers.commands - 1);
  deepEqual(line, { count: last.count + 1, memory: last.memory });
  deepEqual(await checkpoint, { code: 0, stdout: "", stderr: "" });
  equal((await box.containers.run("state", BOX)).code, 1);
  await box.containers.output("delete", "--force", `${BOX}-2`);
  await daemon.status;
});

Deno.test("readPageServer() takes ADDRESS:PORT, and nothing else", () => {
  deepEqual(readPageServer("192.0.2.1:27"), { address: "192.0.2.1", port: 27 });
  deepEqual(readPageServer("[2001:db8::1]:65535"), { address: "2001:db8::1", port: 65535 });
  for (const text of ["", ":1", "a", "a:", "a:0", "a:65536", "2001:db8::1:5", "a b:1", "a:1x"]) {
    let isTaken = true;
    try {
      readPageServer(text);
    } catch {
      isTaken = false;
    }
    ok(!isTaken, text);
  }
});
