import { deepEqual, equal, match, ok } from "node:assert/strict";
import { groupValue } from "../helpers/container_groups.ts";
import { containerTest } from "../helpers/container_test.ts";
import { BOX, Containers } from "../helpers/containers.ts";

const [AT, CLASS] = ["/run/network-marks", 0x10_0001];
const namespaces = (["pid", "mount", "uts", "ipc"] as const).map((type) => ({ type }));

async function command(program: string, ...args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args: [...args] }).output();
  ok(success, `${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

// Its name makes it the last of the guest: without a mount, too, a hierarchy of version 1 stays in everybody's /proc/PID/cgroup.

/** The controllers of version 1 for the network beside version 2, and loopback that counts by class: 10:1 and the rest. */
async function marking(): Promise<AsyncDisposable> {
  await using made = new AsyncDisposableStack();
  Deno.mkdirSync(AT);
  made.defer(() => Deno.removeSync(AT));
  await command("mount", "-t", "cgroup", "-o", "net_cls,net_prio", "none", AT);
  made.defer(async () => void await command("umount", AT));
  await command("tc", "qdisc", "add", "dev", "lo", "root", "handle", "10:", "htb", "default", "2");
  made.defer(async () => void await command("tc", "qdisc", "del", "dev", "lo", "root"));
  for (const each of ["10:1", "10:2"]) {
    await command(
      "tc",
      "class",
      "add",
      "dev",
      "lo",
      "parent",
      "10:",
      "classid",
      each,
      "htb",
      "rate",
      "1gbit",
    );
  }
  await command("tc", "filter", "add", "dev", "lo", "parent", "10:", "handle", "1", "cgroup");
  return made.move();
}

async function counted(): Promise<number> {
  const said = await command("tc", "-s", "class", "show", "dev", "lo");
  return Number(/class htb 10:1 .*\n Sent \d+ bytes (\d+) pkt/.exec(said)![1]);
}

containerTest("packets of a container carry the class and the priority that config.json names", async () => {
  await using containers = new Containers();
  await using _ = await marking();
  const connect = async (network: object): Promise<void> => {
    const script = "nc -w 2 127.0.0.1 9 2>/dev/null; exec sleep 300";
    containers.write(["/bin/sh", "-c", script], { linux: { namespaces, resources: { network } } });
    await containers.output("run", "--detach", BOX);
  };
  const pid = async (): Promise<number> => JSON.parse(await containers.output("state", BOX)).pid;
  const until = async (isDone: () => Promise<boolean>): Promise<void> => {
    for (const end = Date.now() + 60_000; !await isDone();) {
      ok(Date.now() < end, await command("tc", "-s", "class", "show", "dev", "lo"));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  const slept = async (): Promise<boolean> =>
    Deno.readTextFileSync(`/proc/${await pid()}/comm`) === "sleep\n";

  await connect({});
  await until(slept);
  equal(await counted(), 0);
  await containers.output("delete", "--force", BOX);

  await connect({ classID: CLASS, priorities: [{ name: "lo", priority: 5 }] });
  await until(async () => await counted() > 0);
  equal(groupValue(await pid(), "net_cls.classid"), String(CLASS));
  match(groupValue(await pid(), "net_prio.ifpriomap")!, /^lo 5$/m);
  await containers.output("delete", "--force", BOX);
  deepEqual(Array.from(Deno.readDirSync(AT)).filter(({ isDirectory }) => isDirectory), []);
});
