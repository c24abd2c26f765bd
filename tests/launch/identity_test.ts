import { deepEqual, equal, match } from "node:assert/strict";
import type { Capabilities, CapabilityName } from "../../runtime/spec/config.ts";
import { CAPABILITIES, CAPABILITY_SETS } from "../../runtime/spec/words.ts";
import type { Child } from "../../runtime/launch/child.ts";
import { USER_NAMESPACE } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";
import { skip } from "../helpers/skip.ts";

launchTest("launch() becomes exactly the user and the groups of the spec", async (bundle) => {
  const script = "grep -E '^(Uid|Gid|Groups):' /proc/self/status";
  const run = async (user: { uid: number; gid: number; additionalGids?: number[] }): Promise<string[]> => {
    return (await bundle.output(script, { process: { user } })).split("\n").map((line) => line.trimEnd());
  };
  deepEqual(await run({ uid: 0, gid: 0 }), ["Uid:\t0\t0\t0\t0", "Gid:\t0\t0\t0\t0", "Groups:"]);
  deepEqual(await run({ uid: 1000, gid: 2000 }), [
    "Uid:\t1000\t1000\t1000\t1000",
    "Gid:\t2000\t2000\t2000\t2000",
    "Groups:",
  ]);
  deepEqual(await run({ uid: 1, gid: 2, additionalGids: [4000, 3, 0, 4294967294] }), [
    "Uid:\t1\t1\t1\t1",
    "Gid:\t2\t2\t2\t2",
    "Groups:\t0 3 4000 4294967294",
  ]);
  deepEqual(await run({ uid: 4294967294, gid: 4294967294 }), [
    "Uid:" + "\t4294967294".repeat(4),
    "Gid:" + "\t4294967294".repeat(4),
    "Groups:",
  ]);
});

launchTest("launch() sets the umask, 022 if the spec has none", async (bundle) => {
  equal(await bundle.output("umask"), "0022");
  for (const [umask, shown] of [[0, "0000"], [0o77, "0077"], [0o777, "0777"]] as const) {
    equal(await bundle.output("umask", { process: { user: { uid: 0, gid: 0, umask } } }), shown);
  }
});

/** The capability lines of a status file, by name. */
function sets(status: string): Record<string, bigint> {
  return Object.fromEntries([...status.matchAll(/^Cap(\w+):\s+([0-9a-f]+)$/gm)].map(([, name, hex]) => {
    return [name!, BigInt(`0x${hex}`)];
  }));
}

function mask(...names: CapabilityName[]): bigint {
  return names.reduce((sum, name) => sum | (1n << BigInt(CAPABILITIES.indexOf(name))), 0n);
}

const [CHOWN, KILL, MKNOD, SYSLOG] = ["CAP_CHOWN", "CAP_KILL", "CAP_MKNOD", "CAP_SYSLOG"] as const;

launchTest("launch() sets each of the five capability sets", async (bundle) => {
  const capabilities: Capabilities = {
    bounding: [CHOWN, KILL, MKNOD, SYSLOG],
    permitted: [CHOWN, KILL, MKNOD],
    effective: [KILL, MKNOD],
    inheritable: [MKNOD, CHOWN, SYSLOG],
    ambient: [MKNOD],
  };
  let status = "";
  // Before execve: what init holds is what the spec says, not what the kernel makes of it.
  const ready = (child: Child): void => {
    status = Deno.readTextFileSync(`/proc/${child.pid}/status`);
  };
  const script = "grep ^Cap /proc/self/status";
  const user = { uid: 1000, gid: 1000 };
  const after = await bundle.output(script, { process: { capabilities, user } }, { ready });
  const expected = {
    Inh: mask(MKNOD, CHOWN, SYSLOG),
    Prm: mask(CHOWN, KILL, MKNOD),
    Eff: mask(KILL, MKNOD),
    Bnd: mask(CHOWN, KILL, MKNOD, SYSLOG),
    Amb: mask(MKNOD),
  };
  deepEqual(sets(status), expected);
  deepEqual(sets(after), { ...expected, Prm: mask(MKNOD), Eff: mask(MKNOD) });
});

launchTest("launch() grants ambient capabilities only as far as they are inheritable", async (bundle) => {
  const capabilities: Capabilities = {
    bounding: [KILL, CHOWN],
    permitted: [KILL, CHOWN],
    inheritable: [CHOWN],
    ambient: [KILL, CHOWN],
  };
  const status = await bundle.output("cat /proc/self/status", {
    process: { capabilities, user: { uid: 7, gid: 7 } },
  });
  equal(sets(status).Amb, mask(CHOWN));
});

launchTest(
  "launch() passes over capabilities that Linux does not have, in each of the sets",
  async (bundle) => {
    const names = ["CAP_NONE", CHOWN] as CapabilityName[];
    const capabilities = Object.fromEntries(CAPABILITY_SETS.map((set) => [set, names]));
    const status = await bundle.output("cat /proc/self/status", { process: { capabilities } });
    deepEqual(Object.values(sets(status)), Array(5).fill(mask(CHOWN)));
  },
);

launchTest("launch() leaves no capability to a program whose spec names none", async (bundle) => {
  const script = "grep ^Cap /proc/self/status";
  const none = { Inh: 0n, Prm: 0n, Eff: 0n, Bnd: 0n, Amb: 0n };
  deepEqual(sets(await bundle.output(script, { process: { capabilities: {} } })), none);
  deepEqual(
    sets(await bundle.output(script, { process: { capabilities: {} }, linux: USER_NAMESPACE })),
    none,
  );
});

launchTest("launch() grants capabilities in a user namespace that the host's root lacks", async (bundle) => {
  const capabilities = { bounding: ["CAP_SYS_RESOURCE"], permitted: ["CAP_SYS_RESOURCE"] } as const;
  const part = { process: { capabilities }, linux: USER_NAMESPACE };
  equal(sets(await bundle.output("cat /proc/self/status", part)).Bnd, mask("CAP_SYS_RESOURCE"));
});

launchTest("launch() sets no_new_privs only where it is asked for", async (bundle) => {
  const script = "grep NoNewPrivs /proc/self/status";
  equal(await bundle.output(script), "NoNewPrivs:\t0");
  equal(await bundle.output(script, { process: { noNewPrivileges: true } }), "NoNewPrivs:\t1");
});

launchTest(
  "launch() installs a seccomp filter before the program, with and without no_new_privs",
  async (bundle) => {
    if (Deno.build.arch !== "x86_64") return skip("needs x86_64, whose number of mkdir the filter has");
    // Load the number; mkdir → EPERM; else allow.
    const code = [[0x20, 0, 0, 0], [0x15, 0, 1, 83], [0x06, 0, 0, 0x00050001], [
      0x06,
      0,
      0,
      0x7fff0000,
    ]] as const;
    const program = new Uint8Array(code.length * 8);
    const view = new DataView(program.buffer);
    code.forEach(([op, yes, no, value], index) => {
      view.setUint16(index * 8, op, true);
      view.setUint8(index * 8 + 2, yes);
      view.setUint8(index * 8 + 3, no);
      view.setUint32(index * 8 + 4, value, true);
    });
    for (const noNewPrivileges of [false, true]) {
      const { stdout, code } = await bundle.run("grep Seccomp: /proc/self/status; mkdir /tmp/x", {
        process: { noNewPrivileges },
      }, {
        filter: { program, flags: 0, notify: false },
      });
      match(stdout, /^Seccomp:\t2$/m);
      equal(code, 1);
    }
  },
);
