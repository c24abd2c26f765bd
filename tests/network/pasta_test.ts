import { deepEqual, equal, match, notEqual } from "node:assert/strict";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { AS_STRANGER, bundled, STRANGER, Temporary } from "../helpers/cli.ts";
import { containerTest } from "../helpers/container_test.ts";
import { TestBundle } from "../helpers/launch_bundle.ts";
import { NetworkWorld, OUTSIDE, type Spoken } from "../helpers/network_world.ts";
import { waitUntil } from "../helpers/eventually.ts";

const ID = `pasta-${Deno.pid}`;
/** Connects to each address, also by the device, and says who answered or why nobody did; waits long for who answers for sure. */
const PROBE = `
import socket, sys
for word in sys.argv[1:]:
    kind, address, port = word.split(",")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if "udp" in kind else socket.SOCK_STREAM) as s:
        s.settimeout(30 if "sure" in kind else 1)
        try:
            if "device" in kind: s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
            if "link" in kind: s.setsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)
            s.connect((address, int(port)))
            if "udp" in kind: s.send(b"x")
            print(s.recv(100).decode())
        except Exception as e: print(type(e).__name__, e)
`;

/** What says that nobody has answered: not found, refused, not permitted, unreachable. */
const NOBODY = /^(\w*Error \[Errno (1|13|101|111|113)\]|TimeoutError)/;

function probing(...what: string[]): string[] {
  return ["--", "python3", "-c", PROBE, ...what];
}

/** A user without rights on the machine of a world, which has a name server of its own and gives out network devices. */
class Rootless extends AsyncDisposableStack {
  private constructor(
    readonly world: NetworkWorld,
    readonly files: Temporary,
    readonly program: readonly string[],
  ) {
    super();
    this.use(files);
    this.use(world);
  }

  static async create(): Promise<Rootless> {
    const [world, files] = [await NetworkWorld.create(), new Temporary()];
    const user = new Rootless(world, files, await bundled(files));
    Deno.mkdirSync(user.root);
    Deno.chownSync(user.root, STRANGER, STRANGER);
    return user;
  }

  get root(): string {
    return `${this.files.path}/containers`;
  }

  run(args: readonly string[], nameServer: string = OUTSIDE.names): Promise<Spoken> {
    const script = `mount -t tmpfs -o mode=755 tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200 &&
      echo nameserver ${nameServer} >"$RESOLV" && mount --bind "$RESOLV" /etc/resolv.conf && exec "$@"`;
    const env = { RESOLV: `${this.files.path}/resolv.conf` };
    const command = [...AS_STRANGER, ...this.program, "--root", this.root, ...args];
    const cwd = this.files.path;
    return this.world.host.run(["unshare", "--mount", "sh", "-c", script, "sh", ...command], { env, cwd });
  }

  /** What is left of sandboxes. */
  remains(): string[] {
    const left = [...Deno.readDirSync("/proc")].filter(({ name }) => {
      try {
        const words = Deno.readTextFileSync(`/proc/${name}/cmdline`);
        return /^\d+$/.test(name) && words.includes(`${this.root}/@network`);
      } catch {
        return false;
      }
    }).map(({ name }) => `process ${name}`);
    try {
      return [...left, ...[...Deno.readDirSync(`${this.root}/@network/pasta`)].map(({ name }) => name)];
    } catch {
      return left;
    }
  }
}

function lines({ code, stdout, stderr }: Spoken): string[] {
  deepEqual([code, stderr], [0, ""]);
  return stdout.trim().split(/\r?\n/);
}

containerTest("run --network pasta reaches for a user what the host reaches, and not the host", async () => {
  await using user = await Rootless.create();
  const { world } = user;
  await world.serve("tcp:192.0.2.2:80", "udp:192.0.2.2:81", "tcp:2001:db8::2:80", "dns:192.0.2.53:53");
  await world.serve(`tcp:${OUTSIDE.metadata}:80`);
  await world.serveAt(world.host, "tcp:0.0.0.0:82", "tcp::::83", "udp:127.0.0.1:84");
  const [v4, udp, v6, byName, ...others] = lines(
    await user.run([
      "run",
      "--network",
      "pasta",
      ...probing(
        "tcp+sure,192.0.2.2,80",
        "udp+sure,192.0.2.2,81",
        "tcp+sure,2001:db8::2,80",
        "tcp+sure,any.example,80",
        ...["127.0.0.1,82", "198.51.100.1,82", "192.0.2.1,82", `${OUTSIDE.metadata},80`, "0.0.0.0,82"]
          .flatMap((
            to,
          ) => [`tcp,${to}`, `tcp+device,${to}`, `tcp+link,${to}`]),
        ...["::1,83", "2001:db8::1,83"].flatMap((to) => [`tcp,${to}`, `tcp+device,${to}`]),
        "udp+device,127.0.0.1,84",
      ),
    ]),
  );
  equal(v4, "192.0.2.2:80 ");
  equal(udp, "192.0.2.2:81 to 192.0.2.1 x");
  equal(v6, "2001:db8::2:80 ");
  equal(byName, "192.0.2.2:80 ");
  equal(others.length, 20);
  for (const each of others) match(each, NOBODY);
  // A resolver that only the host reaches answers all the same.
  await world.serveAt(world.host, "dns:127.0.0.53:53");
  const named = ["run", "--network", "pasta", ...probing("tcp+sure,any.example,80")];
  deepEqual(lines(await user.run(named, "127.0.0.53")), ["192.0.2.2:80"]);
  deepEqual(user.remains(), []);
});

containerTest(
  "create --network pasta --publish serves until the container ends, and what cannot be kept is refused",
  async () => {
    await using user = await Rootless.create();
    using bundle = new TestBundle();
    const args = ["/bin/sh", "-c", "echo served >/tmp/index.html; exec httpd -f -p 8000 -h /tmp"];
    await new Deno.Command("chown", { args: ["-R", `${STRANGER}`, bundle.path] }).output();
    writeSpec(bundle, { args });
    const made = ["create", "--bundle", bundle.path, "--network", "pasta", "--publish", "8080:8000", ID];
    lines(await user.run(made));
    const other = ["run", "--network", "pasta", "--publish", "8080:80", "--", "true"];
    match((await user.run(other)).stderr, /Cannot publish port 8080\/tcp: a program of the host has it/);
    lines(await user.run(["start", ID]));
    await waitUntil(async () => (await fetched(user)) === "served");
    const { pid } = JSON.parse((await user.run(["state", ID])).stdout);
    Deno.kill(pid, "SIGKILL");
    // Its files are there until it is deleted, but pasta is not.
    await waitUntil(() => user.remains().length === 1);
    notEqual(await fetched(user), "served");
    lines(await user.run(["delete", ID]));
    deepEqual(user.remains(), []);
  },
);

/** Has busybox do something, for whoever may read it. */
function writeSpec({ path }: TestBundle, process: object): void {
  const spec = starterSpec();
  const plain = { ...spec.process, terminal: false, rlimits: [], env: ["PATH=/bin"], ...process };
  const mounts = [...spec.mounts ?? [], { destination: "/tmp", type: "tmpfs", source: "tmpfs" }];
  Deno.writeTextFileSync(
    `${path}/config.json`,
    JSON.stringify({ ...spec, process: plain, root: { path: "rootfs" }, mounts }),
  );
}

async function fetched({ world }: Rootless): Promise<string> {
  const { stdout } = await world.outside.run(["curl", "-s", "-m", "2", "http://192.0.2.1:8080/"]);
  return stdout.trim();
}
