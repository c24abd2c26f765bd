import { deepEqual, equal, match } from "node:assert/strict";
import { findCriu } from "../../snapshots/installed.ts";
import { engineTest } from "../helpers/engines/engine_test.ts";
import { eventually } from "../helpers/eventually.ts";
import { IMAGE } from "../helpers/engines/image.ts";
import { readLimits } from "../helpers/engines/limits.ts";

const WAIT_MS = 60_000;
const DOCKER = {
  section: "Docker",
  programs: {
    "/usr/sbin/dockerd": "docker.io",
    "/usr/bin/docker": "docker.io",
    "/usr/bin/containerd": "containerd",
  },
  cgroups: /^docker$/,
};
const LOOP = "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.1; done";

engineTest(DOCKER, async ({ machine, image, step }) => {
  const docker = (...args: readonly string[]): string[] => ["docker", ...args];
  const out = (...args: readonly string[]): Promise<string> => machine.output(docker(...args));
  const state = (format: string): Promise<string> => out("inspect", `--format=${format}`, "box");
  await using _containerd = await machine.daemon("containerd", ["containerd"], ["ctr", "version"]);
  await using _dockerd = await machine.daemon("dockerd", ["dockerd", "--experimental"], [
    "docker",
    "version",
  ]);
  await out("load", "--quiet", "--input", image);

  await step("run shows the output and passes the exit code on", async () => {
    equal(await out("run", "--rm", "--network=none", IMAGE), "hello from box");
    const script = "echo wrong >&2; exit 7";
    const { code, stderr } = await machine.run(
      docker("run", "--rm", "--network=host", IMAGE, "sh", "-c", script),
    );
    equal(code, 7, stderr);
    equal(stderr, "wrong\n");
  });

  await step("run says 127 for a program that is not there and 126 for one that is none", async () => {
    equal((await machine.run(docker("run", "--rm", "--network=none", IMAGE, "/nosuch"))).code, 127);
    equal((await machine.run(docker("run", "--rm", "--network=none", IMAGE, "/etc/passwd"))).code, 126);
    equal((await machine.run(docker("run", "--rm", "--network=none", IMAGE, "/etc"))).code, 126);
  });

  await step("run gives a network of Docker's bridge, by a hook", async () => {
    match(await out("run", "--rm", IMAGE, "ip", "addr", "show", "eth0"), /inet 172\.17\.0\.\d+\/16/);
  });

  await step("run -it has a terminal", async () => {
    const typed = docker("run", "-it", "--rm", "--network=none", IMAGE, "sh", "-c", "tty; exit 3");
    const { code, stdout } = await machine.run(typed, { terminal: true });
    match(stdout, /\/dev\/pts\/0\r\n/);
    equal(code, 3);
  });

  await step("health checks", async () => {
    const health = ["--health-cmd=test -e /tmp/well", "--health-interval=100ms", "--health-retries=1"];
    await out("run", "--detach", "--name=ill", "--network=none", ...health, IMAGE, "sleep", "300");
    const until = async (status: string): Promise<void> => {
      const words = ["inspect", "--format={{.State.Health.Status}}", "ill"];
      for (const end = Date.now() + WAIT_MS; await out(...words) !== status;) {
        if (Date.now() > end) throw new Error(`It does not become ${status}`);
      }
    };
    await until("unhealthy");
    await out("exec", "ill", "touch", "/tmp/well");
    await until("healthy");
    await out("rm", "--force", "ill");
  });

  await step("checkpoint, start --checkpoint", async () => {
    await machine.bind(findCriu().program, "/usr/sbin/criu");
    const count = "i=0; while :; do i=$((i + 1)); echo $i; sleep 0.05; done";
    await out("run", "--detach", "--name=counter", "--network=host", IMAGE, "sh", "-c", count);
    const last = async (): Promise<number> => Number((await out("logs", "--tail=1", "counter")) || 0);
    const beyond = async (number: number): Promise<void> => {
      for (const end = Date.now() + WAIT_MS; await last() <= number;) {
        if (Date.now() > end) throw new Error(`The count does not go beyond ${number}`);
      }
    };
    await beyond(2);
    equal(await out("checkpoint", "create", "counter", "one"), "one");
    equal(await out("inspect", "--format={{.State.Status}}", "counter"), "exited");
    const stopped = await last();
    await out("start", "--checkpoint=one", "counter");
    await beyond(stopped);
    const all = (await out("logs", "counter")).split("\n").map(Number);
    deepEqual(all, all.map((_, index) => index + 1)); // goes on where it was
    await out("rm", "--force", "counter");
  });

  const limits = ["--memory=64m", "--cpus=0.5", "--pids-limit=33"];
  const id = await out("run", "--detach", "--name=box", ...limits, IMAGE, "sh", "-c", LOOP);

  await step("run --detach, ps, logs", async () => {
    equal(await out("ps", "--format={{.Names}} {{.State}}"), "box running");
    equal(await state("{{.State.Status}} {{.HostConfig.Runtime}}"), "running ai-sandbox");
    equal(await eventually(() => out("logs", "box"), (said) => said === "up"), "up");
  });

  await step("exec", async () => {
    equal(await out("exec", "--env=A=b", "--workdir=/tmp", "box", "sh", "-c", "echo $A $PWD"), "b /tmp");
    equal(await out("exec", "--user=guest", "box", "id", "-u"), "1000");
    equal((await machine.run(docker("exec", "box", "sh", "-c", "exit 9"))).code, 9);
    match(`${(await machine.run(docker("exec", "box", "/nosuch"))).code}`, /^12[67]$/); // as Docker's version has it
    const { stdout } = await machine.run(docker("exec", "-it", "box", "tty"), { terminal: true });
    match(stdout, /\/dev\/pts\/\d+\r\n/);
  });

  await step("run --memory --cpus --pids-limit is seen inside, update changes it", async () => {
    equal(await out("exec", "box", ...readLimits()), "67108864\n50000\n33");
    await out("update", "--memory=80m", "--memory-swap=160m", "--pids-limit=44", "box");
    equal(await out("exec", "box", ...readLimits()), "83886080\n50000\n44");
  });

  await step("pause, unpause", async () => {
    await out("pause", "box");
    equal(await state("{{.State.Status}}"), "paused");
    await out("unpause", "box");
    equal(await state("{{.State.Status}}"), "running");
  });

  await step("stats, top", async () => {
    match(await out("stats", "--no-stream", "--format={{.PIDs}}", "box"), /^[1-9]\d*$/);
    let processes = "";
    // Between two of them there is none.
    for (const end = Date.now() + WAIT_MS; !/sleep 0\.1/.test(processes) && Date.now() < end;) {
      processes = await out("top", "box");
    }
    match(processes, /sleep 0\.1/);
  });

  await step("restart, stop, start, kill, events", async () => {
    await out("restart", "box");
    equal(await state("{{.State.Status}} {{.RestartCount}}"), "running 0");
    await out("stop", "box");
    equal(await state("{{.State.Status}} {{.State.ExitCode}}"), "exited 5");
    await out("start", "box");
    await out("kill", "box");
    equal(await out("wait", "box"), "137");
    const all = /pause\nunpause\n(.*\n)*restart\n(.*\n)*stop\n(.*\n)*die$/;
    const told = (): Promise<string> => {
      const until = `${Math.floor(Date.now() / 1000) + 1}`;
      const words = ["--since=0", `--until=${until}`, "--format={{.Action}}", "--filter=container=box"];
      return out("events", ...words);
    };
    // The last is told after those who wait for the end have been.
    match(await eventually(told, (events) => all.test(events)), all);
  });

  await step("rm leaves nothing", async () => {
    await out("rm", "box");
    equal(await machine.remains(id), "");
  });
});
