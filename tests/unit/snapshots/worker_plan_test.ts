import { deepEqual, match, ok } from "node:assert/strict";
import type { Struct } from "../../../runtime/plan/op.ts";
import { enterPlan, workerPlan, type WorkerRequest } from "../../../snapshots/worker_plan.ts";

/** What is run in the end, its arguments and its environment. */
function run(request: Partial<WorkerRequest>): readonly unknown[] {
  const { sections } = workerPlan({
    arch: "x86_64",
    program: "/opt/bin/criu",
    flags: ["--flag"],
    ...request,
  });
  return sections.flatMap(({ ops }) => ops).find(({ call }) => call === "execve")!.args;
}

const ENVIRONMENT = {
  strings: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "GNUTLS_NO_IMPLICIT_INIT=1"],
};

Deno.test("workerPlan() runs CRIU itself, or what its script would run", () => {
  const flags = ["--no-default-config", "--flag", "swrk", "3"];
  deepEqual(run({}), ["/opt/bin/criu", { strings: ["criu", ...flags] }, ENVIRONMENT]);
  const loader = ["/opt/lib/ld.so", "--argv0", "criu", "/opt/libexec/criu"];
  deepEqual(run({ loader }), [
    "/opt/lib/ld.so",
    { strings: ["criu", "--argv0", "criu", "/opt/libexec/criu", ...flags] },
    ENVIRONMENT,
  ]);
  deepEqual(run({ loader, preload: 7 }), [
    "/opt/lib/ld.so",
    { strings: ["criu", "--preload", "/proc/self/fd/7", "--argv0", "criu", "/opt/libexec/criu", ...flags] },
    ENVIRONMENT,
  ]);
});

Deno.test("CRIU begins also if another one has just removed the place of what it knows of the kernel", () => {
  const root = { path: "/rootfs", place: "/place", readonly: false, noDevices: false };
  const { sections } = workerPlan({
    arch: "x86_64",
    program: "/opt/bin/criu",
    flags: [],
    root,
    findings: "/found",
  });
  const ops = sections.flatMap(({ ops }) => ops).filter(({ does }) => does.startsWith("show CRIU"));
  deepEqual(ops.map(({ call, ignore }) => [call, ignore]), [
    ["openat", undefined],
    ["open_tree", undefined],
    ["move_mount", ["ENOENT"]],
  ]);
});

Deno.test("CRIU that is born into its cgroup when it has been loaded knows its own number", () => {
  const groups = [{ directory: "/group", version: 2 }] as const;
  const request = { arch: "x86_64", program: "/opt/bin/criu", flags: [], groups } as const;
  const { sections } = enterPlan(request, {}, { parent: 1, given: [] });
  const ops = sections.flatMap(({ ops }) => ops);
  const asked = ops.findIndex(({ call }) => call === "prctl");
  const born = ops.findIndex(({ call }) => call === "clone3");
  deepEqual(ops[asked]!.args.slice(1, 2), [{ address: "tid" }]);
  const struct = ops[born]!.args[0] as Struct;
  const members = new Map<string, unknown>(struct.members.map(([name, , value]) => [name, value]));
  match((members.get("flags") as { readonly named: string }).named, /CLONE_CHILD_SETTID/);
  deepEqual(members.get("child_tid"), { slot: "tid" });
  ok(asked < born);
});
