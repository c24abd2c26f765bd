import { equal, match, notEqual } from "node:assert/strict";
import { withRuntime } from "../helpers/built.ts";
import { cli } from "../helpers/cli.ts";
import { launchTest } from "../helpers/launch_leaks.ts";
import { Runs, SETTLED_MS } from "../helpers/reruns.ts";
import type { Seccomp } from "../../runtime/spec/linux.ts";

const IMAGES = "/run/ai-sandbox/images";
const FILTERS = "/run/ai-sandbox/filters";

/** What is kept now, images or filters: name and time of change. */
function kept(directory: string = IMAGES): Map<string, number> {
  try {
    return new Map(
      [...Deno.readDirSync(directory)].map((
        { name },
      ) => [name, Deno.statSync(`${directory}/${name}`).mtime!.getTime()]),
    );
  } catch {
    return new Map();
  }
}

launchTest(
  "run keeps the image of a bundle, and makes a new one when the bundle has changed",
  async (bundle) => {
    await withRuntime(async (program) => {
      const before = kept();
      bundle.write("echo first");
      equal((await cli(["run", bundle.path], { program })).stdout, "first\n");
      const [[name, time] = ["", 0], ...more] = [...kept()].filter(([each]) => !before.has(each));
      notEqual(name, "");
      equal(more.length, 0);
      equal((await cli(["run", bundle.path], { program })).stdout, "first\n");
      equal(kept().get(name), time, "the second run took the image as it was");
      bundle.write("echo second");
      equal((await cli(["run", bundle.path], { program })).stdout, "second\n");
      notEqual(kept().get(name), time);
      Deno.removeSync(`${IMAGES}/${name}`);
    });
  },
);

launchTest("run makes a new image where the limits or the kind of a source differ", async (bundle) => {
  await withRuntime(async (program) => {
    const before = kept();
    const source = `${bundle.path}/source`;
    const mounts = [{ destination: "/source", source, type: "bind", options: ["bind"] }];
    const run = (wrapper: readonly string[]): ReturnType<typeof cli> =>
      cli(["run", bundle.path], { program, wrapper });
    bundle.write("ulimit -Hn; test -d /source && echo directory || echo file", { mounts });
    Deno.mkdirSync(source);
    equal((await run(["prlimit", "--nofile=900:900"])).stdout, "900\ndirectory\n");
    equal((await run(["prlimit", "--nofile=700:700"])).stdout, "700\ndirectory\n");
    Deno.removeSync(source);
    Deno.writeTextFileSync(source, "");
    equal((await run(["prlimit", "--nofile=700:700"])).stdout, "700\nfile\n");
    Deno.removeSync(source);
    const { code, stderr } = await run(["prlimit", "--nofile=700:700"]);
    equal(code, 1);
    match(stderr, /\/mounts\/0\/source/);
    for (const name of kept().keys()) if (!before.has(name)) Deno.removeSync(`${IMAGES}/${name}`);
  });
});

launchTest(
  "run looks HOME up anew when a link on the way to /etc/passwd, or what it leads to, has changed",
  async (bundle) => {
    await withRuntime(async (program) => {
      const before = kept();
      using runs = new Runs(bundle, program);
      const passwd = (home: string): string => `root:x:0:0::${home}:/bin/sh\n`;
      bundle.file("usr/etc/first", passwd("/first"));
      bundle.file("usr/etc/other", passwd("/other"));
      bundle.file("lib/etc/first", passwd("/third"));
      const link = (to: string, at: string): void => {
        const path = `${bundle.rootfs}/${at}`;
        Deno.symlinkSync(to, `${path}.new`);
        Deno.renameSync(`${path}.new`, path);
      };
      Deno.removeSync(`${bundle.rootfs}/etc`);
      link("/usr/etc", "etc");
      link("first", "usr/etc/passwd");
      link("first", "lib/etc/passwd");
      bundle.write("echo $HOME");
      const home = async (): Promise<string> => {
        await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
        const { stdout } = await runs.run();
        equal((await runs.run()).stdout, stdout);
        return stdout;
      };
      equal(await home(), "/first\n");
      const file = [...kept().keys()].find((name) => !before.has(name))!;
      const time = kept().get(file);
      equal(await home(), "/first\n");
      equal(kept().get(file), time, "it was made anew");
      link("other", "usr/etc/passwd");
      equal(await home(), "/other\n");
      bundle.file("usr/etc/other", passwd("/fourth"));
      equal(await home(), "/fourth\n");
      link("/lib/etc", "etc");
      equal(await home(), "/third\n");
      Deno.removeSync(`${IMAGES}/${file}`);
    });
  },
);

