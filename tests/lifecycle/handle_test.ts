import { deepEqual, equal, match, rejects } from "node:assert/strict";
import {
  Container,
  deleteContainer,
  killContainer,
  LifecycleError,
  nameProcess,
  Sandbox,
  startContainer,
} from "../../mod.ts";
import { until } from "../helpers/cli.ts";
import { containerTest } from "../helpers/container_test.ts";
import { BOX, Containers } from "../helpers/containers.ts";

/** What the library opens once and keeps, such as its reactor, is there before anything is counted. */
async function warmUp(): Promise<void> {
  await using sandbox = await Sandbox.run({ command: ["true"] });
  await sandbox.wait();
}
if (Deno.uid() === 0) await warmUp();

containerTest(
  "Sandbox.open() finds a container that another process made, and does all that the commands do",
  async () => {
    await using containers = new Containers();
    await containers.output("create", BOX);
    const { root } = containers;
    const container = await Sandbox.open(BOX, { root });
    equal(container.state.status, "created");
    await container.start();
    equal(container.state.status, "running");
    deepEqual(container.processes, [container.state.pid]);
    await container.update({ pids: { limit: 9 } });
    equal(container.stats.pids?.limit, 9);
    await container.pause();
    equal(container.state.status, "paused");
    await container.resume();
    const events = container.events({ intervalMs: 20 });
    equal((await events.next()).value?.type, "stats");
    await events.return();
    {
      await using program = await container.exec(["cat"], { stdin: "piped" });
      const writer = program.stdin!.getWriter();
      await writer.write(new TextEncoder().encode("hello\n"));
      equal(await until(program.stdout!, "\n"), "hello\n");
      await writer.close();
      equal((await program.wait()).exitCode, 0);
    }
    await rejects(container.delete(), /that is not stopped: running/);
    await container.kill();
    await containers.until(BOX, "stopped");
    await container.delete();
    await rejects(Sandbox.open(BOX, { root }), LifecycleError);
  },
);

containerTest("Container.create() makes one, and Sandbox.list() names all", async () => {
  await using containers = new Containers();
  const { root, bundle } = containers;
  const container = await Container.create(BOX, { root, bundle: bundle.path });
  deepEqual((await Sandbox.list({ root })).map(({ id }) => id), [BOX]);
  await container.kill(9, { all: true });
  await container.delete({ force: true });
  deepEqual(await Sandbox.list({ root }), []);
  match(String(await container.start().catch((error) => error)), /container does not exist/);
});

containerTest("who names the first process means no other container of that name", async () => {
  await using containers = new Containers();
  const { root, bundle } = containers;
  const container = await Container.create(BOX, { root, bundle: bundle.path });
  const init = nameProcess(container.state.pid);
  const file = `${root}/${BOX}/record.json`;
  const record = Deno.readTextFileSync(file);
  const others = [nameProcess(Deno.pid), { ...init, startTicks: init.startTicks + 1 }, {
    ...init,
    bootId: "x",
  }];
  for (const other of others) {
    for (const change of [(): string => record, (): string => record.slice(0, -1), (): string => ""]) {
      Deno.writeTextFileSync(file, change()); // also where nobody can go by the record
      const choice = { root, init: other };
      await deleteContainer(BOX, { ...choice, force: true });
      equal(Deno.readTextFileSync(file), change());
      await rejects(deleteContainer(BOX, choice), /container does not exist/);
      await rejects(startContainer(BOX, choice), /container does not exist/);
    }
    Deno.writeTextFileSync(file, record);
    await rejects(killContainer(BOX, "KILL", { root, init: other }), /container does not exist/);
    equal(container.state.status, "created");
  }
  await startContainer(BOX, { root, init });
  await killContainer(BOX, "KILL", { root, init });
  await containers.until(BOX, "stopped");
  Deno.writeTextFileSync(file, record.slice(0, -1));
  await deleteContainer(BOX, { root, init, force: true });
  await deleteContainer(BOX, { root, init, force: true });
  deepEqual(await Sandbox.list({ root }), []);
});
