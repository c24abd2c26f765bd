import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { Diagnosis } from "../../mod.ts";
import { leavesNothing } from "../helpers/census.ts";
import { AS_STRANGER, bundled, cli, Temporary } from "../helpers/cli.ts";
import { skip } from "../helpers/skip.ts";

Deno.test("doctor says whether bundles can run, and leaves nothing behind", async () => {
  const { code, stdout, stderr } = await leavesNothing([], () => cli(["doctor"]));
  equal(stderr, "");
  equal(code, 0, stdout);
  match(stdout, /^ok {7}kernel 5\.12 +Linux \d/m);
  match(stdout, /^ok {7}a sandbox for a program +one was made$/m);
  match(stdout, /\n\nBundles can run here\.\n$/);
});

Deno.test("doctor --format json holds the same rows", async () => {
  const text = (await cli(["doctor"])).stdout;
  const { able, rows } = JSON.parse((await cli(["doctor", "--format", "json"])).stdout) as Diagnosis;
  equal(able, true);
  const lines = text.split("\n").filter((line) => /^(ok|missing|unknown) /.test(line));
  deepEqual(lines.map((line) => line.split(" ")[0]), rows.map(({ answer }) => answer));
  for (const [index, { name, answer, found, costs, remedy }] of rows.entries()) {
    ok(lines[index]!.includes(name) && lines[index]!.endsWith(found));
    equal(costs === undefined && remedy === undefined, answer === "ok", name);
  }
});

Deno.test("doctor exits with 1 where no user namespace can be made", async () => {
  if (Deno.uid() !== 0) return skip("needs root to forbid user namespaces below one of its own");
  // The limit is that of a user namespace of its own: the host keeps its. Nor are there capabilities.
  const forbid = "echo 0 > /proc/sys/user/max_user_namespaces && " +
    'exec setpriv --bounding-set -all --inh-caps -all -- "$@"';
  const wrapper = ["unshare", "--user", "--map-root-user", "--", "sh", "-c", forbid, "sh"];
  const { code, stdout, stderr } = await cli(["doctor"], { wrapper });
  equal(code, 1, stdout + stderr);
  match(
    stdout,
    /^missing {2}root or user namespaces +user\.max_user_namespaces is 0\n +costs: nothing runs\n/m,
  );
  match(stdout, /^ {9}mend: {2}run it as root, or: sysctl -w user\.max_user_namespaces=1000$/m);
  match(stdout, /^missing {2}a sandbox for a program +the kernel refused to .*\(clone3\): ENOSPC$/m);
  match(
    stdout,
    /\nBundles cannot run here; what is missing: root or user namespaces, a sandbox for a program\.\n$/,
  );
  const json = JSON.parse((await cli(["doctor", "--format", "json"], { wrapper })).stdout) as Diagnosis;
  equal(json.able, false);
});

Deno.test("doctor tells a user without rights what that costs", async () => {
  if (Deno.uid() !== 0) return skip("needs root to become another user");
  using here = new Temporary();
  const program = await bundled(here);
  const { code, stdout } = await cli(["doctor"], { program, wrapper: AS_STRANGER, cwd: here.path });
  equal(code, 0, stdout);
  match(stdout, /^ok {7}root or user namespaces +a user namespace was made$/m);
  match(stdout, /^missing {2}CAP_SYS_RESOURCE .*\n +costs: .*\n +mend: .*prlimit/m);
});

Deno.test("doctor refuses a format that it does not have, and other words", async () => {
  for (const args of [["--format", "xml"], ["now"], ["--", "true"]]) {
    const { code, stdout, stderr } = await cli(["doctor", ...args]);
    deepEqual([code, stdout], [1, ""]);
    match(stderr, /^runtime: Cannot use ".*".*: .*\n$/);
  }
});
