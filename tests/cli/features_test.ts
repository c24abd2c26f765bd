import { deepEqual, equal, match, ok } from "node:assert/strict";
import { type Features, loadBundle } from "../../mod.ts";
import { probeLandlock } from "../../runtime/host/probe.ts";
import { mountOptions } from "../../runtime/plan/mount_options.ts";
import config from "../../deno.json" with { type: "json" };
import { AS_STRANGER, bundled, cli, Temporary } from "../helpers/cli.ts";
import { skip } from "../helpers/skip.ts";

const { code, stdout, stderr } = await cli(["features"]);
const document = (code === 0 ? JSON.parse(stdout) : {}) as Features;

Deno.test("features prints its document, with the version", () => {
  deepEqual([code, stderr], [0, ""]);
  equal(document.annotations?.["ai-sandbox.version"], config.version);
});

Deno.test("features names the version of Landlock's interface that the kernel has", () => {
  equal(document.annotations?.["ai-sandbox.landlock"], String(probeLandlock() ?? 0));
});

Deno.test("features names both ends of the versions that config.json may have", () => {
  using here = new Temporary();
  for (const ociVersion of [document.ociVersionMin, document.ociVersionMax]) {
    here.file("config.json", JSON.stringify({ ociVersion, root: { path: "rootfs" } }));
    equal(loadBundle(here.path).spec.ociVersion, ociVersion);
  }
});

Deno.test("features names what can limit containers, whatever this host has", () => {
  deepEqual(document.linux?.cgroup, { v1: true, v2: true, systemd: true, systemdUser: true, rdma: true });
});

Deno.test("features names only mount options that no file system need know", () => {
  const { mountOptions: names = [] } = document;
  const ofAny = ["dirsync", "lazytime", "mand", "sync"];
  for (const name of names) {
    deepEqual(mountOptions([name]).data, ofAny.includes(name) ? [{ key: name }] : [], name);
  }
  for (
    const name of [
      ...ofAny,
      "ro",
      "rro",
      "rprivate",
      "rbind",
      "remount",
      "tmpcopyup",
      "ridmap",
      "nosymfollow",
    ]
  ) {
    ok(names.includes(name), name);
  }
  deepEqual(names, [...new Set(names)].sort());
});

Deno.test("features names nothing that a bundle is refused for", async () => {
  const resources = { memory: { limit: 1 << 26 } };
  const asked: [claimed: boolean | undefined, part: Record<string, unknown>][] = [
    [document.hooks?.includes("poststop"), { hooks: { poststop: [{ path: "/bin/true" }] } }],
    [document.linux?.cgroup?.v2, { linux: { resources } }],
    [document.linux?.selinux?.enabled, { linux: { mountLabel: "label" } }],
    [document.linux?.netDevices?.enabled, {
      linux: { namespaces: [{ type: "network" }], netDevices: { eth7: { name: "eth7" } } },
    }],
    [document.linux?.intelRdt?.enabled, { linux: { intelRdt: { closID: "class" } } }],
  ];
  using here = new Temporary();
  Deno.mkdirSync(`${here.path}/rootfs`);
  const process = { cwd: "/", args: ["/none"], user: { uid: 0, gid: 0 } };
  for (const [claimed, part] of asked) {
    const base = { ociVersion: "1.3.0", root: { path: "rootfs" }, process };
    here.file("config.json", JSON.stringify({ ...base, ...part }));
    const refused = /this version has no support for it/.test((await cli(["plan", here.path])).stderr);
    equal(claimed, !refused, JSON.stringify(part));
  }
});

Deno.test("features asks the kernel which seccomp flags it takes", () => {
  const { knownFlags = [], supportedFlags = [] } = document.linux?.seccomp ?? {};
  ok(supportedFlags.every((flag) => knownFlags.includes(flag)));
  // Since Linux 4.17; the fourth is applied beside a listener, and known to nobody who goes by runc's list.
  ok(!supportedFlags.includes("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"));
  for (const name of ["TSYNC", "LOG", "SPEC_ALLOW"] as const) {
    ok(supportedFlags.includes(`SECCOMP_FILTER_FLAG_${name}`), name);
  }
});

Deno.test("features is the same for a user without rights", async () => {
  if (Deno.uid() !== 0) return skip("needs root to become another user");
  using here = new Temporary();
  const program = await bundled(here);
  const theirs = await cli(["features"], { program, wrapper: AS_STRANGER, cwd: here.path });
  deepEqual(JSON.parse(theirs.stdout), document);
});

Deno.test("features refuses arguments, and has help", async () => {
  const said = await cli(["features", "more"]);
  deepEqual([said.code, said.stdout], [1, ""]);
  match(said.stderr, /^runtime: Cannot use "more": features takes no arguments\n$/);
  match(
    (await cli(["features", "--help"])).stdout,
    /^NAME:\n {3}runtime features, as runc features\n\nPrints .*\n\nUsage:\n {2}runtime features/,
  );
});
