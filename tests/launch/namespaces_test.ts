import { equal, match, notEqual, ok } from "node:assert/strict";
import type { Child } from "../../runtime/launch/child.ts";
import { type IdMapping, NAMESPACES, type NamespaceType } from "../../runtime/spec/config.ts";
import { cannotTrack } from "../helpers/cgroups.ts";
import { MOUNTS, namespaces, NEW, type Part, USER_NAMESPACE } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";
import { skip } from "../helpers/skip.ts";

/** Without a /dev of its own the sandbox's devices would be made in the rootfs. */
const DEV = MOUNTS.filter(({ destination }) => destination === "/dev");

/** What a namespace is called in /proc/<pid>/ns. */
function file(type: NamespaceType): string {
  return ({ mount: "mnt", network: "net" } as Record<string, string>)[type] ?? type;
}

function link(pid: number | "self", type: NamespaceType): string {
  return Deno.readLinkSync(`/proc/${pid}/ns/${file(type)}`);
}

launchTest("launch() runs init as process 1 of its pid namespace", async (bundle) => {
  equal(await bundle.output("echo $$"), "1");
});

for (const type of NAMESPACES) {
  launchTest(`launch() makes a new ${type} namespace and no other`, async (bundle) => {
    // The mounts of a sandbox need a mount namespace and the rights over it, and its end a pid namespace or a cgroup.
    const needed: NamespaceType[] = cannotTrack() ? ["mount", "pid"] : ["mount"];
    const part: Part = {
      linux: type === "user" ? USER_NAMESPACE : {
        namespaces: [...new Set<NamespaceType>([...needed, type])].map((each) => ({ type: each })),
      },
    };
    const made = (part.linux?.namespaces ?? []).map((each) => each.type);
    let seen: string[] = [];
    await bundle.run(["sleep", "9"], { ...part, mounts: DEV }, {
      during: (child) => {
        seen = NAMESPACES.filter((each) => link(child.pid, each) !== link("self", each));
        child.signal(9);
      },
    });
    equal(seen.toSorted().join(), made.toSorted().join());
  });
}

/** A process of the host that holds new namespaces. */
class Holder implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #maps: boolean;
  pid = 0;
  constructor(...flags: string[]) {
    this.#maps = flags.includes("--user");
    this.#process = new Deno.Command("unshare", {
      args: [...flags, "--kill-child", "--fork", "sh", "-c", "echo; exec sleep 60"],
      stdout: "piped",
    }).spawn();
  }
  /** Waits until the holder has its namespaces. */
  async ready(): Promise<this> {
    const reader = this.#process.stdout.getReader();
    await reader.read();
    reader.releaseLock();
    const { pid } = this.#process;
    this.pid = Number(Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim().split(" ")[0]);
    if (this.#maps) {
      for (const map of ["uid_map", "gid_map"]) {
        Deno.writeTextFileSync(`/proc/${this.pid}/${map}`, "0 100000 65536");
      }
    }
    return this;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.status;
    await this.#process.stdout.cancel();
  }
}

const JOINS: readonly [type: NamespaceType, flag: string][] = [
  ["network", "--net"],
  ["ipc", "--ipc"],
  ["uts", "--uts"],
  ["pid", "--pid"],
  ["cgroup", "--cgroup"],
  ["time", "--time"],
  ["mount", "--mount"],
  ["user", "--user"],
];

for (const [type, flag] of JOINS) {
  launchTest(`launch() joins the ${type} namespace at a path`, async (bundle) => {
    const reason = type === "pid" ? cannotTrack() : undefined; // its end does not end the namespace
    if (reason) return skip(reason);
    await using holder = await new Holder(flag).ready();
    const path = `/proc/${holder.pid}/ns/${file(type)}`;
    const others = NEW.filter((each) => each !== type).map((each) => ({ type: each }));
    const part: Part = {
      linux: { namespaces: [...others, { type, path }] },
      mounts: type === "mount" ? [] : DEV,
    };
    let found = "";
    await bundle.run(["/bin/sleep", "9"], part, {
      during: (child) => {
        found = link(child.pid, type);
        child.signal(9);
      },
    });
    equal(found, link(holder.pid, type));
    notEqual(found, link("self", type));
  });
}

