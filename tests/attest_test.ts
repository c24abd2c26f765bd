import { equal, match, rejects } from "node:assert/strict";
import { AttestationError, Sandbox } from "../mod.ts";
import { type DefectiveOptions, EDIT_PLAN } from "../runtime/options.ts";
import { op } from "../runtime/plan/op.ts";
import { allowing, DEFECTS, IDS_DEFECTS, PARAMETERS_DEFECTS } from "./helpers/attest_defects.ts";
import { add, alter, drop, type Edit } from "./helpers/defects.ts";
import { MOUNTS, namespaces, type Part, type TestBundle, USER_NAMESPACE } from "./helpers/launch_bundle.ts";
import { skip } from "./helpers/skip.ts";
import { cannotLimit } from "./helpers/cgroups.ts";
import { launchTest } from "./helpers/launch_leaks.ts";

/** Asks for something of everything that can be attested. */
const ASKED: Part = {
  root: { readonly: true },
  process: {
    cwd: "/work",
    user: { uid: 1000, gid: 1001, additionalGids: [5], umask: 0o27 },
    capabilities: {
      bounding: ["CAP_KILL", "CAP_NET_BIND_SERVICE"],
      permitted: ["CAP_KILL", "CAP_NET_BIND_SERVICE"],
      effective: ["CAP_KILL"],
      inheritable: ["CAP_NET_BIND_SERVICE"],
      ambient: ["CAP_NET_BIND_SERVICE"],
    },
    noNewPrivileges: true,
    oomScoreAdj: 123,
    rlimits: [{ type: "RLIMIT_CORE", soft: 0, hard: 0 }, { type: "RLIMIT_NPROC", soft: 50, hard: 60 }],
  },
  linux: {
    namespaces: namespaces(["cgroup", "time"]),
    timeOffsets: { monotonic: { secs: 60, nanosecs: 5 }, boottime: { secs: 120 } },
    maskedPaths: ["/secret", "/key", "/proc/acpi", "/proc/nothing"],
    readonlyPaths: ["/proc/sys"],
    personality: { domain: "LINUX32" },
    resources: { pids: { limit: 100 } },
    seccomp: {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_ERRNO" }],
    },
  },
};
/** With names and parameters of its own namespaces: no defect may put them into the host's. */
const WITH_PARAMETERS: Part = {
  ...ASKED,
  hostname: "attested",
  domainname: "example",
  linux: {
    ...ASKED.linux,
    sysctl: { "net.ipv4.ip_local_port_range": "2000 3000", "kernel.msgmax": "4096" },
  },
};
/** The same in a user namespace, where devices are the host's and capabilities count for less. */
const IN_USER_NAMESPACE: Part = {
  ...ASKED,
  linux: { ...USER_NAMESPACE, maskedPaths: ["/secret"], readonlyPaths: ["/proc/sys"] },
};

/** A rootfs with something to hide, and mounts that are not trusted. */
function write(bundle: TestBundle, part: Part = ASKED): void {
  bundle.file("secret/password", "1234");
  bundle.file("key", "5678");
  bundle.directory("work");
  const marker = `${bundle.path}/marker`;
  const data = `${bundle.path}/data`;
  for (const path of [marker, data]) {
    Deno.mkdirSync(path, { recursive: true });
    Deno.chmodSync(path, 0o777);
  }
  for (const name of ["marker", "data", "data/link", "scratch", "extra"]) bundle.directory(name);
  bundle.write("touch /marker/ran", {
    ...part,
    mounts: [
      ...MOUNTS,
      { destination: "/marker", source: marker, options: ["bind"] },
      { destination: "/data", source: data, options: ["rbind", "ro", "nosuid", "nodev", "noexec"] },
      { destination: "/scratch", type: "tmpfs", options: ["size=64k", "nosuid"] },
    ],
  });
}

function markerOf({ path }: TestBundle): string {
  return `${path}/marker/ran`;
}

/** Runs the bundle with a defect; true if its program began. */
async function runs(bundle: TestBundle, edit?: Edit, more: Partial<DefectiveOptions> = {}): Promise<boolean> {
  const defect = edit && { [EDIT_PLAN]: edit };
  const options = { bundle: bundle.path, overlay: { kind: "none" }, ...more, ...defect } as const;
  await using sandbox = await Sandbox.run(options);
  await sandbox.wait();
  return await Deno.remove(markerOf(bundle)).then(() => true, () => false);
}

launchTest("a sandbox that is what was asked for begins when it is attested", async (bundle) => {
  const reason = cannotLimit();
  if (reason) return skip(reason);
  for (
    const part of [ASKED, WITH_PARAMETERS, IN_USER_NAMESPACE, {
      ...ASKED,
      process: { ...ASKED.process, noNewPrivileges: false },
    }]
  ) {
    write(bundle, part);
    for (const overlay of [{ kind: "none" }, { kind: "tmpfs" }] as const) {
      equal(await runs(bundle, undefined, { attest: true, overlay }), true);
    }
  }
});

for (
  const [part, defects] of [
    [ASKED, DEFECTS],
    [IN_USER_NAMESPACE, IDS_DEFECTS],
    [WITH_PARAMETERS, PARAMETERS_DEFECTS],
  ] as const
) {
  for (const [protection, edit, says] of defects) {
    launchTest(`attestation misses ${protection}`, async (bundle) => {
      const reason = cannotLimit();
      if (reason) return skip(reason);
      write(bundle, part);
      if (!protection.startsWith("the mount namespace")) {
        equal(await runs(bundle, edit), true, "it runs unattested");
      }
      await rejects(runs(bundle, edit, { attest: true }), (error: unknown) => {
        equal(error instanceof AttestationError, true, String(error));
        match(String(error), says);
        return true;
      });
      await rejects(Deno.stat(markerOf(bundle)), Deno.errors.NotFound, "nothing of it ran");
    });
  }
}

launchTest("attestation misses a limit of a policy's users, and its filters", async (bundle) => {
  bundle.write("true", { linux: { namespaces: namespaces() } });
  for (
    const [edit, says] of [
      [
        drop({ does: /^set user.max_user_namespaces/, call: "write" }),
        /limit of the user namespace max_user_namespaces: asked for at most 0:0, is \d+:\d+/,
      ],
      [
        alter({ does: /seccomp/, call: "seccomp" }, allowing),
        /seccomp program 0: asked for \d+ instructions \(\w+\), is \d+ instructions \(\w+\)/,
      ],
    ] as const
  ) {
    const options = { bundle: bundle.path, policy: "default", attest: true, [EDIT_PLAN]: edit } as const;
    await rejects(Sandbox.run(options), says);
  }
});

launchTest("a sandbox that is killed before it can be looked at is told of as killed", async (bundle) => {
  bundle.write("true");
  const end = add({ does: "report that init is ready", by: "init" }, [op("end early", "exit_group", [9])]);
  // Nobody looks before it has ended: this thread stands still for a while whenever it could.
  const pause = new Int32Array(new SharedArrayBuffer(4));
  const still = setInterval(() => Atomics.wait(pause, 0, 0, 300), 0);
  try {
    await rejects(runs(bundle, end, { attest: true }), /init was killed before the program began/);
  } finally {
    clearInterval(still);
  }
});
