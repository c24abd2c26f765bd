import { deepEqual, equal, match } from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import { skip } from "./helpers/skip.ts";
import { childrenCpuMs } from "./helpers/cpu_time.ts";

const ROOT = fromFileUrl(new URL("..", import.meta.url));
const SETUP = `${ROOT}setup`;
const NOBODY = 65534;

interface Output {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function run(
  command: string,
  args: readonly string[],
  options: Deno.CommandOptions = {},
): Promise<Output> {
  const { code, stdout, stderr } = await new Deno.Command(command, {
    args: [...args],
    stdin: "null",
    ...options,
  })
    .output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

Deno.test("setup --help lists every option", async () => {
  const { code, out } = await run(SETUP, ["--help"]);
  equal(code, 0);
  for (const option of ["--test", "--no-criu", "--dry-run", "--which", "--help"]) {
    match(out, new RegExp(option));
  }
});

Deno.test("setup refuses an unknown option before it does anything", async () => {
  const { code, out, err } = await run(SETUP, ["--tests"]);
  deepEqual({ code, out }, { code: 2, out: "" });
  match(err, /unknown option '--tests'; .*--help/);
});

for (const script of ["setup", ".ci/run"]) {
  Deno.test(`${script} satisfies shellcheck`, async () => {
    try {
      const { code, out } = await run("shellcheck", [ROOT + script]);
      equal(code, 0, out);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      skip("needs shellcheck");
    }
  });
}

/** A machine of files: a checkout, a home, and a PATH on which only what is named can be found. */
class FakeMachine implements AsyncDisposable {
  readonly dir = Deno.makeTempDirSync({ prefix: "setup-" });
  readonly home = `${this.dir}/home`;

  constructor(programs: Readonly<Record<string, string>>) {
    for (const name of ["bin", "checkout", "home"]) Deno.mkdirSync(`${this.dir}/${name}`);
    Deno.mkdirSync(`${this.dir}/global`, { mode: 0o555 });
    Deno.copyFileSync(SETUP, `${this.dir}/checkout/setup`);
    const real =
      "awk bash basename cat chmod cp dirname env grep id ln mkdir mktemp mv readlink rm sed sh sort tail uname";
    for (const name of real.split(" ")) Deno.symlinkSync(which(name), `${this.dir}/bin/${name}`);
    const ldconfig =
      'for name in libseccomp.so.2 libnftables.so.1; do echo " $name (libc6) => /lib/$name"; done';
    for (const [name, script] of Object.entries({ ldconfig, ...programs })) {
      Deno.writeTextFileSync(`${this.dir}/bin/${name}`, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    }
    if (Deno.uid() === 0) { for (const dir of [this.dir, this.home]) Deno.chownSync(dir, NOBODY, NOBODY); }
  }

  /** Runs setup there, as an ordinary user. */
  setup(...args: string[]): Promise<Output> {
    return run(`${this.dir}/checkout/setup`, args, {
      cwd: this.dir, // this checkout may lie where that user may not go
      clearEnv: true,
      env: { PATH: `${this.dir}/bin`, HOME: this.home, TMPDIR: this.dir },
      ...(Deno.uid() === 0 && { uid: NOBODY, gid: NOBODY }),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }
}

function which(name: string): string {
  for (const dir of ["/usr/bin", "/bin", "/usr/sbin", "/sbin"]) {
    try {
      if (Deno.statSync(`${dir}/${name}`).isFile) return `${dir}/${name}`;
    } catch {
      // not there
    }
  }
  throw new Error(`Cannot find ${name}`);
}

function fakeDeno(version: string): string {
  return `[ "$1" != --version ] || echo 'deno ${version} (stable, release)'`;
}

function fakeCriu(version: string): Record<string, string> {
  const libraries = ["libseccomp.so.2", "libnftables.so.1", "libcriu.so.2"].map((name) =>
    `echo ' ${name} (libc6) => /lib/${name}'`
  );
  return { criu: `[ "$1" != --version ] || echo 'Version: ${version}'`, ldconfig: libraries.join("\n") };
}

/** Says that npm installs where this user may not write. */
const NPM = `[ "$1" = prefix ] && echo "$HOME/../global"`;

for (
  const [what, programs, code, shown] of [
    [
      "chooses npm where there is no Deno",
      { npm: NPM },
      0,
      /would install Deno 2\.9\.6 from npm .*\(not found\)/,
    ],
    [
      "chooses npm where Deno is too old",
      { npm: NPM, deno: fakeDeno("2.1.10") },
      0,
      /would install .*bin\/deno is 2\.1\.10\): npm install --global .*deno@2\.9\.6/,
    ],
    [
      "chooses npm where Deno does not run",
      { npm: NPM, deno: "exit 1" },
      0,
      /would install .*deno is broken/,
    ],
    ["keeps a newer Deno", { deno: fakeDeno("2.10.0") }, 0, /deno: +2\.10\.0 at .*\/bin\/deno/],
    [
      "goes to ~/.local where npm's prefix is not writable",
      { npm: NPM },
      0,
      /--prefix \/\S*\/home\/\.local /,
    ],
    ["says what to do without npm", {}, 1, /npm is not on PATH.*; install npm/],
    ["says what to do with an npm that fails", { npm: "exit 1" }, 1, /npm prefix --global fails/],
    [
      "takes the system's CRIU if it is new enough",
      { ...fakeCriu("4.2"), deno: fakeDeno("2.9.6") },
      0,
      /criu: +4\.2 of the system works with this kernel\nNothing to do\./,
    ],
    [
      "unpacks a CRIU where the system's is too old",
      { ...fakeCriu("3.17.1"), deno: fakeDeno("2.9.6") },
      0,
      /would unpack CRIU of Debian forky to \S*\/home\/\.local\/share\/ai-sandbox\/criu/,
    ],
    [
      "says what only root can do",
      { deno: fakeDeno("2.9.6"), ldconfig: "", "apt-get": "" },
      1,
      /libseccomp: .*needs root.*sudo apt-get install --no-install-recommends libseccomp2[^]*recommends libnftables1/,
    ],
  ] as const
) {
  Deno.test(`setup --dry-run ${what}`, async () => {
    await using machine = new FakeMachine(programs);
    const output = await machine.setup("--dry-run", ..."criu" in programs ? [] : ["--no-criu"]);
    match(output.out + output.err, shown);
    equal(output.code, code);
    deepEqual([...Deno.readDirSync(machine.home)], []);
  });
}

Deno.test("setup installs Deno once and then has nothing to do", async () => {
  const npm = `echo "$1" >>"$HOME/npm.log"
    if [ "$1" = prefix ]; then echo "$HOME/../global"; exit; fi
    mkdir -p "$HOME/.local/bin"; cp "$(dirname "$0")/new" "$HOME/.local/bin/deno"`;
  await using machine = new FakeMachine({ npm, new: fakeDeno("2.9.6") });
  const first = await machine.setup("--no-criu");
  match(
    first.out,
    /add this line to ~\/\.profile: export PATH="\/.*\/home\/\.local\/bin:\$PATH"\n(.*\n)*Done\.\n$/,
    first.err,
  );
  const second = await machine.setup("--no-criu");
  match(second.out, /\nNothing to do\.\n$/, second.err);
  const calls = (await Deno.readTextFile(`${machine.home}/npm.log`)).split("\n");
  equal(calls.filter((call) => call === "install").length, 1);
  equal((await machine.setup("--which")).out, `${machine.home}/.local/bin/deno\n`);
});

Deno.test("setup says why an installation failed", async () => {
  const npm =
    `if [ "$1" = prefix ]; then echo "$HOME/../global"; else echo "npm ERR! no network" >&2; exit 1; fi`;
  await using machine = new FakeMachine({ npm });
  const { code, err } = await machine.setup("--no-criu");
  equal(code, 1);
  match(err, /npm ERR! no network\nsetup: npm could not install deno@2\.9\.6; see above\n$/);
});

Deno.test("setup changes nothing on a machine that it has set up", async () => {
  const dry = await run(SETUP, ["--dry-run"]);
  // In CI it has just run: whatever it still wants to do is its fault.
  if (!Deno.env.get("CI") && !dry.out.endsWith("Nothing to do.\n")) return skip("needs ./setup to have run");
  const before = watched();
  const start = childrenCpuMs();
  const { code, out, err } = await run(SETUP, []);
  const tookMs = childrenCpuMs() - start;
  match(out, /\nNothing to do\.\n$/, err);
  equal(code, 0);
  deepEqual(watched(), before);
  equal(tookMs < 3_000, true, `took ${tookMs} ms of CPU time`);
});

/** What setup may write to, and what it must not, as path → inode, time and size. */
function watched(): Map<string, string> {
  const home = Deno.env.get("HOME") ?? "/root";
  const found = new Map<string, string>();
  const add = (path: string): void => {
    let info;
    try {
      info = Deno.lstatSync(path);
    } catch {
      return;
    }
    found.set(path, `${info.ino} ${info.mtime?.getTime()} ${info.size}`);
    if (info.isDirectory) { for (const { name } of Deno.readDirSync(path)) add(`${path}/${name}`); }
  };
  for (const path of ["/etc/apt", "/var/lib/dpkg/status", "/var/lib/apt/lists", "/opt/ai-sandbox"]) add(path);
  for (const path of [".local/bin", ".local/share/ai-sandbox", ".profile", ".npmrc"]) add(`${home}/${path}`);
  add(Deno.execPath());
  add(`${ROOT}deno.lock`);
  return found;
}
