import { Sandbox } from "../../../mod.ts";
import { open } from "../../../ffi/fd.ts";
import { until } from "../../helpers/cli.ts";
import type { Part } from "../../helpers/launch_bundle.ts";
import type { Verdict } from "../verdict.ts";
import {
  carelessly,
  judgeText,
  type Place,
  runBundle,
  type Scenario,
  type ScenarioClass,
} from "./scenario.ts";

/** More descriptors than init ever has. */
const DESCRIPTORS = Array.from({ length: 20 }, (_, index) => index + 3);
/** Leaves the host's root open over chroot. */
const CHROOT =
  `mount -t proc proc "$ROOTFS/proc"; exec 9< /; exec chroot "$ROOTFS" /bin/env OUTSIDE="$OUTSIDE"`;

/** Starts that lead through a descriptor of the runtime. */
const STARTS: readonly {
  readonly name: string;
  readonly tries: string;
  readonly script: string;
  readonly start: (place: Place, fd: number) => { command: readonly string[]; part: Part };
}[] = [
  {
    name: "cwd-by-descriptor",
    tries: "start in a directory of the host that the runtime holds open (CVE-2024-21626)",
    script: `/bin/sh -c 'cd /proc/self/fd/9 && cat ".$OUTSIDE/marker"'`,
    start: ({ outside }, fd) => ({
      command: ["/bin/cat", `${"../".repeat(20)}${outside.marker}`],
      part: { process: { cwd: `/proc/self/fd/${fd}` } },
    }),
  },
  {
    name: "cwd-by-link",
    tries: "the same, by a link in the rootfs",
    script: `/bin/sh -c 'ln -s /proc/self/fd/9 /l; cd /l && cat ".$OUTSIDE/marker"'`,
    start: ({ bundle, outside }, fd) => {
      Deno.symlinkSync(`/proc/self/fd/${fd}`, `${bundle.rootfs}/link${fd}`);
      return {
        command: ["/bin/cat", `${"../".repeat(20)}${outside.marker}`],
        part: { process: { cwd: `/link${fd}` } },
      };
    },
  },
  {
    name: "program-by-descriptor",
    tries: "start a program of the host",
    script: `/proc/self/fd/9/usr/bin/busybox echo untouched`,
    start: (_place, fd) => ({
      command: [`/proc/self/fd/${fd}/usr/bin/busybox`, "echo", "untouched"],
      part: {},
    }),
  },
  {
    name: "path-by-descriptor",
    tries: "start a program of the host by PATH",
    script: `PATH=/proc/self/fd/9/usr/bin cat "/proc/self/fd/9$OUTSIDE/marker"`,
    start: ({ outside }, fd) => ({
      command: ["cat", `/proc/self/fd/${fd}${outside.marker}`],
      part: { process: { env: [`PATH=/proc/self/fd/${fd}/usr/bin`] } },
    }),
  },
];

const starts = STARTS.map(({ name, tries, script, start }): Scenario => ({
  name,
  tries,
  control: async (place) =>
    judgeText(await carelessly(place, `${CHROOT} ${script}`), /untouched/, "not reached"),
  attack: async (place, policy) => {
    const texts = [];
    for (const fd of DESCRIPTORS) texts.push(await runBundle(place, policy, start(place, fd)));
    const said = texts.filter((text) => text !== undefined);
    return judgeText(said.length === 0 ? undefined : said.join(), /untouched/, "not reached");
  },
}));

