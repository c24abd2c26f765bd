import { deepEqual, equal, match } from "node:assert/strict";
import { findCriu } from "../../snapshots/installed.ts";
import { engineTest } from "../helpers/engines/engine_test.ts";
import { IMAGE } from "../helpers/engines/image.ts";
import { readLimits } from "../helpers/engines/limits.ts";
import { eventually } from "../helpers/eventually.ts";
import type { PrivateMachine } from "../helpers/engines/private_machine.ts";

const WAIT_MS = 60_000;
const PODMAN = {
  section: "Podman",
  programs: { "/usr/bin/podman": "podman", "/usr/bin/conmon": "conmon" },
  cgroups: /^(libpod_parent|machine\.slice)$/,
};

/** Podman on a machine. */
class Podman {
  readonly machine: PrivateMachine;
  constructor(machine: PrivateMachine) {
    this.machine = machine;
  }
  /** What `podman` prints, which must succeed. */
  out(...args: readonly string[]): Promise<string> {
    return this.machine.output(["podman", ...args]);
  }
}

engineTest(PODMAN, async ({ machine, image, layer, step }) => {
  const podman = new Podman(machine);
  await podman.out("load", "--quiet", "--input", image);

  await step("run shows the output and passes the exit code on", async () => {
    equal(await podman.out("run", "--rm", "--network=none", IMAGE), "hello from box");
    const wrong = ["podman", "run", "--rm", IMAGE, "sh", "-c", "echo wrong >&2; exit 7"];
    // Podman 5 has a warning of its own.
    const { code, stderr } = await machine.run(wrong, { env: { PODMAN_IGNORE_CGROUPSV1_WARNING: "1" } });
    equal(code, 7, stderr);
    equal(stderr, "wrong\n");
  });

  await step("run says 127 for a program that is not there and 126 for one that is none", async () => {
    equal((await machine.run(["podman", "run", "--rm", "--network=none", IMAGE, "/nosuch"])).code, 127);
    equal((await machine.run(["podman", "run", "--rm", "--network=none", IMAGE, "/etc/passwd"])).code, 126);
    equal((await machine.run(["podman", "run", "--rm", "--network=none", IMAGE, "/etc"])).code, 126);
  });

  await step("run -it has a terminal", async () => {
    const script = "tty; exit 3";
    const { code, stdout } = await machine.run([
      "podman",
      "run",
      "-it",
      "--rm",
      "--network=none",
      IMAGE,
      "sh",
      "-c",
      script,
    ], {
      terminal: true,
    });
    match(stdout, /\/dev\/pts\/0\r\n/);
    equal(code, 3);
  });

  await step("run --memory --cpus --pids-limit is seen inside", async () => {
    const limits = ["--memory=64m", "--cpus=0.5", "--pids-limit=33"];
    equal(
      await podman.out("run", "--rm", "--network=none", ...limits, IMAGE, ...readLimits()),
      "67108864\n50000\n33",
    );
  });

  const id = await podman.out(
    "run",
    "--detach",
    "--network=none",
    "--name=box",
    "--health-cmd=test -e /tmp/well",
    "--health-interval=disable",
    IMAGE,
    "sh",
    "-c",
    "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.1; done",
  );

  await step("run --detach, ps, inspect, logs", async () => {
    equal(await podman.out("ps", "--filter=status=running", "--format={{.Names}}"), "box");
    equal(
      await podman.out("inspect", "--format={{.State.Status}} {{.OCIRuntime}}", "box"),
      "running ai-sandbox",
    );
    equal(await eventually(() => podman.out("logs", "box"), (said) => said === "up"), "up");
  });

  await step("exec", async () => {
    equal(
      await podman.out("exec", "--env=A=b", "--workdir=/tmp", "box", "sh", "-c", "echo $A $PWD"),
      "b /tmp",
    );
    equal(await podman.out("exec", "--user=guest", "box", "id", "-u"), "1000");
    equal((await machine.run(["podman", "exec", "box", "sh", "-c", "exit 9"])).code, 9);
    equal((await machine.run(["podman", "exec", "box", "/nosuch"])).code, 127);
    const { stdout } = await machine.run(["podman", "exec", "-it", "box", "tty"], { terminal: true });
    match(stdout, /\/dev\/pts\/\d+\r\n/);
  });

  await step("healthcheck", async () => {
    equal((await machine.run(["podman", "healthcheck", "run", "box"])).code, 1);
    await podman.out("exec", "box", "touch", "/tmp/well");
    equal(await podman.out("healthcheck", "run", "box"), "");
  });

  await step("pause, unpause", async () => {
    await podman.out("pause", "box");
    equal(await podman.out("inspect", "--format={{.State.Status}}", "box"), "paused");
    await podman.out("unpause", "box");
    equal(await podman.out("inspect", "--format={{.State.Status}}", "box"), "running");
  });

  await step("update", async () => {
    await podman.out("update", "--memory=80m", "box");
    match(await podman.out("exec", "box", ...readLimits()), /^83886080\n/);
  });

  await step("stats, top", async () => {
    match(await podman.out("stats", "--no-stream", "--format={{.PIDs}}", "box"), /^[1-9]\d*$/);
    let processes = "";
    // Between two of them there is none.
    for (const end = Date.now() + WAIT_MS; !/sleep 0\.1/.test(processes) && Date.now() < end;) {
      processes = await podman.out("top", "box", "args");
    }
    match(processes, /sleep 0\.1/);
  });

  await step("stop, start, kill, rm leave nothing", async () => {
    await podman.out("stop", "box");
    equal(await podman.out("inspect", "--format={{.State.Status}} {{.State.ExitCode}}", "box"), "exited 5");
    equal(await podman.out("logs", "box"), "up\nbye");
    await podman.out("start", "box");
    await podman.out("kill", "--signal=KILL", "box");
    equal(await podman.out("wait", "box"), "137");
    await podman.out("rm", "box");
    equal(await machine.remains(id), "");
  });

  await step("container checkpoint and restore", async () => {
    const criu = findCriu().program;
    await machine.bind(criu, "/usr/sbin/criu");
    const count = "i=0; while :; do i=$((i + 1)); echo $i; sleep 0.05; done";
    await podman.out("run", "--detach", "--network=none", "--name=counter", IMAGE, "sh", "-c", count);
    const last = async (): Promise<number> => Number((await podman.out("logs", "--tail=1", "counter")) || 0);
    const beyond = async (number: number): Promise<void> => {
      for (const end = Date.now() + WAIT_MS; await last() <= number;) {
        if (Date.now() > end) throw new Error(`The count does not go beyond ${number}`);
      }
    };
    await beyond(2);
    await podman.out("container", "checkpoint", "counter");
    equal(await podman.out("inspect", "--format={{.State.Status}}", "counter"), "exited");
    const stopped = await last();
    await podman.out("container", "restore", "counter");
    await beyond(stopped);
    const all = (await podman.out("logs", "counter")).split("\n").map(Number);
    deepEqual(all, all.map((_, index) => index + 1)); // goes on where it was
    await podman.out("container", "checkpoint", "--leave-running", "--export=/tmp/counter.tar.gz", "counter");
    await podman.out("rm", "--force", "--time=0", "counter");
    // On a rootfs of its own, which lacks the places of Podman's mounts.
    await podman.out("container", "restore", "--import=/tmp/counter.tar.gz", "--name=other");
    equal(await podman.out("inspect", "--format={{.State.Status}}", "other"), "running");
    await podman.out("rm", "--force", "--time=0", "other");
  });

  await step("a pod, and kube play", async () => {
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "pod" },
      spec: {
        hostNetwork: true,
        containers: [{ name: "one", image: IMAGE, imagePullPolicy: "Never", command: ["/bin/sleep", "300"] }],
      },
    };
    const change = 'CMD ["/bin/sleep", "300"]';
    await podman.out("import", "--quiet", "--change", change, layer, "localhost/pause:latest");
    await machine.write("/srv/pod.yaml", JSON.stringify(pod));
    await podman.out("kube", "play", "/srv/pod.yaml");
    equal(await podman.out("pod", "inspect", "--format={{.State}}", "pod"), "Running");
    equal(await podman.out("exec", "pod-one", "echo", "inside"), "inside");
    await podman.out("kube", "play", "--down", "/srv/pod.yaml");
    equal(await podman.out("ps", "--all", "--quiet"), "");
  });
});
