import { equal, match } from "node:assert/strict";
import { isThere } from "../../ffi/look.ts";
import { BOX, type Containers } from "../helpers/containers.ts";
import { bootNumber, replaceText, tamper } from "../helpers/tamper.ts";
import { FIRST, keptFile, light, recreateTest, SECOND } from "../helpers/recreates.ts";
import { skip } from "../helpers/skip.ts";

/** Makes a container; whether that took Deno. */
async function takesDeno(
  containers: Containers,
  { wrapper = [], args = [], id = SECOND }: {
    readonly wrapper?: readonly string[];
    readonly args?: readonly string[];
    readonly id?: string;
  } = {},
): Promise<boolean> {
  const { program } = containers;
  containers.program = [...wrapper, ...light(program)];
  const { stderr } = await containers.run("create", ...args, id);
  containers.program = program;
  await containers.run("delete", "--force", id);
  return /LD_PRELOAD/.test(stderr);
}

/** Looks that `change` takes Deno, as what is kept does not fit any more. */
async function looked(
  containers: Containers,
  file: string,
  what: string,
  asked: Parameters<typeof takesDeno>[1],
): Promise<void> {
  const kept = Deno.readFileSync(file);
  equal(await takesDeno(containers, asked), true, what);
  Deno.writeFileSync(file, kept); // Deno may have kept others
  equal(await takesDeno(containers), false, `before and behind: ${what}`);
}

recreateTest("another caller takes Deno", async (containers, file) => {
  const group = `/sys/fs/cgroup/freezer/${BOX}-caller`;
  Deno.mkdirSync(group);
  try {
    const inGroup = ["/bin/sh", "-c", `echo $$ >${group}/cgroup.procs; exec "$@"`, "sh"];
    for (
      const [what, ...wrapper] of [
        ["open files", "prlimit", "--nofile=900:900"],
        ["group", "setpriv", "--regid=54321", "--keep-groups"],
        ["namespaces", "unshare", "--uts"],
        ["capabilities", "setpriv", "--bounding-set=-sys_boot"],
        ["cgroup", ...inGroup],
      ] as const
    ) {
      await looked(containers, file, what, { wrapper });
    }
  } finally {
    Deno.removeSync(group);
  }
});

recreateTest(
  "another name of the bundle, or a longer one of the container, takes Deno",
  async (containers, file) => {
    const { path } = containers.bundle;
    const other = `${path}/other`;
    Deno.symlinkSync(path, other);
    await looked(containers, file, "path", { args: ["--bundle", other] });
    const longer = `${SECOND}x`;
    const renamed = keptFile(path, longer.length);
    Deno.copyFileSync(file, renamed);
    Deno.chmodSync(renamed, 0o600);
    await looked(containers, file, "id", { id: longer });
    Deno.removeSync(renamed);
  },
);

recreateTest(
  "another boot, executable, or kind of what is mounted takes Deno",
  async (containers, file) => {
    const { program: [program = ""], bundle } = containers;
    const kept = Deno.readFileSync(file);
    const own = /^\d+:pids:(.*)$/m.exec(Deno.readTextFileSync("/proc/self/cgroup"))![1]!;
    const base = BigInt(Deno.statSync(`/sys/fs/cgroup/pids${own === "/" ? "" : own}`).ino!);
    for (const [what, number] of [["boot", bootNumber()], ["cgroup that it is made in", base]] as const) {
      tamper(file, number);
      equal(await takesDeno(containers), true, what);
      Deno.writeFileSync(file, kept);
    }
    equal(await takesDeno(containers), false);
    const source = `${bundle.path}/source`;
    Deno.removeSync(source);
    Deno.writeTextFileSync(source, "a file now");
    equal(await takesDeno(containers), true, "kind");
    Deno.removeSync(source);
    Deno.mkdirSync(source);
    Deno.writeFileSync(file, kept);
    equal(await takesDeno(containers), false);
    Deno.copyFileSync(program, `${program}.copy`);
    Deno.chmodSync(`${program}.copy`, 0o755);
    Deno.renameSync(`${program}.copy`, program);
    equal(await takesDeno(containers), true, "executable");
    const { stderr } = await containers.run("create", FIRST);
    match(stderr, /^$/);
    await containers.output("delete", "--force", FIRST);
  },
  (bundle) => {
    const source = `${bundle}/source`;
    Deno.mkdirSync(source);
    return [{ destination: "/source", source, type: "bind", options: ["bind"] }];
  },
);

recreateTest("other controllers that version 2 passes on take Deno", async (containers, file) => {
  const [, own] = /^0::(.*)$/m.exec(Deno.readTextFileSync("/proc/self/cgroup")) ?? [];
  const passedOn = `/sys/fs/cgroup/unified${own === "/" ? "" : own}/cgroup.subtree_control`;
  if (!isThere(passedOn)) return skip("needs cgroup v2 beside v1");
  const controllers = Deno.readTextFileSync(passedOn);
  if (controllers === "") return skip("needs a controller that cgroup v2 passes on");
  equal(await takesDeno(containers), false);
  replaceText(file, controllers, controllers.toUpperCase());
  equal(await takesDeno(containers), true);
});
