import { equal, match } from "node:assert/strict";
import { refuses, type Scene } from "../helpers/bad_input.ts";
import { cli } from "../helpers/cli.ts";

/** A bundle whose config.json is something else. */
function config(make: (file: string) => unknown): (scene: Scene) => Promise<string[]> {
  return async ({ bundle: { path } }) => {
    Deno.removeSync(`${path}/config.json`);
    await make(`${path}/config.json`);
    return ["run", path];
  };
}

function text(content: string): (scene: Scene) => Promise<string[]> {
  return config((file) => Deno.writeTextFileSync(file, content));
}

/** The bundle's config.json with a part replaced. */
function changed(part: Record<string, unknown>): (scene: Scene) => string[] {
  return ({ bundle: { path } }) => {
    const spec = JSON.parse(Deno.readTextFileSync(`${path}/config.json`));
    Deno.writeTextFileSync(`${path}/config.json`, JSON.stringify({ ...spec, ...part }));
    return ["run", path];
  };
}

// Bundles and their config.json

refuses({
  name: "a bundle that is not there",
  args: () => ["run", "--bundle", "/none", "box"],
  says: /"\/none\/config\.json".*no such file.*name a directory/,
});
refuses({
  name: "a directory without config.json",
  args: ({ here }) => ["run", here.path],
  says: /config\.json": .*no such file: name a directory that holds a config\.json/,
});
refuses({
  name: "a bundle below a file",
  args: ({ here }) => ["run", "--bundle", `${here.file("f", "")}/x`, "box"],
  says: /not a directory/i,
});
refuses({ name: "a config.json that is not JSON", args: text("{ nope"), says: /config\.json": .*JSON/ });
refuses({ name: "an empty config.json", args: text(""), says: /config\.json": .*JSON/ });
refuses({ name: "a config.json that is a list", args: text("[]"), says: /config\.json": .*object/ });
refuses({ name: "a config.json that is null", args: text("null"), says: /config\.json": .*object/ });
refuses({
  name: "a config.json of 5 MiB",
  args: text(" ".repeat(5 << 20)),
  says: /config\.json": .*5242880 bytes.*at most 4194304/,
});
refuses({
  name: "a config.json that is a fifo",
  args: config((file) => new Deno.Command("mkfifo", { args: [file] }).output()),
  says: /config\.json": .*not a regular file/,
});
refuses({
  name: "a config.json that is a directory",
  args: config((file) => Deno.mkdirSync(file)),
  says: /config\.json": .*not a regular file/,
});
refuses({
  name: "a config.json that is a device",
  args: config((file) => Deno.symlinkSync("/dev/zero", file)),
  says: /config\.json": .*not a regular file/,
});
refuses({
  name: "a config.json that is a dangling link",
  args: config((file) => Deno.symlinkSync("/none", file)),
  says: /config\.json": .*no such file/,
});
refuses({
  name: "a config.json that is a link to itself",
  args: config((file) => Deno.symlinkSync("config.json", file)),
  says: /config\.json"/,
});
refuses({
  name: "a config.json nested 100,000 deep",
  args: text("[".repeat(100_000)),
  says: /config\.json": .*(deep|nest)/,
});
refuses({
  name: "a config.json that is not UTF-8",
  args: config((file) => Deno.writeFileSync(file, new Uint8Array([0x7b, 0xff, 0x7d]))),
  says: /config\.json": .*UTF-8/,
});
refuses({
  name: "wrong types in config.json",
  args: changed({ process: { args: "sh", cwd: 7 } }),
  says: /\/process\/cwd: .*\/process\/args: /,
});
refuses({
  name: "hostile keys in config.json",
  args: text('{"__proto__": {"root": {"path": "/"}}, "ociVersion": "1.0.0"}'),
  says: /\/root: /,
});
refuses({ name: "a missing root", args: changed({ root: undefined }), says: /\/root: / });
refuses({ name: "a version of the future", args: changed({ ociVersion: "9.0.0" }), says: /\/ociVersion: / });
refuses({ name: "no process to run", args: changed({ process: undefined }), says: /process/ });
refuses({
  name: "a namespace twice",
  args: changed({ linux: { namespaces: [{ type: "pid" }, { type: "pid" }] } }),
  says: /\/linux\/namespaces\/1/,
});
refuses({
  name: "a namespace path that is not there",
  args: changed({
    linux: { namespaces: [{ type: "mount" }, { type: "pid" }, { type: "uts", path: "/proc/none" }] },
  }),
  says: /"\/proc\/none".*(ENOENT|no such file)/i,
});
refuses({ name: "a NUL in config.json", args: changed({ hostname: "a\0b" }), says: /\/hostname: .*NUL/ });

// Ids, flags and commands

for (const id of ["a/b", "../x", "..", ".", "", "a b", "a\nb", "ä", "x".repeat(5_000)]) {
  const name = id.length > 20 ? "an id of 5,000 characters" : `the id ${JSON.stringify(id)}`;
  refuses({
    name,
    args: ({ bundle }) => ["run", "--bundle", bundle.path, id],
    says: /Cannot use ".*" as an id: /,
  });
  if (id !== "") {
    refuses({
      name: `${name} by flag`,
      args: ({ bundle }) => ["run", "--id", id, bundle.path],
      says: /as an id: /,
    });
  }
}
for (
  const [args, says] of [
    [["run"], /name a bundle or a program; see "runtime run --help"/],
    [["frobnicate"], /"frobnicate": No help topic for 'frobnicate'; see "runtime --help"/],
    [["constructor"], /"constructor": No help topic for 'constructor'/],
    [["--frob", "run"], /"--frob": there is no such flag; see "runtime --help"/],
    [["--log-format", "xml", "run"], /"xml" for --log-format: write text or json/],
    [["--log"], /"--log": it needs a value/],
    [["run", "--frob", "x"], /"--frob": run has no such flag; see "runtime run --help"/],
    [["run", "--timeout", "x", "true"], /"x" for --timeout: write it as/],
    [["run", "--timeout=-1s", "true"], /"-1s" for --timeout/],
    [["run", "--timeout", "0", "true"], /"0" for --timeout: write it as/],
    [["run", "--timeout", "99999h", "true"], /"99999h" for --timeout/],
    [["run", "--timeout"], /"--timeout": it needs a value/],
    [["run", "--overlay", "disk", "bundles/hello"], /"disk" for --overlay: write none, tmpfs or/],
    [["run", "--overlay", "tmpfs:size=0", "bundles/hello"], /"0" for --overlay: write it as/],
    [["run", "--overlay", "none", "--", "true"], /--overlay with a program/],
    [["run", "--mount", "x", "--", "true"], /"x" for --mount: the target must be an absolute path; write/],
    [["run", "--mount", "/a:/b:ro:x", "--", "true"], /for --mount: it has too many colons; write/],
    [
      ["run", "--mount", "type=disk,source=/a,target=/b", "--", "true"],
      /for --mount: there is no type "disk"/,
    ],
    [["run", "--mount", "type=bind,target=/b", "--", "true"], /for --mount: the source is missing; write/],
    [["run", "--mount", "/none:/m", "--", "true"], /"\/none".*No such file/],
    [["run", "--mount", "type=tmpfs,target=/m,size=x", "--", "true"], /size/],
    [["run", "--mount", "type=tmpfs,target=/m,frob=1", "--", "true"], /frob/],
    [["run", "--env", "=x", "--", "true"], /"=x" for --env: the name is missing/],
    [["run", "--workdir", "relative", "--", "true"], /\/process\/cwd: .*not absolute/],
    [["run", "--workdir", "relative", "bundles/hello"], /\/process\/cwd: .*not absolute/],
    [["run", "bundles/hello", "ls"], /"ls" behind "bundles\/hello": .*only flags may follow/],
    [["run", "--bundle", "bundles/hello"], /--bundle takes exactly one id/],
    [["run", "--bundle", "bundles/hello", "a", "b"], /"a b": --bundle takes exactly one id/],
    [["run", "--pid-file", "/none/pid", "bundles/hello"], /the pid "\/none\/pid": No such file/],
    [["run", "--result", "/none/result", "--", "true"], /the result "\/none\/result": No such file/],
    [["plan"], /see "runtime plan --help"/],
    [["plan", "/none"], /"\/none\/config\.json".*no such file/],
    [["plan", "--format", "xml", "bundles/hello"], /"xml" for --format: write text or json/],
    [["plan", "a", "b", "c"], /name one bundle or two/],
    [["compile", "bundles/hello"], /name the executable with -o FILE/],
    [["compile", "-o", "/none/box", "bundles/hello"], /write "\/none\/box": No such file/],
    [["compile", "-o", "/tmp", "/none"], /"\/none\/config\.json".*no such file/],
    [["compile", "-o", "x"], /name one bundle/],
    [["spec", "word"], /"word": spec takes no words, see --bundle/],
    [["spec", "--bundle", "/none"], /write "\/none\/config\.json": No such file/],
  ] as const
) refuses({ name: args.join(" "), args: () => args, says });

Deno.test("the command line refuses a log that it cannot write, and says the error too", async () => {
  const said = await cli(["--log", "/none/log", "run", "--bundle", "/none", "box"]);
  const lines = said.stderr.trimEnd().split("\n");
  if (said.code !== 1 || lines.length !== 2 || !/write the log "\/none\/log"/.test(lines[1]!)) {
    throw new Error(said.stderr);
  }
});

Deno.test("run with the id first says that the bundle is missing, not the program", async () => {
  const { code, stderr } = await cli(["run", "box1", "--bundle", "/missing"]);
  equal(code, 1);
  match(stderr, /^runtime: Cannot use "\/missing\/config\.json": [^\n]*no such file[^\n]*\n$/);
});
