import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { SpecError } from "../../../../runtime/errors.ts";
import { decodeSpec, MAX_CONFIG_BYTES, MAX_CONFIG_DEPTH } from "../../../../runtime/spec/decode.ts";
import { everything, toJson } from "./_samples.ts";
import { ownCpuMs } from "../../../helpers/cpu_time.ts";

const MINIMAL = '"ociVersion":"1.3.0","root":{"path":"rootfs"}';

/** The pointers and messages with which `text` is refused. */
function problems(text: string | Uint8Array): string[] {
  let found: string[] = [];
  throws(() => decodeSpec(text, "config.json"), (error) => {
    ok(error instanceof SpecError, String(error));
    found = error.issues.map(({ pointer, message }) => `${pointer}: ${message}`);
    return true;
  });
  return found;
}

function withMinimal(more: string): string {
  return `{${MINIMAL},${more}}`;
}

Deno.test("decodeSpec() keeps every property of the specification", () => {
  // By text: the maps of a decoded spec have no prototype.
  deepEqual(JSON.parse(toJson(decodeSpec(toJson(everything()), "x"))), JSON.parse(toJson(everything())));
});

Deno.test("decodeSpec() reads bytes and strings alike", () => {
  const text = withMinimal('"hostname":"bücher"');
  deepEqual(decodeSpec(text, "x"), decodeSpec(new TextEncoder().encode(text), "x"));
});

Deno.test("decodeSpec() leaves unknown properties out", () => {
  const spec = decodeSpec(
    withMinimal('"future":{"deep":[1]},"process":{"cwd":"/","args":["a"],"extra":1}'),
    "x",
  );
  deepEqual(spec, { ociVersion: "1.3.0", root: { path: "rootfs" }, process: { cwd: "/", args: ["a"] } });
});

Deno.test("decodeSpec() takes properties in capitals or not, as runc does", () => {
  const masked =
    '"LINUX":{"maskedpaths":["/proc/kcore"],"reſources":{"hugepageLimits":[{"pagesize":"2MB","limit":0}]}}';
  deepEqual(decodeSpec(withMinimal(masked), "x").linux, {
    maskedPaths: ["/proc/kcore"],
    resources: { hugepageLimits: [{ pageSize: "2MB", limit: 0 }] },
  });
  deepEqual(problems(withMinimal('"linux":{"Seccomp":{}}')), [
    '/linux/seccomp/defaultAction: Cannot leave "defaultAction" out: it is required',
  ]);
});

Deno.test("decodeSpec() takes the last of properties that differ in capitals, and all that objects have", () => {
  const cpu = (text: string): unknown =>
    decodeSpec(withMinimal(`"linux":{"resources":{${text}}}`), "x").linux!.resources!.cpu;
  deepEqual(cpu('"cpu":{"shares":1,"quota":2},"CPU":{"shares":3,"cpus":"0"}'), {
    shares: 3,
    quota: 2,
    cpus: "0",
  });
  deepEqual(cpu('"CPU":{"shares":3},"cpu":{"SHARES":1}'), { shares: 1 });
  deepEqual(cpu('"cpu":{"Shares":1,"shares":2},"CPU":{"Shares":3}'), { shares: 3 });
  deepEqual(cpu('"CPU":{"Shares":1,"__proto__":{"quota":1}},"cpu":{"__proto__":{"quota":1}}'), { shares: 1 });
  const spec = decodeSpec(withMinimal('"Root":{"Path":"/other"}'), "x");
  deepEqual(spec.root, { path: "/other" });
});

Deno.test("decodeSpec() keeps integers beyond 2^53 exact", () => {
  const rlimit = '{"type":"RLIMIT_CORE","soft":9007199254740993,"hard":18446744073709551615}';
  const spec = decodeSpec(withMinimal(`"process":{"cwd":"/","args":["a"],"rlimits":[${rlimit}]}`), "x");
  deepEqual(spec.process?.rlimits, [
    { type: "RLIMIT_CORE", soft: 9007199254740993n, hard: 18446744073709551615n },
  ]);
});

