import { deepEqual, equal, match } from "node:assert/strict";
import { cannotLimit } from "../helpers/cgroups.ts";
import { cli, Temporary } from "../helpers/cli.ts";
import { skip } from "../helpers/skip.ts";

Deno.test("policy lists, shows and compares the policies", async () => {
  const list = await cli(["policy"]);
  match(list.stdout, /^permissive +For .*\ndefault +For .*\nstrict +For .*\n$/);
  const shown = await cli(["policy", "show", "strict"]);
  match(shown.stdout, /\nkill: attacks \(no ordinary program .*\)\n {2}acct add_key bpf .* ptrace/s);
  const different = await cli(["policy", "diff", "default", "strict"]);
  match(different.stdout, /^call ptrace +refuse → kill$/m);
  const same = await cli(["policy", "diff", "--format", "json", "strict", "strict"]);
  deepEqual(JSON.parse(same.stdout), { differences: [] });
});

Deno.test("what policy show --format json prints is a policy", async () => {
  using here = new Temporary();
  const { stdout } = await cli(["policy", "show", "--format", "json", "strict"]);
  const file = here.file("mine.json", JSON.stringify({ ...JSON.parse(stdout), name: "mine" }));
  equal((await cli(["policy", "diff", "strict", file])).stdout, "");
});

Deno.test("a policy's limits on the machine hold, unless an option says otherwise", async () => {
  const reason = cannotLimit();
  if (reason) return skip(reason);
  using here = new Temporary();
  const text = "name: mine\nresources: { reason: test, memoryBytes: 67108864, pids: 20 }\n";
  const file = here.file("mine.yaml", text);
  const fill = "head -c 200000000 /dev/zero | tail -c 200000000 | wc -c";
  const small = await cli([
    "run",
    "--policy",
    file,
    "--",
    "sh",
    "-c",
    `exec python3 -c 'bytearray(200 << 20)'`,
  ]);
  match(small.stderr, /its memory was used up; allow more with --memory/);
  equal(small.code, 137);
  const large = await cli(["run", "--policy", file, "--memory", "1GB", "--", "sh", "-c", fill]);
  deepEqual([large.stdout, large.code], ["200000000\n", 0], large.stderr);
  match(
    (await cli(["policy", "show", file])).stdout,
    /of the machine at most.*\(test\)\n.*memoryBytes 67108864 pids 20/,
  );
  match((await cli(["policy", "diff", "default", file])).stdout, /resource pids +- → 20/);
});

Deno.test("run --policy takes a file in YAML", async () => {
  using here = new Temporary();
  const file = here.file(
    "mine.yaml",
    `# Lets programs make further user namespaces.
name: mine
extends: default
userLimits:
  reason: a few
  limits: { max_user_namespaces: 5 }
seccomp:
  groups:
    - name: user namespaces
      action: allow
      reason: the program makes sandboxes itself
      calls: [unshare]
`,
  );
  const said = await cli([
    "run",
    "--policy",
    file,
    "--",
    "sh",
    "-c",
    "unshare -U echo inside; unshare -m echo no",
  ]);
  equal(said.stdout, "inside\n");
});

for (
  const [what, text, error] of [
    [
      "a word spelt wrong",
      "name: mine\nlandlok: true\n",
      /mine\.yaml": \/landlok: Cannot use "landlok": there is no such property\n$/,
    ],
    ["no YAML", "name: [\n", /^runtime: Cannot use "[^"]*mine\.yaml": .*line/],
    [
      "an alias bomb",
      `a: &a [${"x,".repeat(9)}x]\nb: &b [${"*a,".repeat(9)}*a]\nname: mine\n`,
      /\/a: Cannot use "a"/,
    ],
  ] as const
) {
  Deno.test(`run --policy says what is wrong with a file: ${what}`, async () => {
    using here = new Temporary();
    const said = await cli(["run", "--policy", here.file("mine.yaml", text), "--", "true"]);
    deepEqual([said.code, said.stdout], [1, ""]);
    match(said.stderr, error);
  });
}

Deno.test("a policy that is not there is an error with what there is", async () => {
  const said = await cli(["run", "--policy", "tight", "--", "true"]);
  deepEqual([said.code, said.stderr], [
    1,
    'runtime: Cannot use policy "tight": name one of permissive, default, strict, or a file such as ./tight.yaml\n',
  ]);
  match(
    (await cli(["run", "--policy", "./tight.yaml", "--", "true"])).stderr,
    /"\.\/tight\.yaml": \/: no such file/,
  );
});

Deno.test("run says which call a sandbox was killed for, and the record has it", async () => {
  using here = new Temporary();
  const record = `${here.path}/record.json`;
  const said = await cli(["run", "--policy", "strict", "--result", record, "--", "unshare", "-U", "true"]);
  deepEqual([said.code, said.stderr], [
    159,
    "runtime: the sandbox was killed: it called unshare, which its policy forbids\n",
  ]);
  equal(JSON.parse(Deno.readTextFileSync(record)).forbiddenCall.syscall, "unshare");
});

Deno.test("plan --policy shows what the policy adds", async () => {
  const { stdout } = await cli(["plan", "--policy", "strict", "bundles/hello"]);
  match(stdout, /set user\.max_user_namespaces to 0/);
  match(stdout, /bound RLIMIT_MEMLOCK by 65536:65536/);
  equal(stdout.match(/install the seccomp filter/g)?.length, 1);
});
