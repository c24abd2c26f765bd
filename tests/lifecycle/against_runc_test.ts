import { deepEqual } from "node:assert/strict";
import { type Answer, BOX, Containers } from "../helpers/containers.ts";
import { RUNTIME } from "../helpers/cli.ts";
import { containerTest } from "../helpers/container_test.ts";
import { skip } from "../helpers/skip.ts";

const RUNC = "/usr/sbin/runc";

/** The life of a container with every mistake on the way; `-` waits until it has ended. */
const LIFE: readonly string[] = [
  "create --bundle . box",
  "state box",
  "list --quiet",
  "list --format json",
  "create --bundle . box",
  "resume box",
  "pause box",
  "state box",
  "start box",
  "kill box 0",
  "resume box",
  "start box",
  "state box",
  "start box",
  "delete box",
  "pause box",
  "pause box",
  "start box",
  "delete box",
  "state box",
  "resume box",
  "resume box",
  "kill box NOSUCH",
  "kill box 99",
  "kill box 0",
  "kill box TERM",
  "ps box -o cmd",
  "ps --format nosuch box",
  "kill --all box WINCH",
  "kill -a box SIGWINCH",
  "kill box SIGKILL",
  "-",
  "state box",
  "list",
  "kill box KILL",
  "kill --all box KILL",
  "ps --format json box",
  "pause box",
  "resume box",
  "start box",
  "delete box",
  "delete box",
  "state box",
  "start box",
  "kill box 9",
  "pause box",
  "resume box",
  "delete --force box",
  "list",
  "list --format json",
  "list --format nosuch",
  "run --detach --bundle . box",
  "state box",
  "pause box",
  "kill box 9",
  "-",
  "delete box",
  "run --bundle . --detach box",
  "delete -force box",
  "create -b . box",
  "kill box TERM",
  "-",
  "delete box",
  "create -bundle . box",
  "delete box",
  "create -b . box",
  "delete -f box",
];

containerTest("the life of a container is what it is with runc: exit codes, states, messages", async () => {
  if (!isThere(RUNC)) return skip(`needs ${RUNC}`);
  await using containers = new Containers([RUNC]);
  await using ours = new Containers(RUNTIME);
  const [theirs, own] = [await live(containers), await live(ours)];
  deepEqual(own, theirs);
});

async function live(containers: Containers): Promise<string[]> {
  const said: string[] = [];
  for (const step of LIFE) {
    if (step === "-") await containers.until(BOX, "stopped");
    else {said.push(
        `${step}: ${plain(await containers.run(...step.replace(/\bbox\b/, BOX).split(" ")), containers)}`,
      );}
  }
  return said;
}

/** What does not differ from one run to the next, and from one runtime to the other. */
function plain({ code, stdout, stderr }: Answer, { bundle }: Containers): string {
  const message = stderr.trim().replace(/^time=\S+ level=error msg=(.*)$/, (_, text) => JSON.parse(text))
    .replace(/^runtime: |^runc \w+ failed: /, "");
  const state = stdout.replaceAll(bundle.path, "BUNDLE").replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    .replaceAll(/("ociVersion": ?)"[^"]*"/g, '$1"…"').replaceAll(/("pid": ?)[1-9]\d*/g, "$1PID");
  return `${code} ${message} ${state.replaceAll(/ {2,}/g, "  ")}`;
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