Deno.test("decodeSpec() makes 0 of -0", () => {
  const spec = decodeSpec(withMinimal('"process":{"cwd":"/","args":["a"],"oomScoreAdj":-0}'), "x");
  ok(Object.is(spec.process?.oomScoreAdj, 0));
});

Deno.test("decodeSpec() takes __proto__ as a key like any other", () => {
  const text = withMinimal('"__proto__":{"hostname":"evil"},"annotations":{"__proto__":"a","b":"c"}');
  const spec = decodeSpec(text, "x");
  equal(spec.hostname, undefined);
  equal(Object.getPrototypeOf(spec), Object.prototype);
  deepEqual(Object.entries(spec.annotations!), [["__proto__", "a"], ["b", "c"]]);
  equal(spec.annotations!["constructor"], undefined);
});

for (
  const [what, text, wanted] of [
    ["an array for an object", "[]", [": Cannot use an array: an object is needed"]],
    ["a missing version and root", "{}", [
      '/ociVersion: Cannot leave "ociVersion" out: it is required',
      '/root: Cannot leave "root" out: it is required',
    ]],
    ["null", withMinimal('"hostname":null'), ["/hostname: Cannot use null: a string is needed"]],
    ["a number for a string", withMinimal('"hostname":5'), ["/hostname: Cannot use 5: a string is needed"]],
    ["an object for an array", withMinimal('"mounts":{}'), [
      "/mounts: Cannot use an object: an array is needed",
    ]],
    ["a string for a flag", `{"ociVersion":"1.3.0","root":{"path":"r","readonly":"yes"}}`, [
      '/root/readonly: Cannot use "yes": true or false is needed',
    ]],
    ["an unknown word", withMinimal('"linux":{"personality":{"domain":"BSD"}}'), [
      '/linux/personality/domain: Cannot use "BSD": one of LINUX, LINUX32 is needed',
    ]],
    ["an unknown clock", withMinimal('"linux":{"timeOffsets":{"realtime":{"secs":1}}}'), [
      '/linux/timeOffsets: Cannot use the key "realtime": one of monotonic, boottime is needed',
    ]],
    ["a NUL", withMinimal('"hostname":"a\\u0000b"'), [
      '/hostname: Cannot use "a\\u0000b": it contains a NUL',
    ]],
    ["a NUL in a key", withMinimal('"annotations":{"a\\u0000":"b"}'), [
      '/annotations: Cannot use the key "a\\u0000": it contains a NUL',
    ]],
    ["half a surrogate pair", withMinimal('"hostname":"\\ud800"'), [
      '/hostname: Cannot use "\\ud800": it contains half a surrogate pair, which UTF-8 cannot carry',
    ]],
    ["a key that needs escapes in a pointer", withMinimal('"annotations":{"a/b~c":1}'), [
      "/annotations/a~1b~0c: Cannot use 1: a string is needed",
    ]],
    [
      "no system call",
      withMinimal(
        '"linux":{"seccomp":{"defaultAction":"SCMP_ACT_LOG","syscalls":[{"names":[],"action":"SCMP_ACT_LOG"}]}}',
      ),
      [
        "/linux/seccomp/syscalls/0/names: Cannot use an empty list: at least one name is needed",
      ],
    ],
    [
      "a page size in lower case",
      withMinimal('"linux":{"resources":{"hugepageLimits":[{"pageSize":"64kB","limit":1}]}}'),
      [
        '/linux/resources/hugepageLimits/0/pageSize: Cannot use "64kB": a size such as "2MB" is needed',
      ],
    ],
    [
      "control characters, shown harmlessly",
      withMinimal('"hostname":"x","domainname":5,"mounts":[{"destination":"\\u009b2J\\u202e\\u0000"}]'),
      [
        '/mounts/0/destination: Cannot use "\\u{9b}2J\\u{202e}\\u0000": it contains a NUL',
        "/domainname: Cannot use 5: a string is needed",
      ],
    ],
  ] as const
) {
  Deno.test(`decodeSpec() refuses ${what}`, () => deepEqual(problems(text), wanted));
}

