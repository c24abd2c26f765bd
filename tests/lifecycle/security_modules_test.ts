import { equal, ok } from "node:assert/strict";
import { isThere } from "../../ffi/look.ts";
import type { Linux, Process, Spec } from "../../runtime/spec/config.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { containerTest } from "../helpers/container_test.ts";
import { skip } from "../helpers/skip.ts";

const [APPARMOR, SELINUX] = ["/sys/module/apparmor", "/sys/fs/selinux/enforce"];
const CASES: readonly [path: string, process: Partial<Process>, linux: Partial<Linux>, says: string][] = [
  [
    APPARMOR,
    { apparmorProfile: "docker-default" },
    {},
    "apparmor: config provided but apparmor not supported",
  ],
  [
    SELINUX,
    { selinuxLabel: "a:b:c:s0" },
    {},
    "selinux label is specified in config, but selinux is disabled",
  ],
  [SELINUX, {}, { mountLabel: "a:b:c:s0" }, "selinux label is specified in config, but selinux is disabled"],
];

for (const [path, process, linux, says] of CASES) {
  const asked = JSON.stringify({ ...process, ...linux });
  containerTest(`${asked} is refused where nobody would keep to it`, async () => {
    if (isThere(path)) return skip(`this host has ${path}`);
    await using containers = new Containers();
    const spec: Spec = JSON.parse(Deno.readTextFileSync(`${containers.bundle.path}/config.json`));
    containers.write([], {
      process: { ...spec.process!, ...process },
      linux: { ...spec.linux, ...linux },
    });
    const { code, stderr } = await containers.run("create", BOX);
    equal(code, 1);
    ok(stderr.includes(says), stderr);
    equal(isThere(`${containers.root}/${BOX}`), false);
  });
}

for (
  const [path, flag, value, says] of [
    [APPARMOR, "--apparmor", "docker-default", "apparmor: config provided but apparmor not supported"],
    [SELINUX, "--process-label", "a:b:c:s0", "selinux label is specified in config, but selinux is disabled"],
  ] as const
) {
  containerTest(`exec ${flag} is refused where nobody would keep to it`, async () => {
    if (isThere(path)) return skip(`this host has ${path}`);
    await using containers = new Containers();
    await containers.output("run", "--detach", BOX);
    const { code, stdout, stderr } = await containers.run("exec", flag, value, BOX, "echo", "ran");
    equal(code, 255);
    equal(stdout, "");
    ok(stderr.includes(says), stderr);
  });
}
