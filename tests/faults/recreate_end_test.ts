import { deepEqual, equal, match, ok } from "node:assert/strict";
import { isThere } from "../../ffi/look.ts";
import { Store } from "../../runtime/state/store.ts";
import { hasCompiler } from "../helpers/c_program.ts";
import { waitUntil } from "../helpers/eventually.ts";
import { link } from "../helpers/gone.ts";
import { type Attached, attachedTest, FIRST } from "../helpers/recreates.ts";
import { skip } from "../helpers/skip.ts";
import { type Done, Followed } from "./followed.ts";
import type { Call } from "./injector.ts";

const CODE = 5;
const UNTIL_GONE = "echo up; while [ -e /stay ]; do sleep 0.01; done; exit 5";

/** Lets the programs of containers stay, or end. */
function stay({ containers: { bundle } }: Attached, isLong: boolean): void {
  if (isLong) Deno.writeTextFileSync(`${bundle.rootfs}/stay`, "");
  else Deno.removeSync(`${bundle.rootfs}/stay`);
}

/** Whether a command has become a process of Deno's. */
function isAdopted({ own }: Done): boolean {
  return own.some(({ name, detail }) => name === "execve" && detail === "/proc/self/exe");
}

/** The calls of a run that nothing is done to, from that on by which the container is locked at its end. */
async function callsAtTheEnd(attached: Attached, followed: Followed): Promise<readonly Call[]> {
  const said = await followed.run(attached.line(FIRST));
  deepEqual([said.code, said.stderr], [CODE, ""]);
  equal(isAdopted(said), false);
  return said.own.slice(said.own.findLastIndex(({ name }) => name === "flock"));
}

attachedTest(
  "a container that somebody is at when its program ends is left to Deno by run --bundle",
  async (attached) => {
    const { root } = attached.containers;
    attached.write(UNTIL_GONE);
    stay(attached, true);
    const { child, answer } = await attached.begin(FIRST);
    let hasEnded = false;
    void answer.then(() => hasEnded = true);
    // When its program runs it lets others at the container, and then closes the gate, by which whoever waits there is found.
    const holdsGate = (): boolean => {
      return Array.from(Deno.readDirSync(`/proc/${child.pid}/fd`)).some(({ name }) => {
        return link(`/proc/${child.pid}/fd/${name}`).endsWith(".fifo");
      });
    };
    await waitUntil(() => !holdsGate(), "it has closed the gate");
    {
      using entry = new Store(root).find(FIRST)!;
      equal(entry.tryLock(), true);
      stay(attached, false);
      const isDeno = (): boolean => {
        return !hasEnded && Deno.readTextFileSync(`/proc/${child.pid}/maps`).includes("libc");
      };
      await waitUntil(() => hasEnded || isDeno());
      equal(hasEnded, false);
      ok(isThere(`${root}/${FIRST}/record.json`));
    }
    deepEqual(await answer, { code: CODE, stdout: "up\n", stderr: "" });
  },
);

attachedTest("a run --bundle without Deno leaves no process for others to wait for", async (attached) => {
  attached.write(UNTIL_GONE);
  stay(attached, true);
  const { child: { pid }, answer } = await attached.begin(FIRST);
  // The launcher has been waited for, and its first process will be. This process gets orphans.
  const children = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim().split(" ");
  equal(children.length, 1);
  stay(attached, false);
  equal((await answer).code, CODE);
  equal(isThere(`/proc/${children[0]}`), false);
});

attachedTest("run --bundle without Deno removes what is its own, and nothing else", async (attached) => {
  if (!hasCompiler) return skip("needs gcc");
  const { containers } = attached;
  const { root, bundle } = containers;
  using followed = new Followed(containers);
  attached.write(UNTIL_GONE);
  const [lock, group] = await callsAtTheEnd(attached, followed);
  deepEqual([lock?.name, group?.name], ["flock", "unlinkat"]);

  // Whoever writes the record anew removes the moves.
  const file = `${root}/${FIRST}/moves`;
  const rewritten = await followed.during(lock!, () => Deno.removeSync(file), [attached.line(FIRST)]);
  deepEqual([rewritten.code, isAdopted(rewritten)], [CODE, true]);

  // Somebody else has removed it, and made another one of the same name.
  const replaced = await followed.during(lock!, async () => {
    await containers.output("delete", "--force", FIRST);
    await containers.output("create", FIRST, "--bundle", bundle.path);
  }, [attached.line(FIRST)]);
  deepEqual([replaced.code, isAdopted(replaced)], [CODE, false]);
  equal(await containers.status(FIRST), "created");
  await containers.output("delete", "--force", FIRST);

  // A cgroup that cannot be removed at once, as a process is still on its way out.
  const busy = await followed.run(attached.line(FIRST), { point: { ...group!, fault: "EPERM" } });
  equal(busy.hit?.name, "unlinkat");
  deepEqual([busy.code, isAdopted(busy)], [CODE, false]);
  equal(isThere(`/sys/fs/cgroup/freezer/${FIRST}`), false);
});

attachedTest("run --bundle says so where neither it nor Deno can remove the container", async (attached) => {
  if (!hasCompiler) return skip("needs gcc");
  const { containers } = attached;
  using followed = new Followed(containers);
  attached.write(UNTIL_GONE);
  /** A run that leaves the end to Deno, as a file lies beside the record. */
  const run = async (what: Parameters<Followed["begin"]>[1] = {}): Promise<Done> => {
    stay(attached, true);
    const command = containers.commands;
    const { done } = followed.begin(attached.line(FIRST), what);
    await waitUntil(() => containers.said(command).stdout === "up\n");
    Deno.writeTextFileSync(`${containers.root}/${FIRST}/beside`, "");
    stay(attached, false);
    return await done;
  };
  const usual = await run();
  deepEqual([usual.code, isAdopted(usual)], [CODE, true]);
  const call = usual.own.find(({ name, detail }) => name === "execve" && detail === "/proc/self/exe")!;
  const failed = await run({ point: { ...call, fault: "EPERM" } });
  equal(failed.hit?.name, "execve");
  equal(failed.code, 1);
  match(failed.stderr, /^runtime: Cannot supervise the container: Deno could not be started/);
  await containers.output("delete", "--force", FIRST);
});
