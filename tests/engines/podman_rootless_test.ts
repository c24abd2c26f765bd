import { equal, match } from "node:assert/strict";
import type { Said } from "../helpers/cli.ts";
import { engineTest } from "../helpers/engines/engine_test.ts";
import { IMAGE } from "../helpers/engines/image.ts";
import { eventually } from "../helpers/eventually.ts";
import type { RunOptions } from "../helpers/engines/private_machine.ts";

const UID = 12_345;
/** Far longer than anything takes on a busy machine. */
const WAIT_MS = 60_000;
const [HOME, RUN] = ["/srv/user", `/run/user/${UID}`];
const PODMAN = {
  section: "Podman",
  name: "Podman of a user without rights",
  programs: {
    "/usr/bin/podman": "podman",
    "/usr/bin/conmon": "conmon",
    "/usr/bin/newuidmap": "uidmap",
    "/usr/bin/slirp4netns": "slirp4netns",
  },
  cgroups: /^libpod_parent$/,
};
/** Makes the user, who has subordinate ids, a home, a directory for this boot, and the device that slirp4netns opens. */
const SET_UP = `set -e
  echo user:x:${UID}:${UID}::${HOME}:/bin/sh >>/etc/passwd
  echo user:x:${UID}: >>/etc/group
  for each in subuid subgid; do echo user:100000:65536 >/etc/$each; done
  for each in ${HOME} ${RUN}; do install -d -m 700 -o ${UID} -g ${UID} $each; done
  install -m 644 "$1" ${HOME}/image.tar
  if [ -e /dev/net/tun ]; then mknod -m 666 /run/tun c 10 200 && mount --bind /run/tun /dev/net/tun; fi`;

engineTest(PODMAN, async ({ machine, image, runtime, step }) => {
  await machine.output(["sh", "-c", SET_UP, "sh", image]);
  const user = { uid: UID, env: { HOME, XDG_RUNTIME_DIR: RUN } };
  const run = (args: readonly string[], options: RunOptions = {}): Promise<Said> =>
    machine.run(["podman", ...args], { ...user, ...options });
  const out = (...args: readonly string[]): Promise<string> => machine.output(["podman", ...args], user);
  await out("load", "--quiet", "--input", `${HOME}/image.tar`);

  await step("run shows the output and passes the exit code on, under the ids of the user", async () => {
    equal(await out("run", "--rm", "--network=none", IMAGE), "hello from box");
    const script = "cat /proc/self/uid_map; touch /made && ls -ln /made; exit 7";
    const { code, stdout } = await run(["run", "--rm", "--network=none", IMAGE, "sh", "-c", script]);
    equal(code, 7);
    match(stdout, new RegExp(`^ +0 +${UID} +1\n +1 +100000 +65536\n.* 0 +0 .* /made\n$`));
    equal((await run(["run", "--rm", "--network=none", IMAGE, "/nosuch"])).code, 127);
    equal((await run(["run", "--rm", "--network=none", IMAGE, "/etc/passwd"])).code, 126);
  });

  await step("run -it has a terminal", async () => {
    const words = ["run", "-it", "--rm", "--network=none", IMAGE, "sh", "-c", "tty; sleep 0.5; exit 3"];
    const { code, stdout } = await run(words, { terminal: true });
    match(stdout, /\/dev\/pts\/0\r\n/);
    equal(code, 3);
  });

  await step("run --network=host and that of slirp4netns", async () => {
    match(await out("run", "--rm", "--network=host", IMAGE, "ip", "addr"), / 192\.0\.2\.1\/24 /);
    if ((await machine.run(["test", "-e", "/run/tun"])).code !== 0) return;
    const own = await out("run", "--rm", "--network=slirp4netns", IMAGE, "ip", "addr"); // Podman 5's own is that of pasta
    match(own, / 10\.0\.2\.100\/24 .*tap0/);
  });

  await step("run --detach, inspect, exec, top, logs, stop, start, kill, rm", async () => {
    const script = "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.1; done";
    const id = await out("run", "--detach", "--network=none", "--name=box", IMAGE, "sh", "-c", script);
    equal(await out("inspect", "--format={{.State.Status}} {{.OCIRuntime}}", "box"), "running ai-sandbox");
    const state = (await machine.run(["find", RUN, "-name", id])).stdout;
    match(state, new RegExp(`^${RUN}/${runtime === "runc" ? "runc" : "ai-sandbox/containers"}/${id}$`, "m"));
    equal(await eventually(() => out("logs", "box"), (said) => said === "up"), "up");
    equal(await out("exec", "--user=guest", "--workdir=/tmp", "box", "sh", "-c", "id -u; pwd"), "1000\n/tmp");
    equal((await run(["exec", "box", "/nosuch"])).code, 127);
    match((await run(["exec", "-it", "box", "tty"], { terminal: true })).stdout, /\/dev\/pts\/\d+\r\n/);
    let processes = "";
    // Between two of them there is none.
    for (const end = Date.now() + WAIT_MS; !/sleep 0\.1/.test(processes) && Date.now() < end;) {
      processes = await out("top", "box", "args");
    }
    match(processes, /sleep 0\.1/);
    await out("stop", "box");
    equal(await out("inspect", "--format={{.State.Status}} {{.State.ExitCode}}", "box"), "exited 5");
    equal(await out("logs", "box"), "up\nbye");
    await out("start", "box");
    await out("kill", "--signal=KILL", "box");
    equal(await out("wait", "box"), "137");
    await out("rm", "box");
    equal(await machine.remains(id), "");
    equal((await machine.run(["find", RUN, "-name", id])).stdout, "");
  });
});