/** The runtime's own program, reopened for writing when it does not run any more (CVE-2019-5736). */
const image: Scenario = {
  name: "image-overwritten",
  tries: "write to the program that starts sandboxes, when it has ended (CVE-2019-5736)",
  control: async ({ probe, outside }) => {
    const child = new Deno.Command(probe, {
      args: ["victim"],
      env: { CONTROL: "1", WITHOUT_KEYS: "1", NONCE: "1234567", PORT: "1", OUTSIDE: outside.path },
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    await until(child.stdout, "ready");
    return await reopen(child.pid, async () => {
      await child.stdin.close();
      await child.stdout.cancel();
      await child.status;
    });
  },
  attack: async (place, policy) => {
    place.bundle.write("true");
    const sandbox = await Sandbox.create({ bundle: place.bundle.path, policy });
    return await reopen(sandbox.pid, () => sandbox[Symbol.asyncDispose]());
  },
};

async function reopen(pid: number, end: () => Promise<void>): Promise<Verdict> {
  using program = open(`/proc/${pid}/exe`, 0);
  await end();
  try {
    using file = Deno.openSync(`/proc/self/fd/${program.raw}`, { write: true });
    file.writeSync(new Uint8Array(1)); // seals count only here
    return { state: "open", why: "written" };
  } catch (error) {
    return { state: "closed", why: (error as { code?: string }).code ?? String(error) };
  }
}

/** Files that whoever looks a user up, or runs something dynamic inside, opens: CVE-2019-14271. */
const TRAPS: readonly (readonly [name: string, file: string])[] = [
  ["trap-passwd", "etc/passwd"],
  ["trap-group", "etc/group"],
  ["trap-preload", "etc/ld.so.preload"],
  ["trap-loader-cache", "etc/ld.so.cache"],
  ["trap-libc", "lib/libc.so.6"],
  ["trap-program", "bin/dynamic"],
];

const traps = TRAPS.map(([name, file]): Scenario => ({
  name,
  tries: `have the runtime open /${file} of the rootfs (CVE-2019-14271)`,
  control: async (place) => {
    lay(place);
    return await watched(place, file, async () => {
      await carelessly(place, `chroot --userspec=root:root "$ROOTFS" /bin/dynamic`);
    });
  },
  attack: async (place, policy) => {
    lay(place);
    const part = {
      process: { user: { uid: 0, gid: 0, additionalGids: [5] }, env: ["LD_PRELOAD=/lib/libc.so.6"] },
    };
    return await watched(place, file, async () => {
      await runBundle(place, policy, { command: ["/bin/busybox", "true"], part });
    });
  },
}));

/** A rootfs with a dynamic program, the loader that it names, and all that this reads. */
function lay({ bundle }: Place): void {
  for (const [, file] of TRAPS) bundle.file(file, "");
  bundle.file("etc/passwd", "root:x:0:0::/:/bin/sh\n");
  bundle.file("etc/group", "root:x:0:\n");
  Deno.copyFileSync("/usr/bin/true", `${bundle.rootfs}/bin/dynamic`);
  Deno.chmodSync(`${bundle.rootfs}/bin/dynamic`, 0o755);
  const { stdout } = new Deno.Command("ldd", { args: ["/usr/bin/true"] }).outputSync();
  for (const [, path = ""] of new TextDecoder().decode(stdout).matchAll(/(\/\S+)/g)) {
    const kept = path.includes("libc.so") ? "/lib/libc.so.6" : path;
    Deno.mkdirSync(`${bundle.rootfs}${kept.slice(0, kept.lastIndexOf("/"))}`, { recursive: true });
    Deno.copyFileSync(path, `${bundle.rootfs}${kept}`);
    Deno.chmodSync(`${bundle.rootfs}${kept}`, 0o755);
  }
}

/** Open if a file is opened while `body` runs. */
async function watched({ bundle, probe }: Place, file: string, body: () => Promise<void>): Promise<Verdict> {
  const child = new Deno.Command(probe, {
    args: ["watch", `${bundle.rootfs}/${file}`],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  await until(child.stdout, "ready\n");
  await body();
  await child.stdin.close();
  let text = "";
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) text += part;
  await child.status;
  return text.includes("opened")
    ? { state: "open", why: "it was opened" }
    : { state: "closed", why: "not opened" };
}

/** Numbers of users that a careless conversion makes root of, or nobody. */
const USERS: readonly (readonly [name: string, what: string, user: Record<string, unknown>, call: string])[] =
  [
    [
      "uid-unsigned-max",
      "uid 4294967295, which changes nothing",
      { uid: 4294967295 },
      "os.setresuid(-1, -1, -1)",
    ],
    [
      "uid-wraps",
      "uid 4294967296, which is 0 in 32 bits",
      { uid: 4294967296 },
      "os.setuid(4294967296 & 0xffffffff)",
    ],
    ["uid-negative", "uid -1, which changes nothing", { uid: -1 }, "os.setresuid(-1, -1, -1)"],
    [
      "gid-unsigned-max",
      "gid 4294967295, which changes nothing",
      { gid: 4294967295 },
      "os.setresgid(-1, -1, -1)",
    ],
    [
      "gid-wraps",
      "gid 4294967296, which is 0 in 32 bits",
      { gid: 4294967296 },
      "os.setgid(4294967296 & 0xffffffff)",
    ],
  ];

const users = USERS.map(([name, what, user, call]): Scenario => ({
  name,
  tries: `start as ${what}, and so as root`,
  control: async (place) => {
    const script =
      `python3 -c 'import os; ${call}; print("id", os.getgid() if "gid" in "${name}" else os.getuid())'`;
    return judgeText(await carelessly(place, script), /^id 0$/m, "another user");
  },
  attack: async (place, policy) => {
    const other = { uid: 1000, gid: 1000, ...user } as { uid: number; gid: number };
    const command = `echo id $(id ${name.startsWith("gid") ? "-g" : "-u"})`;
    const text = await runBundle(place, policy, { command, part: { process: { user: other } } });
    return judgeText(text, /^id 0$/m, "another user");
  },
}));

/** What comes before the program. */
export const START_CLASSES: readonly ScenarioClass[] = [
  { title: "Descriptors and the program of the runtime", attacks: [...starts, image] },
  { title: "Traps in the rootfs", attacks: traps },
  { title: "Users of a bundle", attacks: users },
];
