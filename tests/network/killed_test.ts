import { deepEqual, equal, notEqual } from "node:assert/strict";
import { buildInjector, injected, type Point, readLog } from "../faults/injector.ts";
import { RUNTIME, Temporary } from "../helpers/cli.ts";
import { containerTest } from "../helpers/container_test.ts";
import { TestBundle } from "../helpers/launch_bundle.ts";
import { remains } from "../helpers/network_remains.ts";
import { NetworkWorld, type Spoken } from "../helpers/network_world.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";

const [KEPT, BOX, NEXT] = ["kept", "box", "next"].map((each) => `killed-${Deno.pid}-${each}`);
/** Calls from the first on that is about what the proxy is to know of a sandbox, at which `create` is killed. */
const POINTS = 5;
const LIMIT_S = 60;

function waiting(): TestBundle {
  const bundle = new TestBundle();
  const spec = starterSpec();
  const process = { ...spec.process, terminal: false, args: ["/bin/sleep", "300"], env: [], rlimits: [] };
  const config = { ...spec, root: { path: "rootfs" }, process };
  Deno.writeTextFileSync(`${bundle.path}/config.json`, JSON.stringify(config));
  return bundle;
}

function succeeded({ code, stderr }: Spoken): void {
  deepEqual([code, stderr], [0, ""]);
}

containerTest(
  "create that is killed while it writes for the proxy keeps nobody from the network",
  async () => {
    await using world = await NetworkWorld.create();
    using bundle = waiting();
    using files = new Temporary();
    const [program, log] = [buildInjector(files.path), `${files.path}/log`];
    const create = (
      id: string,
    ): string[] => ["create", "--bundle", bundle.path, "--allow", "192.0.2.2:80", id];
    succeeded(await world.runtime(...create(KEPT!))); // the proxy is there from here on
    for (let number = 1; number <= POINTS; number++) {
      const point: Point = { process: 0, number, fault: "kill-self" };
      const before = injected(program, { from: `${world.network}/sandboxes/`, log, limitS: LIMIT_S, point });
      const { code } = await world.host.run([...before, ...RUNTIME, "--root", world.root, ...create(BOX!)]);
      notEqual(code, 0);
      equal(readLog(log).hit?.number, number);
      succeeded(await world.runtime("delete", "--force", BOX!));
      succeeded(await world.runtime(...create(NEXT!)));
      succeeded(await world.runtime("delete", "--force", NEXT!));
    }
    succeeded(await world.runtime("delete", "--force", KEPT!));
    deepEqual(await remains(world), []);
  },
);