launchTest("launch() joins several namespaces of one process, the user namespace too", async (bundle) => {
  await using holder = await new Holder("--user", "--net", "--ipc", "--uts").ready();
  const types: NamespaceType[] = ["network", "uts", "ipc", "user"];
  const joined = types.map((type) => ({ type, path: `/proc/${holder.pid}/ns/${file(type)}` }));
  const seen: string[] = [];
  const during = (child: Child): void => {
    for (const type of types) seen.push(String(link(child.pid, type) === link(holder.pid, type)));
    child.signal(9);
  };
  const part: Part = { linux: { namespaces: [{ type: "mount" }, { type: "pid" }, ...joined] }, mounts: DEV };
  await bundle.run(["/bin/sleep", "9"], part, { during });
  equal(seen.join(), "true,true,true,true");
});

launchTest(
  "launch() joins a network namespace that does not belong to the user namespace it joins",
  async (bundle) => {
    const reason = Deno.uid() === 0 ? undefined : "who is not root enters only what its user namespace owns";
    if (reason) return skip(reason);
    await using users = await new Holder("--user").ready();
    await using network = await new Holder("--net").ready();
    const joined = [
      { type: "user", path: `/proc/${users.pid}/ns/user` },
      { type: "network", path: `/proc/${network.pid}/ns/net` },
    ] as const;
    equal(
      await bundle.output("readlink /proc/self/ns/net", {
        linux: { namespaces: [...namespaces([], ["network"]), ...joined] },
        mounts: MOUNTS.filter(({ type }) => type !== "sysfs"),
      }),
      link(network.pid, "network"),
    );
  },
);

launchTest("launch() maps files by idmap as the user namespace does that it joins", async (bundle) => {
  await using users = await new Holder("--user").ready();
  const source = `${bundle.path}/source`;
  Deno.mkdirSync(source);
  Deno.writeTextFileSync(`${source}/file`, "");
  Deno.chownSync(`${source}/file`, 5, 6);
  Deno.mkdirSync(`${bundle.rootfs}/mapped`);
  const options = ["bind", "idmap"];
  const joined = [...namespaces(), { type: "user", path: `/proc/${users.pid}/ns/user` } as const];
  const dummy = [{ containerID: 0, hostID: 0, size: 1 }]; // as Podman gives it
  for (
    const linux of [{ namespaces: joined }, { namespaces: joined, uidMappings: dummy, gidMappings: dummy }]
  ) {
    const mounts = [...MOUNTS, { destination: "/mapped", source, options }];
    equal(await bundle.output("stat -c '%u %g' /mapped/file", { linux, mounts }), "5 6");
  }
});

launchTest(
  "launch() joins a user namespace with the id maps that are given with it, and no other",
  async (bundle) => {
    const reason = Deno.uid() === 0 ? undefined : "only root gives a user namespace these ids";
    if (reason) return skip(reason);
    await using users = await new Holder("--user").ready();
    const path = `/proc/${users.pid}/ns/user`;
    const real = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
    const part = (uidMappings: readonly IdMapping[], gidMappings: readonly IdMapping[]): Part => ({
      linux: { namespaces: [...namespaces(), { type: "user", path }], uidMappings, gidMappings },
      mounts: MOUNTS,
    });
    equal(await bundle.output("id -u", part(real, real)), "0");
    const dummy = [{ containerID: 0, hostID: 0, size: 1 }]; // as Podman gives it
    equal(await bundle.output("id -u", part(dummy, dummy)), "0");
    const shifted = [{ ...real[0]!, hostID: 100_001 }];
    const shorter = [{ ...real[0]!, size: 65_535 }];
    const more = [...real, { containerID: 65_536, hostID: 200_000, size: 1 }];
    for (
      const [uids, gids, field] of [
        [shifted, real, "uidMappings"],
        [real, shorter, "gidMappings"],
        [more, real, "uidMappings"],
        [real, [], "gidMappings"],
      ] as const
    ) {
      match(
        (await bundle.failure("true", part(uids, gids))).message,
        new RegExp(
          `^Cannot join user namespace "${path}" with other ids than /linux/${field} .*EINVAL.* or none`,
        ),
      );
    }
  },
);

