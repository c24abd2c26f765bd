import { equal, match, notEqual, ok } from "node:assert/strict";
import { ROOT, RUNTIME } from "../helpers/cli.ts";
import { eventually } from "../helpers/eventually.ts";
import { NetworkWorld, OUTSIDE } from "../helpers/network_world.ts";
import { snapshotTest } from "../helpers/snapshot_box.ts";

/** Keeps one connection and says a line a turn: what came over it, by which address, and what another server said. */
const PROGRAM = `
import http.client, json, socket, threading, time
kept, count = None, 0
def get():
    global kept
    for _ in range(2):
        try:
            kept = kept or http.client.HTTPConnection("${OUTSIDE.first}", timeout=20)
            kept.request("GET", "/"); return kept.getresponse().read().decode().split()[0]
        except (OSError, http.client.HTTPException): kept = None
    return "nothing"
def denied():
    try: socket.create_connection(("${OUTSIDE.second}", 80), 10).close(); return "open"
    except OSError: return "closed"
def own():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(("${OUTSIDE.first}", 9)); return one.getsockname()[0]
def serve():
    with socket.create_server(("0.0.0.0", 8000)) as server:
        while True:
            with server.accept()[0] as one: one.recv(1000); one.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nserved")
threading.Thread(target=serve, daemon=True).start()
while True:
    count += 1
    print(json.dumps({"count": count, "got": get(), "denied": denied(), "own": own()}), flush=True)
    time.sleep(0.1)
`;

interface Line {
  readonly count: number;
  readonly got: string;
  readonly denied: string;
  readonly own: string;
}

/** A world with a container in it whose program speaks to the outside. */
class Box implements AsyncDisposable {
  readonly bundle: string;
  readonly policy: string;

  private constructor(readonly world: NetworkWorld) {
    this.bundle = `${world.path}/bundle`;
    this.policy = `${world.path}/policy.json`;
  }

  static async create(): Promise<Box> {
    const box = new Box(await NetworkWorld.create());
    const { world, bundle } = box;
    await world.serve(`http:${OUTSIDE.first}:80`, `http:${OUTSIDE.second}:80`);
    await new Deno.Command("cp", { args: ["-r", `${ROOT}/bundles/python`, bundle] }).output();
    Deno.writeTextFileSync(`${bundle}/rootfs/main.py`, PROGRAM);
    const rule = { cidr: `${OUTSIDE.first}/32`, ports: [80], protocols: ["http"] };
    Deno.writeTextFileSync(box.policy, JSON.stringify([rule]));
    return box;
  }

  /** Runs a command that leaves a container, whose output goes to a file of that name. */
  async leave(name: string, ...args: readonly string[]): Promise<{ code: number; stderr: string }> {
    const script = 'out=$1; shift; exec "$@" >"$out" 2>"$out.err" </dev/null';
    const file = `${this.world.path}/${name}`;
    const words = [...RUNTIME, "--root", this.world.root, ...args];
    const { code } = await this.world.host.run(["/bin/sh", "-c", script, "sh", file, ...words]);
    return { code, stderr: Deno.readTextFileSync(`${file}.err`) };
  }

  /** Waits for so many lines of a program. */
  async lines(file: string, count: number): Promise<Line[]> {
    for (const end = Date.now() + 60_000;;) {
      const text = Deno.readTextFileSync(`${this.world.path}/${file}`);
      const lines = text.split("\n").slice(0, -1).map((line) => JSON.parse(line) as Line);
      if (lines.length >= count) return lines;
      if (Date.now() > end) throw new Error(`There are only ${lines.length} lines: ${text}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of ["box", "box-1", "box-2"]) await this.world.runtime("delete", "--force", id);
    await this.world[Symbol.asyncDispose]();
  }
}

snapshotTest("a restored container is under the policy of now, by another address", async () => {
  await using box = await Box.create();
  const started = await box.leave(
    "first",
    ...["run", "--detach", "--network-policy", box.policy, "--bundle", box.bundle, "box"],
  );
  equal(started.code, 0, started.stderr);
  const before = (await box.lines("first", 2)).at(-1)!;
  equal(`${before.got} ${before.denied}`, "hello closed");
  const images = `${box.world.path}/images`;
  const frozen = await box.world.runtime("checkpoint", "--image-path", images, "box");
  equal(frozen.code, 0, frozen.stderr);
  const restore = ["restore", "--detach", "--bundle", box.bundle, "--image-path", images];
  const refused = await box.leave("refused", ...restore, "box");
  equal(refused.code, 1);
  match(refused.stderr, /it had a network, and nothing is asked for now; say what it reaches/);
  const restored = await box.leave("second", ...restore, "--network-policy", box.policy, "box");
  equal(restored.code, 0, restored.stderr);
  const after = await box.lines("second", 3);
  ok(after[0]!.count > before.count - 1);
  for (const each of after.slice(1)) { // the first may have been begun before
    equal(`${each.got} ${each.denied}`, "hello closed");
    notEqual(each.own, before.own);
  }
  await box.world.runtime("delete", "--force", "box");
  const asked = ["--publish", "8080:8000", "--allow", `${OUTSIDE.second}:80`];
  const closed = await box.leave("third", ...restore, ...asked, "box");
  equal(closed.code, 0, closed.stderr);
  const [last] = (await box.lines("third", 2)).slice(-1);
  equal(`${last!.got} ${last!.denied}`, "nothing open"); // the policy of now lets it to the other
  const fetch =
    `import urllib.request; print(urllib.request.urlopen("http://192.0.2.1:8080/").read().decode())`;
  equal((await box.world.outside.run(["python3", "-c", fetch])).stdout.trim(), "served");
  await box.world.runtime("delete", "--force", "box");
  const bridged = await box.leave("fourth", ...restore, "--network", "bridge", "box");
  equal(bridged.code, 0, bridged.stderr);
  const [open] = (await box.lines("fourth", 2)).slice(-1);
  equal(`${open!.got} ${open!.denied}`, "hello open");
});

snapshotTest("forks have the policy of their source, each by an address of its own", async () => {
  await using box = await Box.create();
  const nothing = `${box.world.path}/nothing.yaml`;
  Deno.writeTextFileSync(nothing, "[]");
  const created = await box.leave(
    "first",
    ...["create", "--network-policy", nothing, "--bundle", box.bundle, "box"],
  );
  equal(created.code, 0, created.stderr);
  await box.world.runtime("update", "--network-policy", box.policy, "box"); // which they get
  await box.world.runtime("start", "box");
  await box.lines("first", 2);
  const forked = await box.world.runtime("fork", "-n", "2", "--output", `${box.world.path}/forks`, "box");
  equal(forked.code, 0, forked.stderr);
  const owns = new Set<string>();
  for (const file of ["first", "forks/box-1.out", "forks/box-2.out"]) {
    const [line] = (await box.lines(file, 3)).slice(-1);
    equal(`${line!.got} ${line!.denied}`, "hello closed", file);
    owns.add(line!.own);
  }
  equal(owns.size, 3);
  for (const id of ["box", "box-1", "box-2"]) {
    // Refused packets are told of in portions, a moment later.
    const records = [
      /allow {2}request {2}GET http:\/\/192\.0\.2\.2:80\//,
      /deny {3}packet {3}tcp:\/\/198\.51\.100\.2:80/,
    ];
    const { stdout } = await eventually(
      () => box.world.runtime("audit", id),
      (said) => records.every((each) => each.test(said.stdout)),
    );
    for (const each of records) match(stdout, each);
  }
});