for (
  const [field, text] of [
    ["uint16 above", '"linux":{"resources":{"blockIO":{"weight":65536}}}'],
    ["uint32 below", '"linux":{"resources":{"network":{"classID":-1}}}'],
    ["uint32 above", '"process":{"cwd":"/","args":["a"],"user":{"uid":4294967296,"gid":0}}'],
    ["int32 above", '"process":{"cwd":"/","args":["a"],"oomScoreAdj":2147483648}'],
    ["int64 above", '"linux":{"resources":{"pids":{"limit":9223372036854775808}}}'],
    ["int64 below", '"linux":{"resources":{"pids":{"limit":-9223372036854775809}}}'],
    ["int64 far above", `"linux":{"resources":{"pids":{"limit":${"9".repeat(1000)}}}}`],
    ["int64 with an exponent", '"linux":{"resources":{"pids":{"limit":1e18}}}'],
    ["int64 infinite", '"linux":{"resources":{"pids":{"limit":1e999}}}'],
    ["uint64 below", '"linux":{"resources":{"cpu":{"shares":-1}}}'],
    ["uint64 above", '"linux":{"resources":{"cpu":{"shares":18446744073709551616}}}'],
    ["a fraction", '"process":{"cwd":"/","args":["a"],"oomScoreAdj":0.5}'],
    ["file mode above 0177777", '"linux":{"devices":[{"type":"p","path":"/a","fileMode":65536}]}'],
    ["a timeout of 0", '"hooks":{"poststop":[{"path":"/a","timeout":0}]}'],
  ] as const
) {
  Deno.test(`decodeSpec() refuses an integer out of range: ${field}`, () => {
    const found = problems(withMinimal(text));
    equal(found.length, 1);
    ok(/: an integer from -?\d+ to \d+ is needed$/.test(found[0]!), found[0]!);
  });
}

Deno.test("decodeSpec() takes as much as is allowed", () => {
  const mounts = `"mounts":[${Array(4096).fill('{"destination":"/a"}').join()}]`;
  const annotations = `"annotations":{${Array.from({ length: 4096 }, (_, at) => `"${at}":""`).join()}}`;
  const process =
    '"process":{"cwd":"/","args":["a"],"user":{"uid":4294967295,"gid":0},"oomScoreAdj":-2147483648}';
  const spec = decodeSpec(
    withMinimal(`${mounts},${annotations},${process},"hostname":"${"a".repeat(255)}"`),
    "x",
  );
  equal(spec.mounts?.length, 4096);
});

Deno.test("decodeSpec() refuses what is not UTF-8, and a byte order mark", () => {
  deepEqual(problems(Uint8Array.of(0x7b, 0xff, 0x7d)), [": Cannot read the text: it is not UTF-8"]);
  ok(
    problems(new TextEncoder().encode(`\uFEFF{${MINIMAL}}`))[0]!.startsWith(
      ": Cannot read the text as JSON: ",
    ),
  );
});

Deno.test("decodeSpec() takes nesting up to the limit and no deeper", () => {
  const nested = (depth: number): string =>
    withMinimal(`"x":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}`);
  decodeSpec(nested(MAX_CONFIG_DEPTH), "x");
  deepEqual(problems(nested(MAX_CONFIG_DEPTH + 1)), [
    ": Cannot read the text: it nests deeper than 64 levels",
  ]);
});

Deno.test("decodeSpec() counts no brackets inside strings", () => {
  const value = JSON.stringify(`${"[".repeat(100)}\\"${"{".repeat(100)}\\`);
  decodeSpec(withMinimal(`"annotations":{"a":${value},"b":${value}}`), "x");
});

