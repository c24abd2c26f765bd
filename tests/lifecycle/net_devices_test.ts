import { equal, match, ok } from "node:assert/strict";
import type { Linux, Spec } from "../../runtime/spec/config.ts";
import { RUNTIME } from "../helpers/cli.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { containerTest } from "../helpers/container_test.ts";

/** A network namespace of its own with devices in it, from which the runtime is called: the host's is left alone. */
const HOST = [
  "ip link add dev0 type veth peer name dev1",
  "ip addr add 192.0.2.7/24 dev dev0",
  "ip addr add 2001:db8::7/64 dev dev0",
].join("; ");

function hosting(after: string): Containers {
  const script = `${HOST}; "$@"; code=$?; ${after}; exit $code`;
  return new Containers(["unshare", "-n", "/bin/sh", "-c", script, "sh", ...RUNTIME]);
}

function write(containers: Containers, script: string, netDevices: Linux["netDevices"]): void {
  const { linux }: Spec = JSON.parse(Deno.readTextFileSync(`${containers.bundle.path}/config.json`));
  containers.write(["/bin/sh", "-c", script], { linux: { ...linux, netDevices: netDevices! } });
}

containerTest("netDevices are moved to the sandbox with their permanent addresses, and are up", async () => {
  await using containers = hosting("ip -o link | sed 's/^/left: /'");
  const script = "ip -o link; ip -o addr; cat /sys/class/net/uplink/flags";
  write(containers, script, { dev0: { name: "uplink" }, dev1: {} });
  const { code, stdout, stderr } = await containers.run("run", "--bundle", containers.bundle.path, BOX);
  equal(code, 0, stderr);
  match(stdout, /uplink +inet 192\.0\.2\.7\/24/);
  match(stdout, /uplink +inet6 2001:db8::7\/64/);
  match(stdout, /^\d+: dev1@\S+ <.*\bUP\b/m);
  match(stdout, /^0x1003$/m); // up, broadcast, multicast
  equal(/left: .*dev/.test(stdout), false);
});

containerTest("the kernel numbers a network device whose name asks for that", async () => {
  await using containers = hosting(":");
  write(containers, "ls /sys/class/net", { dev0: { name: "net%d" }, dev1: { name: "net%d" } });
  const { code, stdout, stderr } = await containers.run("run", "--bundle", containers.bundle.path, BOX);
  equal(code, 0, stderr);
  equal(stdout, "lo\nnet0\nnet1\n");
});

containerTest("a container gets network devices at create", async () => {
  await using containers = hosting("ip -o link");
  write(containers, "exec sleep 300", { dev0: {} });
  const { code, stdout, stderr } = await containers.run("create", BOX);
  equal(code, 0, stderr);
  equal(/dev0/.test(stdout), false);
  ok(/dev1/.test(stdout));
  await containers.run("delete", "--force", BOX);
});

for (
  const [devices, says] of [
    [{ dev0: {}, nosuch: {} }, /Cannot move network device "nosuch": there is no such device/],
    [{ dev1: {}, dev0: { name: "lo" } }, /Cannot move network device "dev0": the sandbox has a "lo" already/],
    [{ dev1: {}, dev0: { name: "no/name" } }, /no\/name/],
  ] as const
) {
  containerTest(
    `netDevices ${JSON.stringify(devices)} are refused, and all stay where they are`,
    async () => {
      await using containers = hosting("ip -o link");
      write(containers, "echo begun", devices);
      const { code, stdout, stderr } = await containers.run("create", BOX);
      equal(code, 1);
      match(stderr, says);
      equal([...stdout.matchAll(/: dev[01][:@]/g)].length, 2);
    },
  );
}
