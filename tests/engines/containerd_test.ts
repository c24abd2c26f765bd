import { equal, match, ok } from "node:assert/strict";
import { findCriu } from "../../snapshots/installed.ts";
import { engineTest } from "../helpers/engines/engine_test.ts";
import { eventually } from "../helpers/eventually.ts";
import { IMAGE } from "../helpers/engines/image.ts";
import { readLimits } from "../helpers/engines/limits.ts";

const SPACE = `ai-sandbox-test-${Deno.pid}`;
/** No part of any other name. */
const ID = "kiste";
const CONTAINERD = {
  section: "containerd",
  programs: { "/usr/bin/containerd": "containerd", "/usr/bin/ctr": "containerd" },
  cgroups: new RegExp(`^${SPACE}$`),
};

engineTest(CONTAINERD, async ({ machine, image, step }) => {
  const ctr = (...args: readonly string[]): string[] => ["ctr", "--namespace", SPACE, ...args];
  const out = (...args: readonly string[]): Promise<string> => machine.output(ctr(...args));
  const status = async (id: string): Promise<string | undefined> =>
    new RegExp(`^${id} +\\d+ +(\\w+)`, "m").exec(await out("tasks", "ls"))?.[1];
  const run = ["run", "--runc-binary=/usr/local/bin/runtime"];
  await using _daemon = await machine.daemon("containerd", ["containerd"], ["ctr", "version"]);
  await out("images", "import", image);

  await step("its plug-in for Kubernetes takes the configuration", async () => {
    match(await out("plugins", "ls"), /\.grpc\.v1 +cri +\S+ +ok/);
    match(
      await machine.output(["containerd", "config", "dump"]),
      /BinaryName = ["']\/usr\/local\/bin\/runtime["']/,
    );
  });

  await step("ctr run shows the output and passes the exit code on", async () => {
    equal(await out(...run, "--rm", IMAGE, "one"), "hello from box");
    const { code, stderr } = await machine.run(
      ctr(...run, "--rm", IMAGE, "two", "sh", "-c", "echo wrong >&2; exit 7"),
    );
    equal(code, 7, stderr);
    equal(stderr, "wrong\n");
  });

  await step("ctr run says that a program is not there", async () => {
    const { code, stderr } = await machine.run(ctr(...run, "--rm", IMAGE, "none", "/nosuch"));
    equal(code, 1);
    match(stderr, /no such file or directory/);
    equal(await status("none"), undefined);
  });

  await step("ctr run --tty has a terminal", async () => {
    const { stdout } = await machine.run(ctr(...run, "--rm", "--tty", IMAGE, "tty", "tty"), {
      terminal: true,
    });
    match(stdout, /\/dev\/pts\/0\r+\n/);
  });

  await step("ctr run --memory-limit --cpus --seccomp", async () => {
    await out(
      ...run,
      "--detach",
      "--memory-limit=67108864",
      "--cpus=0.5",
      "--seccomp",
      IMAGE,
      ID,
      "sleep",
      "300",
    );
    const [pid] = /\d+/.exec((await out("tasks", "ls")).split("\n")[1]!)!;
    equal(await machine.output(readLimits(`${SPACE}/${ID}`)), "67108864\n50000\nmax");
    equal(await machine.output(["grep", "Seccomp:", `/proc/${pid}/status`]), "Seccomp:\t2");
  });

  await step("ctr tasks exec", async () => {
    equal(await out("tasks", "exec", "--exec-id=a", ID, "echo", "inside"), "inside");
    equal((await machine.run(ctr("tasks", "exec", "--exec-id=b", ID, "sh", "-c", "exit 9"))).code, 9);
    const typed = ctr("tasks", "exec", "--exec-id=c", "--tty", ID, "tty");
    match((await machine.run(typed, { terminal: true })).stdout, /\/dev\/pts\/\d+\r+\n/);
  });

  await step("ctr tasks metrics, ps", async () => {
    match(await out("tasks", "metrics", ID), /memory\.(limit_in_bytes|usage_limit) +67108864 *\n/);
    match(await out("tasks", "ps", ID), /^PID +INFO\n\d+ +-$/);
  });

  await step("ctr tasks pause, resume", async () => {
    await out("tasks", "pause", ID);
    equal(await status(ID), "PAUSED");
    await out("tasks", "resume", ID);
    equal(await status(ID), "RUNNING");
  });

  await step("ctr tasks kill, delete leave nothing", async () => {
    await out("tasks", "kill", "--all", "--signal=SIGKILL", ID);
    while (await status(ID) !== "STOPPED");
    match((await machine.run(ctr("tasks", "delete", ID))).stderr, /exit code 137/);
    await out("containers", "delete", ID);
    equal(await machine.remains(ID), "");
  });

  await step("ctr containers checkpoint --task, restore --live", async () => {
    await machine.bind(findCriu().program, "/usr/sbin/criu");
    const script = "i=0; while :; do i=$((i + 1)); echo $i >/count; sleep 0.05; done";
    await out(...run, "--detach", IMAGE, "first", "sh", "-c", script);
    const read = (id: string): Promise<string> =>
      out("tasks", "exec", `--exec-id=${crypto.randomUUID()}`, id, "cat", "/count");
    // The file is empty for a moment, each time that it is written.
    const count = async (id: string): Promise<number> =>
      Number(await eventually(() => read(id), (text) => text !== ""));
    while (await count("first") < 3);
    // It is paused for that, and goes on afterwards.
    await out("containers", "checkpoint", "--task", "--rw", "--image", "first", "snapshot:1");
    const kept = await count("first");
    await out("tasks", "kill", "--all", "--signal=SIGKILL", "first");
    while (await status("first") !== "STOPPED");
    await machine.run(ctr("tasks", "delete", "first"));
    await out("containers", "restore", "--live", "--rw", "second", "snapshot:1");
    const restored = await count("second");
    ok(restored >= 3 && restored < kept + 600, `${restored} after ${kept}`);
    while (await count("second") <= restored);
    await out("tasks", "kill", "--all", "--signal=SIGKILL", "second");
    while (await status("second") !== "STOPPED");
    await machine.run(ctr("tasks", "delete", "second"));
    equal(await machine.remains("second"), "");
  });
});