launchTest(
  "run takes no image from a directory that others can write to, and none that is damaged",
  async (bundle) => {
    await withRuntime(async (program) => {
      const before = kept();
      bundle.write("echo mine");
      await cli(["run", bundle.path], { program });
      const name = [...kept().keys()].find((each) => !before.has(each))!;
      const file = `${IMAGES}/${name}`;
      const whole = Deno.readFileSync(file);
      for (
        const damaged of [
          new Uint8Array(),
          whole.slice(0, 20),
          whole.slice(0, -100),
          new Uint8Array(4096).fill(255),
        ]
      ) {
        Deno.writeFileSync(file, damaged);
        equal((await cli(["run", bundle.path], { program })).stdout, "mine\n");
      }
      const other = new TextDecoder("latin1").decode(whole).replace("echo mine", "echo evil");
      Deno.writeFileSync(file, Uint8Array.from(other, (char) => char.charCodeAt(0)));
      equal(
        (await cli(["run", bundle.path], { program })).stdout,
        "mine\n",
        "the whole configuration is compared",
      );
      // The program's text in the image itself: only who may write there decides what runs.
      const forged = whole.slice();
      const at = new TextDecoder("latin1").decode(whole).lastIndexOf("echo mine");
      forged.set(new TextEncoder().encode("echo evil"), at);
      Deno.writeFileSync(file, forged);
      Deno.chmodSync(IMAGES, 0o777);
      try {
        equal((await cli(["run", bundle.path], { program })).stdout, "mine\n");
      } finally {
        Deno.chmodSync(IMAGES, 0o700);
      }
      Deno.removeSync(file);
    });
  },
);

launchTest("a built command says nothing of its own on a terminal", async () => {
  await withRuntime(async ([program]) => {
    const { stdout } = await cli(["-qec", `${program} --version`, "/dev/null"], { program: ["script"] });
    match(stdout, /^ai-sandbox version .*\r\ncommit: \S+\r\nspec: 1\.3\.0\r\ndeno: \S+\r\n$/);
  });
});

launchTest("run keeps a seccomp filter for every bundle that asks for the same", async (bundle) => {
  await withRuntime(async (program) => {
    // Other tests keep filters too.
    const withErrno = (errnoRet: number): string[] =>
      [...kept(FILTERS).keys()].filter((name) =>
        Deno.readTextFileSync(`${FILTERS}/${name}`).includes(`\\"errnoRet\\":${errnoRet}`)
      );
    // Of no other test: an errno of its own.
    const seccomp = (errnoRet: number): Seccomp => ({
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet }],
    });
    const run = async (text: string, errnoRet: number): Promise<void> => {
      const script = `echo ${text}; mkdir /tmp/made 2>/dev/null || echo denied`;
      bundle.write(script, {
        linux: { namespaces: [{ type: "pid" }, { type: "mount" }], seccomp: seccomp(errnoRet) },
      });
      equal((await cli(["run", bundle.path], { program })).stdout, `${text}\ndenied\n`);
    };
    await run("first", 4077);
    const [name, ...more] = withErrno(4077);
    equal(more.length, 0);
    const file = `${FILTERS}/${name}`;
    const time = kept(FILTERS).get(name!);
    await run("second", 4077);
    equal(kept(FILTERS).get(name!), time, "another image took the filter as it was");
    Deno.truncateSync(file, 100);
    await run("third", 4077);
    equal(Deno.statSync(file).size > 100, true, "what is damaged is made again");
    Deno.removeSync(file);
    await run("fourth", 4078);
    const others = withErrno(4078);
    equal(others.length, 1);
    Deno.removeSync(`${FILTERS}/${others[0]}`);
  });
});
