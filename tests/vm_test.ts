import { equal, match } from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import { skip } from "./helpers/skip.ts";
import { boot, type Said } from "./vm/boot.ts";
import { cpio } from "./vm/cpio.ts";
import { missing, parts } from "./vm/suite.ts";

/** How long a guest is there that has little to do, on this machine now: the longest so far. */
let shortMs = 0;

/** Runs a script in a guest of its own; nothing where there can be none. */
async function guest(script: string, timeoutMs = 120_000): Promise<Said & { output: string } | undefined> {
  const lacking = await missing();
  if (lacking !== undefined) return void skip(lacking);
  const { base, root } = await parts();
  let output = "";
  const said = await boot({ kernel: base, root, payload: [], script, timeoutMs }, (bytes) => {
    output += new TextDecoder().decode(bytes);
    return Promise.resolve();
  });
  shortMs = Math.max(shortMs, said.ms);
  return { ...said, output };
}

Deno.test("boot() passes on what the guest prints, how it ended, and what it reports", async () => {
  const script = "echo printed; echo complained >&2; echo '<x/>' >/run/guest/report.xml; exit 7";
  const said = await guest(script);
  if (!said) return;
  equal(said.problem, undefined);
  equal(said.output, "printed\ncomplained\n");
  equal(said.status, 7);
  equal(said.report, "<x/>\n");
});

Deno.test("boot() tells the end of the console where the guest's kernel crashes", async () => {
  const said = await guest("echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger; sleep 60");
  if (!said) return;
  match(said.problem!, /stopped before it had reported [^;]*; its console ends with[^]*Kernel panic/);
});

Deno.test("boot() ends a guest that hangs", async () => {
  // As long as it takes to be up, and more.
  if (shortMs === 0 && !await guest("true")) return;
  const timeoutS = 3 + 3 * Math.ceil(shortMs / 1000);
  const said = (await guest("echo waiting >/dev/console; sleep 600", timeoutS * 1000))!;
  match(said.problem!, new RegExp(`was not done after ${timeoutS} s; its console ends with[^]*waiting`));
  equal(said.ms < timeoutS * 1000 + 30_000, true);
});

Deno.test("cpio() writes what cpio(1) reads", async () => {
  const archive = cpio([
    { kind: "directory", path: "d", mode: 0o750 },
    { kind: "file", path: "d/file", mode: 0o640, bytes: new TextEncoder().encode("seven b") },
    { kind: "link", path: "d/link", to: "file" },
  ]);
  const file = Deno.makeTempFileSync();
  try {
    Deno.writeFileSync(file, archive);
    const args = ["cpio", "-t", "-v", "-F", file];
    const { stdout } = await new Deno.Command("busybox", { args }).output();
    const text = new TextDecoder().decode(stdout).replaceAll(/ +/g, " ");
    match(
      text,
      /^drwxr-x--- 0\/0 0 \S+ \S+ d\n-rw-r----- 0\/0 7 \S+ \S+ d\/file\nlrwxrwxrwx 0\/0 0 \S+ \S+ d\/link -> file\n/,
    );
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    skip("needs busybox");
  } finally {
    Deno.removeSync(file);
  }
});

Deno.test("the scripts of the guest satisfy shellcheck", async () => {
  const path = (name: string): string => fromFileUrl(new URL(`vm/${name}`, import.meta.url));
  try {
    const args = ["--shell=dash", path("init.sh"), path("stage2.sh")];
    const { code, stdout } = await new Deno.Command("shellcheck", { args }).output();
    equal(code, 0, new TextDecoder().decode(stdout));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    skip("needs shellcheck");
  }
});