launchTest(
  "launch() joins a user namespace that denies setgroups unless groups are asked for",
  async (bundle) => {
    await using holder = await new Holder("--map-root-user").ready();
    const namespace = { type: "user", path: `/proc/${holder.pid}/ns/user` } as const;
    const part: Part = { linux: { namespaces: [...namespaces(), namespace] }, mounts: MOUNTS };
    equal(await bundle.output("id -u", part), "0");
    const process = { user: { uid: 0, gid: 0, additionalGids: [7] } };
    match((await bundle.failure("true", { ...part, process })).message, /^Cannot set the groups 7 .*EPERM/);
  },
);

launchTest("launch() shares a namespace that the spec does not name", async (bundle) => {
  const net = await bundle.output("readlink /proc/self/ns/net; hostname", {
    linux: { namespaces: namespaces([], ["network", "uts"]) },
  });
  equal(net, `${link("self", "network")}\n${Deno.hostname()}`);
});

launchTest("launch() names a namespace that it cannot join", async (bundle) => {
  const missing = await bundle.failure("true", {
    linux: { namespaces: [...namespaces([], ["network"]), { type: "network", path: "/proc/self/ns/none" }] },
  });
  match(
    missing.message,
    /^Cannot open network namespace "\/proc\/self\/ns\/none" \(step \d+ of \d+, openat\): ENOENT/,
  );
  const wrong = await bundle.failure("true", {
    linux: { namespaces: [...namespaces([], ["network"]), { type: "network", path: "/proc/self/ns/uts" }] },
  });
  match(wrong.message, /^Cannot join network namespace .*EINVAL/);
});

launchTest("launch() maps the ids of a user namespace", async (bundle) => {
  const linux = {
    namespaces: namespaces(["user"]),
    uidMappings: [{ containerID: 0, hostID: 100_000, size: 1000 }, {
      containerID: 1000,
      hostID: 500_000,
      size: 10,
    }],
    gidMappings: [{ containerID: 0, hostID: 200_000, size: 7 }],
  };
  let host = "";
  const [stdout] = [
    await bundle.output(
      "cat /proc/self/uid_map /proc/self/gid_map; id -u; id -g; touch /tmp/made; until [ -e /seen ]; do sleep 0.02; done",
      {
        linux,
        mounts: [...MOUNTS, { destination: "/tmp", type: "tmpfs", options: ["mode=1777"] }],
        process: { user: { uid: 1000, gid: 3 } },
      },
      {
        during: (child) => {
          host = Deno.readTextFileSync(`/proc/${child.pid}/status`);
          bundle.file("seen", "");
        },
      },
    ),
  ];
  equal(stdout.replaceAll(/ +/g, " "), " 0 100000 1000\n 1000 500000 10\n 0 200000 7\n1000\n3");
  match(host, /^Uid:\s+500000\s+500000\s+500000\s+500000$/m);
  match(host, /^Gid:\s+200003/m);
});

launchTest("launch() leaves a process of a user namespace without rights over the host", async (bundle) => {
  const { stdout } = await bundle.run(
    "echo 1 > /proc/sys/kernel/panic && echo written; mount -t tmpfs x /tmp; echo end",
    {
      linux: USER_NAMESPACE,
    },
  );
  ok(!stdout.includes("written"));
});

launchTest("launch() brings the loopback device of a new network namespace up", async (bundle) => {
  const text = await bundle.output("ip -o addr show lo; ip -o link show up; grep -c : /proc/net/dev");
  match(text, /inet 127\.0\.0\.1\/8/);
  match(text, /inet6 ::1\/128/);
  match(text, /lo: <LOOPBACK,UP,LOWER_UP>/);
});