Deno.test("decodeSpec() tells every problem at once, at most fifty", () => {
  deepEqual(problems('{"ociVersion":1,"root":2,"hostname":3}').length, 3);
  equal(problems(withMinimal(`"mounts":[${Array(1000).fill("{}").join()}]`)).length, 50);
});

/** Runs `run` and says how much CPU time it took. */
function timed(run: () => void): number {
  const start = ownCpuMs();
  run();
  return ownCpuMs() - start;
}

/** A property's name with capitals by the bits of `at`. */
function spelt(at: number): string {
  const letters = Array.from("rootfspropagation");
  return letters.map((each, bit) => at & (1 << bit) ? each.toUpperCase() : each).join("");
}

for (
  const [what, text, wanted] of [
    [
      "a million mounts",
      withMinimal(`"mounts":[${"{},".repeat(999_999)}{}]`),
      ": Cannot read the text: it holds more than 262144 values",
    ],
    [
      "100,000 mounts",
      withMinimal(`"mounts":[${"{},".repeat(99_999)}{}]`),
      "/mounts: Cannot take 100000 items: at most 4096 are allowed",
    ],
    [
      "a million whole mounts",
      withMinimal(`"mounts":[${'{"destination":"/a"},'.repeat(1_000_000)}{}]`),
      ": Cannot read 21000061 bytes: at most 4194304 are allowed",
    ],
    [
      "a capability name of 70 KB",
      withMinimal(
        `"process":{"cwd":"/","args":["a"],"capabilities":{"bounding":["CAP_${"A".repeat(70_000)}"]}}`,
      ),
      `/process/capabilities/bounding/0: Cannot use "CAP_${
        "A".repeat(60)
      }"…: it is 70004 characters long and may be 64`,
    ],
    [
      "arrays 100,000 deep",
      withMinimal(`"mounts":${"[".repeat(100_000)}${"]".repeat(100_000)}`),
      ": Cannot read the text: it nests deeper than 64 levels",
    ],
    [
      "objects 100,000 deep",
      `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`,
      ": Cannot read the text: it nests deeper than 64 levels",
    ],
    [
      "four million open brackets",
      "[".repeat(4_000_000),
      ": Cannot read the text: it nests deeper than 64 levels",
    ],
    [
      "a file of 5 MiB",
      withMinimal(`"hostname":"${"a".repeat(5 << 20)}"`),
      ": Cannot read 5242941 bytes: at most 4194304 are allowed",
    ],
    [
      "a file of spaces",
      " ".repeat(MAX_CONFIG_BYTES),
      ": Cannot read the text as JSON: Unexpected end of JSON input",
    ],
    [
      "a string of quotes that never ends",
      `"${'\\"'.repeat(2_000_000)}`,
      ": Cannot read the text as JSON: Unterminated string in JSON at position 4000001 (line 1 column 4000002)",
    ],
    [
      "many big integers",
      withMinimal(`"hostname":1,"x":[${"1234567890123456789,".repeat(200_000)}1]`),
      "/hostname: Cannot use 1: a string is needed",
    ],
    [
      "100,000 annotations",
      withMinimal(`"annotations":{${Array.from({ length: 100_000 }, (_, at) => `"${at}":""`).join()}}`),
      "/annotations: Cannot take 100000 entries: at most 4096 are allowed",
    ],
    [
      "20,000 spellings of one property",
      withMinimal(
        `"linux":{${Array.from({ length: 20_000 }, (_, at) => `"${spelt(at)}":{"${at}":{}}`).join()}}`,
      ),
      "/linux/rootfsPropagation: Cannot use an object: one of shared, slave, private, unbindable, rshared, rslave, rprivate, runbindable is needed",
    ],
  ] as const
) {
  Deno.test(`decodeSpec() refuses ${what} within a second`, () => {
    let found: string[] = [];
    const took = timed(() => found = problems(text));
    deepEqual(found, [wanted]);
    ok(took < 1000, `${took} ms`);
  });
}
