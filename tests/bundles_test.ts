import { deepEqual, equal, match } from "node:assert/strict";
import { loadBundle, Sandbox } from "../mod.ts";
import { leavesNothing } from "./helpers/census.ts";
import { cannotRunRunc } from "./helpers/cgroups.ts";
import { cli, ROOT, Temporary } from "./helpers/cli.ts";
import { skip } from "./helpers/skip.ts";

const SAYS = {
  hello: /^Hello from inside a sandbox: I am process 1 on host hello\.\n$/,
  python: /^Python 3\.\d+\.\d+\S*, process 1 on host python\na child says: hello\n$/,
  node: /^Node\.js v\d+\.\d+\.\d+, process 1 on host node\na thread says: hello\n$/,
};
const NEEDS = { hello: "/usr/bin/sh", python: "/usr/bin/python3", node: "/usr/bin/node" };

for (const name of Object.keys(SAYS) as (keyof typeof SAYS)[]) {
  const path = `${ROOT}/bundles/${name}`;

  Deno.test(`bundles/${name} is a bundle`, () => {
    const { spec } = loadBundle(path);
    equal(spec.hostname, name);
    deepEqual(Object.values(spec.process?.capabilities ?? {}).flat(), [], "it needs no rights");
  });

  Deno.test(`bundles/${name} says the same from the command line, the library and runc`, async (t) => {
    if (!await exists(NEEDS[name])) return skip(`needs ${NEEDS[name]}`, t);
    const ours = await leavesNothing([path], () => cli(["run", `bundles/${name}`]));
    deepEqual([ours.code, ours.stderr], [0, ""]);
    match(ours.stdout, SAYS[name]);
    await using sandbox = await Sandbox.run({ bundle: path });
    equal(await new Response(sandbox.stdout).text(), ours.stdout);
    equal((await sandbox.wait()).exitCode, 0);
    if (!await exists("/usr/sbin/runc")) return skip("needs runc", t);
    const reason = cannotRunRunc();
    if (reason) return skip(reason, t);
    using copy = new Temporary(); // runc makes what is missing in the rootfs
    await new Deno.Command("cp", { args: ["-a", `${path}/.`, copy.path] }).output();
    const id = `bundle-${crypto.randomUUID().slice(0, 8)}`;
    const runc = await cli(["run", "--bundle", copy.path, id], { program: ["runc"] });
    deepEqual([runc.code, runc.stderr, runc.stdout], [0, "", ours.stdout]);
    const asRunc = await cli(["run", "--bundle", copy.path, id]);
    deepEqual([asRunc.code, asRunc.stderr, asRunc.stdout], [0, "", ours.stdout]);
  });
}

function exists(path: string): Promise<boolean> {
  return Deno.stat(path).then(() => true, () => false);
}
