import { equal, match } from "node:assert/strict";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { RUNTIME } from "../helpers/cli.ts";
import { containerTest } from "../helpers/container_test.ts";
import { Containers } from "../helpers/containers.ts";

/** As an engine of a user without rights does: all commands in one user namespace, whose root it is. */
const SCRIPT = `set -e
"$@" create box </dev/null >created 2>&1 || cat created
ls "$XDG_RUNTIME_DIR/ai-sandbox/containers"
"$@" start box
"$@" exec box /bin/sh -c 'echo in it; echo >/dev/null; exit 3' || echo $?
"$@" kill box KILL
until "$@" delete box 2>/dev/null; do sleep 0.1; done
ls "$XDG_RUNTIME_DIR/ai-sandbox/containers"
echo end
`;

async function asRoot(containers: Containers, script: string): Promise<string> {
  const { path } = containers.bundle;
  const child = new Deno.Command("unshare", {
    args: ["--user", "--mount", "sh", "-c", `read -r _; ${script}`, "sh", ...RUNTIME],
    env: { XDG_RUNTIME_DIR: path, USER: "somebody", NO_COLOR: "1" },
    cwd: path,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const outer = Deno.readLinkSync("/proc/self/ns/user");
  while (Deno.readLinkSync(`/proc/${child.pid}/ns/user`) === outer) await sleep(5);
  for (const kind of ["uid", "gid"]) Deno.writeTextFileSync(`/proc/${child.pid}/${kind}_map`, "0 0 65536");
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode("\n"));
  await writer.close();
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  await child.status;
  return stdout + stderr;
}

function text(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  return new Response(stream).text();
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

containerTest("root of a user namespace has containers as an engine of a user makes them", async () => {
  await using containers = new Containers();
  containers.write(["/bin/sh", "-c", "sleep 300 & wait"]);
  equal(
    await asRoot(containers, SCRIPT),
    "box\nin it\n3\nend\n",
  );
  containers.write(["/bin/sh", "-c", "echo hi; cat /proc/self/uid_map"]);
  match(await asRoot(containers, '"$@" run box'), /^hi\n\s+0\s+0\s+65536\n$/);
  containers.write(["/bin/sleep", "300"]);
  const force = `"$@" run --detach box </dev/null >created 2>&1; ls "$XDG_RUNTIME_DIR/ai-sandbox/containers"
    "$@" delete --force box; ls "$XDG_RUNTIME_DIR/ai-sandbox/containers"`;
  equal(await asRoot(containers, force), "box\n"); // and not in root's own place
});

containerTest("root of a user namespace does not get limits that nobody keeps", async () => {
  await using containers = new Containers();
  containers.write(["/bin/true"], {
    linux: { ...starterSpec().linux, resources: { pids: { limit: 10 } } },
  });
  match(await asRoot(containers, '"$@" run box'), /Cannot .*(resources|cgroup)/);
});
