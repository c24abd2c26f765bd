import { deepEqual, equal, match } from "node:assert/strict";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { engineTest } from "../helpers/engines/engine_test.ts";

const SLURM = {
  section: "Slurm",
  programs: {
    "/usr/bin/srun": "slurm-client",
    "/usr/sbin/slurmctld": "slurmctld",
    "/usr/sbin/slurmd": "slurmd",
    "/usr/sbin/munged": "munge",
  },
  cgroups: /^(slurm|slurm_n1|n1\.root\..*)$/,
};
const AS_MUNGE = ["setpriv", "--reuid=munge", "--regid=munge", "--clear-groups"];

engineTest(SLURM, async ({ machine, runtime, step }) => {
  const srun = (
    ...args: readonly string[]
  ): string[] => ["srun", "--quiet", "--container=/srv/bundle", ...args];
  const directories = `install -d -o munge -g munge /run/munge /var/log/munge
    mkdir -p /var/spool/slurmctld /var/spool/slurmd /run/slurm-containers /run/slurm-runtime /srv/bundle
    cp -r "$1/root" /srv/bundle/rootfs`;
  await machine.output(["sh", "-c", directories, "sh", machine.shared]);
  const spec = starterSpec();
  const process = { ...spec.process!, terminal: false, rlimits: [] };
  await machine.write(
    "/srv/bundle/config.json",
    JSON.stringify({ ...spec, root: { path: "rootfs" }, process }),
  );
  await using _munged = await machine.daemon("munged", [...AS_MUNGE, "munged", "--foreground"], [
    "munge",
    "--no-input",
  ]);
  await using _slurmctld = await machine.daemon("slurmctld", ["slurmctld", "-D"], ["scontrol", "ping"]);
  const idle = ["sh", "-c", "sinfo --noheader --format=%t | grep -x idle"];
  await using _slurmd = await machine.daemon("slurmd", ["slurmd", "-D"], idle);

  await step("srun --container shows the output and passes the exit code on", async () => {
    equal(await machine.output(srun("/bin/echo", "hello")), "hello");
    const { code, stderr } = await machine.run(srun("/bin/sh", "-c", "exit 7"));
    equal(code, 7, stderr);
  });

  await step("the program is in the container, with the input of srun", async () => {
    const script = "ls /; echo $$; cat";
    const said = await machine.output(srun("/bin/sh", "-c", script), { stdin: "in\n" });
    // Later versions of Slurm mount something in /var.
    equal(said.replace("var\n", ""), "bin\ndev\netc\nproc\nroot\nrun\nsys\ntmp\n1\nin");
  });

  await step(
    "srun --pty: the program has its terminal, which runc may keep from it",
    async () => {
      const script = "for fd in 0 1 2; do [ -t $fd ] && echo $fd is one; done; exit 7";
      const { code, stdout } = await machine.run(
        ["srun", "--pty", ...srun("/bin/sh", "-c", script).slice(1)],
        {
          terminal: true,
        },
      );
      const found = [...stdout.matchAll(/^\W*([012]) is one\r+$/gm)].map(([, fd]) => fd);
      if (runtime === "ai-sandbox") deepEqual(found, ["0", "1", "2"]);
      equal(code, 7);
    },
  );

  await step("scancel ends it", async () => {
    const job = machine.run(srun("--job-name=long", "/bin/sh", "-c", "echo up; exec sleep 300"));
    const count = ["sh", "-c", "ls /run/slurm-runtime | wc -l"];
    while (await machine.output(count) === "0");
    await machine.output(["scancel", "--name=long"]);
    match(`${(await job).code}`, /^(137|143|9|15|1)$/);
  });

  await step("nothing is left", async () => {
    const look = async (): Promise<string> => {
      const state = await machine.output(["sinfo", "--noheader", "--format=%t"]);
      // runc leaves its directory or cgroups when Slurm kills and deletes a container that is being made.
      if (runtime === "runc") return state;
      return state + await machine.output(["ls", "/run/slurm-runtime"]) + await machine.traces("n1.root.");
    };
    let left;
    for (const end = Date.now() + 60_000; (left = await look()) !== "idle" && Date.now() < end;);
    equal(left, "idle");
  });
});
