import { equal, match, ok, rejects } from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import { Cri } from "../helpers/engines/cri.ts";
import { engineTest } from "../helpers/engines/engine_test.ts";
import { eventually } from "../helpers/eventually.ts";
import { IMAGE, writeImage } from "../helpers/engines/image.ts";
import { readLimits } from "../helpers/engines/limits.ts";

const PARENT = `kubepods-test-${Deno.pid}`;
const PAUSE = "localhost/pause:latest";
const KUBERNETES = {
  section: "Kubernetes",
  programs: {
    "/usr/bin/containerd": "containerd",
    "/usr/bin/ctr": "containerd",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
  },
  cgroups: new RegExp(`^${PARENT}$`),
};
/** Each container has its own processes, unless a pod says otherwise: as a kubelet has it. */
const APART = { pid: "CONTAINER" };
const MB = 2 ** 20;
const decoder = new TextDecoder();

/** What is wanted of a container: the fields of its ContainerConfig, those for Linux among them. */
interface Wanted {
  readonly securityContext?: object;
  readonly resources?: object;
  readonly [field: string]: unknown;
}

interface Status {
  readonly status: { readonly state: string; readonly exitCode: number; readonly reason: string };
}

engineTest(KUBERNETES, async ({ machine, image, step }) => {
  await using _daemon = await machine.daemon("containerd", ["containerd"], ["ctr", "version"]);
  Deno.mkdirSync(`${machine.shared}/pause`);
  const pause = await writeImage(`${machine.shared}/pause`, PAUSE, ["/bin/sleep", "100000"]);
  for (const archive of [image, pause.image]) {
    await machine.output(["ctr", "--namespace", "k8s.io", "images", "import", archive]);
  }
  using cri = new Cri(machine.seen("/run/containerd/containerd.sock"));
  const logs = `${machine.shared}/logs`;
  Deno.mkdirSync(logs);
  const podConfig = (name: string, context: object, sysctls: object = {}): object => ({
    metadata: { name, uid: `uid-of-${name}`, namespace: "default" },
    hostname: name,
    logDirectory: logs,
    linux: { cgroupParent: `/${PARENT}/pod-${name}`, securityContext: context, sysctls },
  });
  const runPod = async (config: object): Promise<string> =>
    (await cri.call<{ podSandboxId: string }>("RunPodSandbox", { config, runtimeHandler: "ai-sandbox" }))
      .podSandboxId;
  const create = async (
    pod: string,
    sandboxConfig: object,
    name: string,
    command: readonly string[],
    { securityContext, resources, ...more }: Wanted = {},
  ): Promise<string> => {
    const linux = { resources, securityContext: { namespaceOptions: APART, ...securityContext } };
    const known = { metadata: { name }, image: { image: IMAGE }, command, logPath: `${name}.log`, linux };
    const config = { ...known, ...more };
    const question = { podSandboxId: pod, config, sandboxConfig };
    return (await cri.call<{ containerId: string }>("CreateContainer", question)).containerId;
  };
  const start = async (...args: Parameters<typeof create>): Promise<string> => {
    const containerId = await create(...args);
    await cri.call("StartContainer", { containerId });
    return containerId;
  };
  const statusOf = async (containerId: string): Promise<Status["status"]> =>
    (await cri.call<Status>("ContainerStatus", { containerId })).status;
  const ended = (containerId: string): Promise<Status["status"]> =>
    eventually(() => statusOf(containerId), ({ state }) => state === "CONTAINER_EXITED");
  const exec = async (containerId: string, ...cmd: readonly string[]): Promise<string> => {
    const question = { containerId, cmd, timeout: 30 };
    const { stdout, stderr, exitCode } = await cri.call<
      { stdout: Uint8Array; stderr: Uint8Array; exitCode: number }
    >("ExecSync", question);
    return `${exitCode} ${decoder.decode(stdout)}${decoder.decode(stderr)}`.trimEnd();
  };
  const stop = (containerId: string, timeout: number): Promise<unknown> =>
    cri.call("StopContainer", { containerId, timeout });
  const remove = async (podSandboxId: string): Promise<void> => {
    await cri.call("StopPodSandbox", { podSandboxId });
    await cri.call("RemovePodSandbox", { podSandboxId });
    equal(await machine.remains(podSandboxId), "");
  };

  const config = podConfig("web", { namespaceOptions: APART }, {
    "net.ipv4.ip_unprivileged_port_start": "80",
  });
  let pod = "";
  await step("a pod has an address of its own", async () => {
    pod = await runPod(config);
    const { status } = await cri.call<{ status: { state: string; network: { ip: string } } }>(
      "PodSandboxStatus",
      { podSandboxId: pod },
    );
    equal(status.state, "SANDBOX_READY");
    match(status.network.ip, /^198\.51\.100\.\d+$/);
  });

  await step("what a container prints is in its log, and its exit code is known", async () => {
    const id = await create(pod, config, "says", ["sh", "-c", "echo $WORD; pwd; echo wrong >&2; exit 7"], {
      envs: [{ key: "WORD", value: "hello" }],
      workingDir: "/tmp",
    });
    equal((await statusOf(id)).state, "CONTAINER_CREATED");
    await cri.call("StartContainer", { containerId: id });
    const { exitCode, reason } = await ended(id);
    equal(`${exitCode} ${reason}`, "7 Error");
    const log = await eventually(
      () => Deno.readTextFileSync(`${logs}/says.log`),
      (text) => text.split("\n").length > 3,
    );
    for (const line of ["stdout F hello", "stdout F /tmp", "stderr F wrong"]) {
      match(log, new RegExp(`${line}\n`));
    }
    await cri.call("RemoveContainer", { containerId: id });
    equal(await machine.remains(id), "");
  });

  await step("a program that is not there is an error of its start", async () => {
    const id = await create(pod, config, "none", ["/nosuch"]);
    await rejects(cri.call("StartContainer", { containerId: id }), /no such file or directory/);
    await cri.call("RemoveContainer", { containerId: id });
    equal(await machine.remains(id), "");
  });

  await step(
    "containers of a pod share its network, its IPC and its host name, and nothing else",
    async () => {
      const one = await start(pod, config, "one", ["sleep", "1000"]);
      const two = await start(pod, config, "two", ["sleep", "1000"]);
      const seen = await Promise.all([one, two].map(async (id) => {
        const [code, ...names] =
          (await exec(id, "sh", "-c", "cd /proc/1/ns && ls -l net ipc uts pid mnt; hostname"))
            .split(/\s+/);
        equal(code, "0");
        return names.filter((word) => /\[|web/.test(word));
      }));
      const same = seen[0]!.map((word, index) => word === seen[1]![index]);
      equal(String(same), "true,false,true,false,true,true", JSON.stringify(seen));
      equal(await exec(one, "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"), "0 80");
      for (const id of [one, two]) await cri.call("RemoveContainer", { containerId: id }); // ends it
    },
  );

  await step(
    "a security context: user, groups, capabilities, seccomp, a root that cannot be written to",
    async () => {
      const securityContext = {
        runAsUser: { value: 1000 },
        runAsGroup: { value: 1000 },
        supplementalGroups: [5, 6],
        readonlyRootfs: true,
        noNewPrivs: true,
        capabilities: { dropCapabilities: ["ALL"], addCapabilities: ["NET_BIND_SERVICE"] },
        seccomp: { profileType: "RuntimeDefault" },
        maskedPaths: ["/proc/kcore"],
        readonlyPaths: ["/proc/sys"],
      };
      Deno.mkdirSync(`${machine.shared}/volume`);
      Deno.chmodSync(`${machine.shared}/volume`, 0o777);
      const id = await start(pod, config, "careful", ["sleep", "1000"], {
        securityContext,
        mounts: [{ containerPath: "/volume", hostPath: `${machine.shared}/volume` }],
      });
      const words = "Uid|Groups|CapPrm|CapBnd|NoNewPrivs|Seccomp";
      const script =
        `grep -E '^(${words}):' /proc/1/status | while read -r name rest; do echo $name $rest; done`;
      equal(
        await exec(id, "sh", "-c", script),
        "0 Uid: 1000 1000 1000 1000\nGroups: 5 6 1000\nCapPrm: 0000000000000000\n" +
          "CapBnd: 0000000000000400\nNoNewPrivs: 1\nSeccomp: 2",
      );
      match(await exec(id, "touch", "/x"), /^1 touch: \/x: Read-only file system/);
      match(await exec(id, "mount", "-t", "tmpfs", "none", "/tmp"), /^[1-9]\d* .*denied|permitted/);
      equal(await exec(id, "sh", "-c", "id -u > /volume/from; cat /volume/from"), "0 1000");
      equal(Deno.readTextFileSync(`${machine.shared}/volume/from`), "1000\n");
      await cri.call("RemoveContainer", { containerId: id });
    },
  );

  await step("limits, their change and what is used", async () => {
    const id = await start(pod, config, "small", ["sleep", "1000"], {
      resources: { memoryLimitInBytes: 64 * MB, cpuPeriod: 100_000, cpuQuota: 50_000 },
    });
    const limits = (): Promise<string> => exec(id, ...readLimits());
    equal(await limits(), `0 ${64 * MB}\n50000\nmax`);
    const linux = { memoryLimitInBytes: 96 * MB, cpuQuota: 25_000 };
    await cri.call("UpdateContainerResources", { containerId: id, linux });
    equal(await limits(), `0 ${96 * MB}\n25000\nmax`);
    const { stats } = await cri.call<{ stats: { memory: { workingSetBytes: { value: number } } } }>(
      "ContainerStats",
      { containerId: id },
    );
    const { value } = stats.memory.workingSetBytes;
    ok(value > 0 && value < 16 * MB, `${value} bytes`);
    await cri.call("RemoveContainer", { containerId: id });
  });

  await step("a container that wants too much memory says so when it ends", async () => {
    const id = await start(pod, config, "greedy", ["busybox", "tail", "/dev/zero"], {
      resources: { memoryLimitInBytes: 16 * MB },
    });
    const { exitCode } = await ended(id);
    equal(exitCode, 137);
    equal((await eventually(() => statusOf(id), ({ reason }) => reason === "OOMKilled")).reason, "OOMKilled");
    await cri.call("RemoveContainer", { containerId: id });
  });

  await step("exec: exit code, both streams, and its time", async () => {
    const id = await start(pod, config, "host", ["sleep", "1000"]);
    equal(await exec(id, "sh", "-c", "echo out; echo err >&2; exit 9"), "9 out\nerr");
    const late = { containerId: id, cmd: ["sleep", "777"], timeout: 1 };
    await rejects(cri.call("ExecSync", late), /timeout|deadline/i);
    equal(await exec(id, "sh", "-c", "ps | grep -c '[s]leep 777'"), "1 0");
    await cri.call("RemoveContainer", { containerId: id });
  });

  await step("exec at a terminal, which has the size that it is given", async () => {
    const id = await start(pod, config, "typed", ["sleep", "1000"]);
    const wanted = { containerId: id, cmd: ["sh"], tty: true, stdin: true, stdout: true };
    const { url } = await cri.call<{ url: string }>("Exec", wanted);
    const client = fromFileUrl(import.meta.resolve("../helpers/engines/kubectl_exec.ts"));
    const line = "while [ $(stty size | tail -c 4) != 123 ]; do sleep 0.1; done; tty; exit 4";
    const said = await machine.output([Deno.execPath(), "run", "-N", client, url, "123", line]);
    match(said, /^\/dev\/pts\/\d+\r$/m);
    match(said, /^status .*"reason":"ExitCode","message":"4"/m);
    await cri.call("RemoveContainer", { containerId: id });
  });

  await step("the end of a container: with the time that it is given, and without", async () => {
    const polite = ["sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.05; done"];
    const one = await start(pod, config, "polite", polite);
    // Bit 14 is SIGTERM: its trap is set.
    await eventually(() => exec(one, "grep", "SigCgt", "/proc/1/status"), (said) => /4...$/.test(said));
    await stop(one, 30);
    equal((await ended(one)).exitCode, 3);
    const two = await start(pod, config, "deaf", ["sleep", "1000"]);
    await stop(two, 1);
    equal((await ended(two)).exitCode, 137);
    for (const id of [one, two]) {
      await cri.call("RemoveContainer", { containerId: id });
      equal(await machine.remains(id), "");
    }
  });

  await step("when a pod is stopped, so are its containers; nothing is left", async () => {
    const id = await start(pod, config, "last", ["sleep", "1000"]);
    await cri.call("StopPodSandbox", { podSandboxId: pod });
    equal((await statusOf(id)).state, "CONTAINER_EXITED");
    await remove(pod);
    equal(await machine.remains(id), "");
  });

  await step("a pod whose containers share their processes, and one on the host's network", async () => {
    const namespaceOptions = { pid: "POD" };
    const together = podConfig("together", { namespaceOptions });
    const shared = await runPod(together);
    const context = { securityContext: { namespaceOptions } };
    const one = await start(shared, together, "first", ["sleep", "1234"], context);
    const two = await start(shared, together, "second", ["sleep", "1000"], context);
    match(await exec(two, "ps"), /sleep 100000[^]*sleep 1234/);
    await stop(one, 0);
    equal((await ended(one)).exitCode, 137);
    equal((await statusOf(two)).state, "CONTAINER_RUNNING");
    await remove(shared);

    const host = { network: "NODE", ...APART };
    const securityContext = { namespaceOptions: host, privileged: true };
    const near = { ...podConfig("near", securityContext), hostname: "" };
    const node = await runPod(near);
    const three = await start(node, near, "third", ["sleep", "1000"], { securityContext });
    const [own] = /^CapEff:.*/m.exec(Deno.readTextFileSync("/proc/self/status"))!;
    equal(await exec(three, "grep", "CapEff", "/proc/self/status"), `0 ${own}`);
    match(await exec(three, "ip", "address"), /192\.0\.2\.1\/24/);
    await remove(node);
    equal(await machine.remains(three), "");
  });

  await step("a pod in a user namespace of its own, with a volume of the host", async () => {
    const [, major] = / v?(\d+)\./.exec(await machine.output(["containerd", "--version"])) ?? [];
    if (Number(major) < 2) return console.log(`SKIP this step: containerd ${major} makes no user namespaces`);
    const ids = [{ containerId: 0, hostId: 200_000, length: 65_536 }];
    const namespaceOptions = { ...APART, usernsOptions: { mode: "POD", uids: ids, gids: ids } };
    const config = podConfig("users", { namespaceOptions });
    const own = await runPod(config);
    const hostPath = "/srv/private"; // on a tmpfs: not every file system lets ids be mapped
    await machine.output(["install", "--directory", "--mode=700", hostPath]);
    const mounts = [{ containerPath: "/volume", hostPath, uidMappings: ids, gidMappings: ids }];
    const more = { securityContext: { namespaceOptions }, mounts };
    const [one, two] = [
      await start(own, config, "four", ["sleep", "1000"], more),
      await start(own, config, "five", ["sleep", "1000"], more),
    ];
    const script =
      "touch /made /volume/made && ls -ln /bin/busybox /made | grep -c ' 0  *0 '; cat /proc/self/uid_map";
    match(await exec(one, "sh", "-c", script), /^0 2\n +0 +200000 +65536$/);
    equal(await machine.output(["stat", "--format=%u", `${hostPath}/made`]), "0");
    const namespaceOf = (id: string): Promise<string> => exec(id, "ls", "-l", "/proc/self/ns/user");
    equal(await namespaceOf(two), await namespaceOf(one));
    await remove(own);
    equal(await machine.remains(one), "");
  });
});
