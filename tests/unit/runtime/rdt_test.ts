import { deepEqual, equal, throws } from "node:assert/strict";
import { LifecycleError, UnsupportedError } from "../../../runtime/errors.ts";
import { findResctrl, joinRdt, makeRdt, planRdt, removeRdt } from "../../../runtime/rdt.ts";
import { Temporary } from "../../helpers/cli.ts";

/** A directory that looks like resctrl, with a class of somebody else's. */
function resctrl(): Temporary {
  const here = new Temporary();
  Deno.mkdirSync(`${here.path}/gold/mon_groups`, { recursive: true });
  Deno.mkdirSync(`${here.path}/mon_groups`);
  here.file("gold/schemata", "    L3:0=7f0;1=01f\n    MB:0=20;1=70\n");
  here.file("schemata", "L3:0=fff\n");
  return here;
}

Deno.test("findResctrl() finds where it is mounted", () => {
  const line = (type: string): string =>
    `36 25 0:32 / /sys/fs/${type} rw,relatime shared:5 - ${type} none rw`;
  equal(findResctrl([line("cgroup"), line("resctrl"), ""].join("\n")), "/sys/fs/resctrl");
  equal(findResctrl(line("cgroup")), undefined);
});

Deno.test("planRdt() refuses what no mounted resctrl can do, in runc's words", () => {
  throws(() => planRdt(undefined, "box", {}), (error) => {
    return error instanceof UnsupportedError &&
      /but Intel RDT is not supported or enabled/.test(error.message);
  });
});

Deno.test("planRdt() makes a class of the sandbox's own, which goes with it", () => {
  using here = resctrl();
  const asked = { memBwSchema: "MB:0=20", l3CacheSchema: "L3:0=f", schemata: ["L2:0=3", "L3:0=1"] };
  const planned = planRdt(here.path, "box", { ...asked, enableMonitoring: true });
  const directory = `${here.path}/box`;
  const monitor = `${directory}/mon_groups/box`;
  deepEqual(planned, {
    directory,
    isNew: true,
    schemata: ["L3:0=f\nMB:0=20\n", "L2:0=3\nL3:0=1\n"],
    monitor,
    own: [monitor, directory],
  });
});

Deno.test("planRdt() takes a class of others as it is, if it is what is asked for", () => {
  using here = resctrl();
  const gold = `${here.path}/gold`;
  const plain = { directory: gold, isNew: false, schemata: [], own: [] };
  deepEqual(planRdt(here.path, "box", { closID: "gold" }), plain);
  deepEqual(
    planRdt(here.path, "box", { closID: "gold", schemata: ["L3:1=1F"], memBwSchema: "MB:0=20" }),
    plain,
  );
  for (const schema of ["L3:1=3f", "L3:2=1f", "L2:0=1"]) {
    throws(() => planRdt(here.path, "box", { closID: "gold", schemata: [schema] }), LifecycleError);
  }
  throws(() => planRdt(here.path, "box", { closID: "silver" }), /there is no directory/);
  const silver = planRdt(here.path, "box", { closID: "silver", schemata: ["L3:0=f"] });
  deepEqual([silver.isNew, silver.own], [true, []]);
  equal(planRdt(here.path, "box", { closID: "/" }).directory, here.path);
});

Deno.test("makeRdt(), joinRdt() and removeRdt() do what was planned, and no more", () => {
  using here = resctrl();
  const planned = planRdt(here.path, "box", { closID: "gold", enableMonitoring: true });
  makeRdt(here.path, planned);
  joinRdt(here.path, planned, 77);
  equal(Deno.readTextFileSync(`${here.path}/gold/tasks`), "77\n");
  equal(Deno.readTextFileSync(`${planned.monitor}/tasks`), "77\n");
  Deno.removeSync(`${planned.monitor}/tasks`); // resctrl removes a directory with its files
  removeRdt(planned.own);
  removeRdt(planned.own);
  deepEqual([...Deno.readDirSync(`${here.path}/gold/mon_groups`)], []);
  throws(
    () => makeRdt(`${here.path}`, { ...planned, directory: `${here.path}/no/where`, isNew: true }),
    /Cannot make/,
  );
});
