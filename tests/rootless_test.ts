import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { Spec } from "../mod.ts";
import { bundled, cli, ROOT, type Said, STRANGER, Temporary } from "./helpers/cli.ts";
import { leavesNothing } from "./helpers/census.ts";
import { skip } from "./helpers/skip.ts";

const NAME = "stranger";
const USERS = { bounding: ["CAP_CHOWN", "CAP_SETGID", "CAP_SETUID"] } as const;

/** A user with a name, and with subordinate ids or without, in files that only a mount namespace of the test sees. */
class User implements Disposable {
  readonly #files = new Temporary();
  #program: readonly string[] = [];

  constructor(readonly subordinate: string | undefined) {
    const passwd = Deno.readTextFileSync("/etc/passwd");
    this.#files.file("passwd", `${passwd}${NAME}:x:${STRANGER}:${STRANGER}::/nonexistent:/bin/sh\n`);
    const line = subordinate === undefined ? "" : `${NAME}:${subordinate}\n`;
    for (const name of ["subuid", "subgid"]) this.#files.file(name, line);
  }

  async run(args: readonly string[]): Promise<Said> {
    if (this.#program.length === 0) this.#program = await bundled(this.#files);
    const mounts = ["passwd", "subuid", "subgid"].map((name) =>
      `mount --bind ${this.#files.path}/${name} /etc/${name}`
    );
    const script = `${mounts.join(" && ")} && exec "$@"`;
    const user = ["setpriv", `--reuid=${STRANGER}`, `--regid=${STRANGER}`, "--clear-groups"];
    const wrapper = ["unshare", "--mount", "sh", "-c", script, "sh", ...user];
    return await cli(args, { wrapper, program: this.#program, cwd: this.#files.path });
  }

  /** A bundle that runs a script, readable for everybody. */
  async bundle(script: string, change: (spec: Spec) => Spec = (spec) => spec): Promise<string> {
    const path = `${this.#files.path}/bundle`;
    await new Deno.Command("cp", { args: ["-rT", "--preserve=mode", `${ROOT}/bundles/hello`, path] })
      .output();
    const spec: Spec = JSON.parse(Deno.readTextFileSync(`${ROOT}/bundles/hello/config.json`));
    const made = change({
      ...spec,
      process: { ...spec.process!, args: ["sh", "-c", script], terminal: false },
    });
    Deno.writeTextFileSync(`${path}/config.json`, JSON.stringify(made));
    return path;
  }

  [Symbol.dispose](): void {
    this.#files[Symbol.dispose]();
  }
}

/** The spec with the means to change users. */
function changesUsers(spec: Spec): Spec {
  const { bounding } = USERS;
  const capabilities = { bounding, permitted: bounding, effective: bounding };
  return { ...spec, process: { ...spec.process!, capabilities } };
}

function test(name: string, body: () => Promise<void>): void {
  Deno.test(name, async () => {
    if (Deno.uid() !== 0) return skip("needs root to become another user");
    await leavesNothing([], body);
  });
}

function hasHelpers(): boolean {
  const found = ["newuidmap", "newgidmap"].every((name) => {
    try {
      return Deno.statSync(`/usr/bin/${name}`).isFile;
    } catch {
      return false;
    }
  });
  if (!found) skip("the Debian package uidmap is not installed");
  return found;
}

for (const subordinate of ["200000:65536", undefined]) {
  test(`bundles run for a user ${subordinate ? "with" : "without"} subordinate ids, under each policy`, async () => {
    using user = new User(subordinate);
    for (const policy of [[], ["--policy", "default"], ["--policy", "strict"]]) {
      const script = "id -u; touch /tmp/x && stat -c %u /tmp/x; echo $$";
      const said = await user.run(["run", ...policy, await user.bundle(script)]);
      deepEqual([said.code, said.stdout, said.stderr], [0, "0\n0\n1\n", ""], policy.join(" "));
    }
  });
}

test("with subordinate ids a bundle has further users and groups", async () => {
  if (!hasHelpers()) return;
  using user = new User("200000:65536");
  for (const policy of [[], ["--policy", "default"]]) {
    const script = "id -G; touch /tmp/x; chown 7:8 /tmp/x && stat -c %u:%g /tmp/x; cat /proc/self/uid_map";
    const bundle = await user.bundle(script, (spec) => {
      const { process, ...rest } = changesUsers(spec);
      return { ...rest, process: { ...process!, user: { uid: 0, gid: 0, additionalGids: [4, 20] } } };
    });
    const said = await user.run(["run", ...policy, bundle]);
    equal(said.stderr, "");
    match(said.stdout, new RegExp(`^0 4 20\n7:8\n +0 +${STRANGER} +1\n +1 +200000 +65536\n$`));
  }
});

test("a program's own user is the caller, whatever its number inside", async () => {
  if (!hasHelpers()) return;
  using user = new User("200000:65536");
  using shared = new Temporary(0o777);
  const bundle = await user.bundle("touch /m/mine", (spec) => {
    const { process, ...rest } = changesUsers(spec);
    const mounts = [...spec.mounts ?? [], { destination: "/m", source: shared.path, options: ["rbind"] }];
    return { ...rest, mounts, process: { ...process!, user: { uid: 33, gid: 44, additionalGids: [5] } } };
  });
  const said = await user.run(["run", bundle]);
  deepEqual([said.code, said.stderr], [0, ""]);
  const { uid, gid } = Deno.statSync(`${shared.path}/mine`);
  deepEqual([uid, gid], [STRANGER, STRANGER]);
});

test("maps of a bundle's own are made by newuidmap, and refused with its reason", async () => {
  if (!hasHelpers()) return;
  using user = new User("200000:65536");
  const maps = (
    hostID: number,
  ) => [{ containerID: 0, hostID: STRANGER, size: 1 }, { containerID: 1, hostID, size: 10 }];
  const bundle = async (hostID: number): Promise<string> =>
    await user.bundle("cat /proc/self/uid_map", (spec) => ({
      ...spec,
      linux: {
        ...spec.linux,
        namespaces: [...spec.linux?.namespaces ?? [], { type: "user" }],
        uidMappings: maps(hostID),
        gidMappings: maps(hostID),
      },
    }));
  match((await user.run(["run", await bundle(200_000)])).stdout, /^ +0 +54321 +1\n +1 +200000 +10\n$/);
  const said = await user.run(["run", await bundle(300_000)]);
  equal(said.code, 1);
  match(
    said.stderr,
    /^newuidmap: uid range \[1-11\) -> \[300000-300010\) not allowed\nruntime: Cannot map ids with \/usr\/bin\/newuidmap .*subuid/,
  );
});

/** What a user without subordinate ids cannot have, and what the error names. */
const REFUSED: readonly (readonly [string, (spec: Spec) => Spec, RegExp])[] = [
  ["further groups", (spec) => ({
    ...spec,
    process: { ...spec.process!, user: { uid: 0, gid: 0, additionalGids: [4] } },
  }), /Cannot set the groups 4 .*EPERM/],
  [
    "a lower oom_score_adj",
    (spec) => ({ ...spec, process: { ...spec.process!, oomScoreAdj: -500 } }),
    /oom_score_adj to -500/,
  ],
  ["higher limits", (spec) => ({
    ...spec,
    process: { ...spec.process!, rlimits: [{ type: "RLIMIT_NOFILE", soft: 1 << 24, hard: 1 << 24 }] },
  }), /RLIMIT_NOFILE.*EPERM/],
  ["limits by cgroup", (spec) => ({
    ...spec,
    linux: { ...spec.linux, resources: { pids: { limit: 10 } } },
  }), /Cannot apply \/linux\/resources: .*(cgroup|delegat)/],
  ["the kernel parameters of the host", (spec) => ({
    ...spec,
    linux: {
      ...spec.linux,
      namespaces: spec.linux!.namespaces!.filter(({ type }) => type !== "network"),
      sysctl: { "net.ipv4.ip_forward": "1" },
    },
  }), /net\.ipv4\.ip_forward/],
  ["a real-time priority", (spec) => ({
    ...spec,
    process: { ...spec.process!, scheduler: { policy: "SCHED_FIFO", priority: 10 } },
  }), /SCHED_FIFO.*EPERM/],
  ["the network of another user", (spec) => ({
    ...spec,
    linux: {
      ...spec.linux,
      namespaces: spec.linux!.namespaces!.map((each) =>
        each.type === "network" ? { ...each, path: "/proc/1/ns/net" } : each
      ),
    },
  }), /\/proc\/1\/ns\/net/],
  ["a file system of a disk", (spec) => ({
    ...spec,
    mounts: [...spec.mounts ?? [], { destination: "/m", source: "/dev/vda", type: "ext4" }],
  }), /mount ext4 on "\/m"/],
  ["a mount with other owners", (spec) => ({
    ...spec,
    mounts: [...spec.mounts ?? [], {
      destination: "/m",
      source: "/usr",
      options: ["rbind"],
      uidMappings: [{ containerID: 0, hostID: 0, size: 1 }],
      gidMappings: [{ containerID: 0, hostID: 0, size: 1 }],
    }],
  }), /"\/m"|uid_map/],
];

for (const [what, change, error] of REFUSED) {
  test(`a user without rights is refused ${what} by name`, async () => {
    using user = new User(undefined);
    const said = await user.run(["run", await user.bundle("echo ran", change)]);
    deepEqual([said.code, said.stdout], [1, ""], said.stderr);
    match(said.stderr, error);
    ok(said.stderr.trimEnd().split("\n").length === 1, said.stderr);
  });
}
