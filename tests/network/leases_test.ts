import { deepEqual, equal, match, throws } from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import { type Lease, Leases } from "../../network/leases.ts";
import { freePool, numberOf, parseIpv4, settingsOf } from "../../network/settings.ts";
import { nameProcess } from "../../runtime/state/liveness.ts";
import { Temporary } from "../helpers/cli.ts";

const POOL = { bridge: "test0", ipv4: "10.1.0.0/29" };
const asked = (id: string): Omit<Lease, "address" | "ipv6" | "token"> => {
  return { id, owner: nameProcess(Deno.pid), mode: "policy", ports: [] };
};

Deno.test("Leases hands an address out once, and all there are", () => {
  using directory = new Temporary();
  const leases = new Leases(settingsOf(directory.path, POOL, true));
  const taken = [1, 2, 3, 4, 5].map((each) => leases.take(asked(`box${each}`)));
  deepEqual(taken.map(({ address }) => address).sort(), [2, 3, 4, 5, 6].map((each) => `10.1.0.${each}`));
  match(taken[0]!.ipv6!, /^fd[0-9a-f:]+:a01:[2-6]$/);
  throws(() => leases.take(asked("box6")), /box6.*all 5 of 10\.1\.0\.0\/29 are taken/);
  leases.release(taken[2]!);
  equal(leases.take(asked("box6")).address, taken[2]!.address);
});

Deno.test("Leases.release() leaves an address alone that somebody else has by now", () => {
  using directory = new Temporary();
  const leases = new Leases(settingsOf(directory.path, { ...POOL, ipv4: "10.1.0.0/29" }));
  const taken = [1, 2, 3, 4, 5].map((each) => leases.take(asked(`box${each}`)));
  leases.release(taken[0]!);
  const next = leases.take(asked("next"));
  equal(next.address, taken[0]!.address);
  leases.release(taken[0]!);
  equal(leases.read(next.address)!.id, "next");
});

Deno.test("Leases.stale() tells of those whose process has ended, or another one has its number", async () => {
  using directory = new Temporary();
  const leases = new Leases(settingsOf(directory.path, POOL));
  const child = new Deno.Command("sleep", { args: ["60"] }).spawn();
  const first = leases.take({ ...asked("first"), owner: nameProcess(child.pid) });
  const second = leases.take(asked("second"));
  leases.handOver(second, { ...nameProcess(Deno.pid), startTicks: 1 });
  leases.take(asked("third"));
  deepEqual(leases.stale().map(({ id }) => id), ["second"]);
  child.kill("SIGKILL");
  await child.status;
  deepEqual(leases.stale().map(({ id }) => id).sort(), ["first", "second"]);
  equal(leases.read(first.address)!.token, first.token);
});

Deno.test("Leases.tidy() removes what those have begun to write who died", () => {
  using directory = new Temporary();
  const leases = new Leases(settingsOf(directory.path, POOL));
  const lease = leases.take(asked("mine"));
  const write = (name: string, content: string): string => {
    const path = `${directory.path}/leases/.${name}`;
    Deno.writeTextFileSync(path, content);
    return path;
  };
  write("dead", JSON.stringify({ ...lease, owner: { ...lease.owner, startTicks: 1 } }));
  write("alive", JSON.stringify(lease));
  write("half", "{");
  const old = write("old", "{");
  Deno.utimeSync(old, 1, 1);
  leases.tidy();
  const left = [...Deno.readDirSync(`${directory.path}/leases`)].map(({ name }) => name).sort();
  deepEqual(left, [".alive", ".half", lease.address]);
});

Deno.test("Leases.removeEmpty() removes what a power cut has left of leases, and nothing else", () => {
  using directory = new Temporary();
  const leases = new Leases(settingsOf(directory.path, POOL));
  const lease = leases.take(asked("mine"));
  const others = ["2", "3", "4"].map((each) => `10.1.0.${each}`).filter((each) => each !== lease.address);
  const [empty, half] = [others[0]!, others[1]!];
  Deno.writeTextFileSync(`${directory.path}/leases/${empty}`, "");
  Deno.writeTextFileSync(`${directory.path}/leases/${half}`, JSON.stringify(lease).slice(0, 40));
  deepEqual([leases.list().map(({ id }) => id), leases.stale(), leases.hasEmpty], [["mine"], [], true]);
  leases.removeEmpty();
  equal(leases.hasEmpty, false);
  deepEqual([...Deno.readDirSync(`${directory.path}/leases`)].map(({ name }) => name), [lease.address]);
});

Deno.test("Leases never gives two processes one address, however many ask at once", async () => {
  using directory = new Temporary();
  const module = fromFileUrl(new URL("../helpers/take_leases.ts", import.meta.url));
  const runs = [1, 2, 3, 4].map(async (each) => {
    const args = ["run", "--quiet", "-A", module, directory.path, `${each}`, "50"];
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
    equal(code, 0, new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout).trim().split("\n");
  });
  const all = (await Promise.all(runs)).flat();
  equal(all.length, 200);
  equal(new Set(all).size, 200);
  const leases = new Leases(settingsOf(directory.path, { ...POOL, ipv4: "10.1.0.0/24" }));
  equal(leases.stale().length, 200); // they did not give them back
});

Deno.test("freePool() takes addresses that the host does not use", () => {
  const used = (from: string, to: string): { first: number; last: number } => {
    return { first: numberOf(parseIpv4(from)!), last: numberOf(parseIpv4(to)!) };
  };
  equal(freePool([]), "10.209.0.0/16");
  equal(freePool([used("10.209.4.0", "10.209.4.255")]), "10.210.0.0/16");
  equal(freePool([used("10.208.0.0", "10.211.255.255")]), "10.212.0.0/16");
  throws(() => freePool([used("10.0.0.0", "10.255.255.255")]), /the host uses them all/);
});

Deno.test("settingsOf() refuses what is no pool", () => {
  for (const ipv4 of ["10.1.0.0", "10.1.0.0/8", "10.1.0.1/16", "10.1.0.0/30", "x/16", "::/64"]) {
    throws(() => settingsOf("/x", { bridge: "b", ipv4 }), /as addresses of a network/);
  }
  throws(() => settingsOf("/x", { bridge: 'b" ', ipv4: "10.1.0.0/16" }), /call a bridge/);
});
