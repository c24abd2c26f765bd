import { deepEqual, equal, match, notEqual } from "node:assert/strict";
import { compile } from "../../mod.ts";
import { assemble } from "../../runtime/launch/image.ts";
import { op, text } from "../../runtime/plan/op.ts";
import { cannotTrack } from "../helpers/cgroups.ts";
import { namespaces } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";
import { skip } from "../helpers/skip.ts";

/** A program that forgets the signal that would end it with its parent, says "up" and stays. */
function stubborn(): Uint8Array {
  const ops = [
    op("forget the parent", "prctl", [1, 0, 0, 0, 0]), // PR_SET_PDEATHSIG
    op("say so", "write", [1, text("up\n"), 3]),
    op("stay", "ppoll", [0, 0, 0, 0, 8]),
    op("end", "exit_group", [1], { label: "fail" }),
  ];
  const { arch } = Deno.build;
  return assemble({ arch: arch === "aarch64" ? arch : "x86_64", sections: [{ by: "end", ops }] }).elf;
}

/** Processes whose command line holds `words`. */
function running(words: string): string[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => name).filter((name) => {
    try {
      return /^\d+$/.test(name) && Deno.readTextFileSync(`/proc/${name}/cmdline`).includes(words);
    } catch {
      return false;
    }
  });
}

async function gone(words: string): Promise<boolean> {
  return await settled(words, 0) === 0;
}

/** How many there are when there are `count`, or have not become so many. */
async function settled(words: string, count: number): Promise<number> {
  for (const end = performance.now() + 30_000; performance.now() < end;) {
    if (running(words).length === count) return count;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return running(words).length;
}

for (const [what, less] of [["in a pid namespace", []], ["without a pid namespace", ["pid"]]] as const) {
  launchTest(`a compiled sandbox ${what} ends when its executable is killed`, async (bundle) => {
    const reason = less.length > 0 ? cannotTrack() : undefined;
    if (reason) return skip(reason);
    const word = `stubborn-${Deno.pid}-${less.length}`;
    bundle.write(["/stubborn", word], { linux: { namespaces: namespaces([], less) } });
    Deno.writeFileSync(`${bundle.rootfs}/stubborn`, stubborn(), { mode: 0o755 });
    const box = `${bundle.path}/box`;
    Deno.writeFileSync(box, compile({ bundle: bundle.path }), { mode: 0o700 });
    const child = new Deno.Command(box, { stdout: "piped", stdin: "null" }).spawn();
    const reader = child.stdout.getReader();
    equal(new TextDecoder().decode((await reader.read()).value), "up\n");
    equal(await settled(box, 2), 2, "the executable and its guard"); // who launched them may just be ending
    child.kill("SIGKILL");
    await child.status;
    equal(await gone(word), true, "init is gone");
    equal(await gone(box), true, "the guard is gone");
    await reader.cancel();
  });
}

for (
  const [what, args, mounts, code, said] of [
    ["a program that is missing", ["/missing"], [], 127, /^sandbox: cannot run "\/missing": ENOENT\n$/],
    [
      "a program that may not be run",
      ["/etc/text"],
      [],
      126,
      /^sandbox: cannot run "\/etc\/text": EACCES\n$/,
    ],
    [
      "a program that is a directory",
      ["/bin"],
      [],
      126,
      /^sandbox: cannot run "\/bin": EISDIR\n$/,
    ],
    [
      "a step of its own",
      ["true"],
      [{ destination: "/x", type: "nofs" }],
      125,
      /^sandbox: cannot mount nofs .*: ENODEV\n$/,
    ],
  ] as const
) {
  launchTest(`a compiled sandbox says that ${what} failed, and ends with ${code}`, async (bundle) => {
    bundle.file("etc/text", "");
    bundle.write(args, { mounts });
    const box = `${bundle.path}/box`;
    Deno.writeFileSync(box, compile({ bundle: bundle.path }), { mode: 0o700 });
    const output = await new Deno.Command(box, { stdin: "null" }).output();
    match(new TextDecoder().decode(output.stderr), said);
    equal(output.code, code);
  });
}

launchTest("a compiled sandbox ends as its program does", async (bundle) => {
  const box = `${bundle.path}/box`;
  for (
    const [script, code, said] of [["exit 7", 7, ""], ["kill -9 $$; sleep 0; exit 3", 3, ""], [
      "echo hi",
      0,
      "hi\n",
    ]] as const
  ) {
    bundle.write(script);
    Deno.writeFileSync(box, compile({ bundle: bundle.path }), { mode: 0o700 });
    const output = await new Deno.Command(box, { stdin: "null" }).output();
    equal(output.code, code, script);
    equal(new TextDecoder().decode(output.stdout), said);
  }
});

for (
  const [what, linux] of [
    ["while all else is built", {}],
    ["with init, whose parameters are the network's", { sysctl: { "net.ipv4.ip_forward": "1" } }],
  ] as const
) {
  launchTest(`a compiled sandbox sees its own network alone, made ${what}`, async (bundle) => {
    const script = "ls /sys/class/net; cat /sys/class/net/lo/flags /proc/sys/net/ipv4/ip_forward; " +
      "readlink /proc/self/ns/net";
    const mounts = [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: ["ro"] },
    ];
    bundle.write(script, { mounts, linux: { namespaces: namespaces(), ...linux } });
    const box = `${bundle.path}/box`;
    Deno.writeFileSync(box, compile({ bundle: bundle.path }), { mode: 0o700 });
    const output = await new Deno.Command(box, { stdin: "null" }).output();
    equal(new TextDecoder().decode(output.stderr), "");
    const [devices, loFlags, forwards, network] = new TextDecoder().decode(output.stdout).split("\n");
    equal(devices, "lo");
    equal(loFlags, "0x9", "it is up");
    equal(forwards, "sysctl" in linux ? "1" : "0");
    match(network!, /^net:\[\d+\]$/);
    notEqual(network, Deno.readLinkSync("/proc/self/ns/net"));
  });
}

launchTest(
  "a compiled sandbox says that there is no network namespace for it, and leaves nothing",
  async (bundle) => {
    bundle.write("echo begun", { mounts: [] });
    const box = `${bundle.path}/box`;
    Deno.writeFileSync(box, compile({ bundle: bundle.path }), { mode: 0o700 });
    const script = 'echo 0 >/proc/sys/user/max_net_namespaces; exec "$0"';
    const args = ["--user", "--map-root-user", "--mount", "sh", "-c", script, box];
    const output = await new Deno.Command("unshare", { args, stdin: "null" }).output();
    const [stdout, stderr] = [output.stdout, output.stderr].map((bytes) => new TextDecoder().decode(bytes));
    deepEqual([output.code, stdout, stderr], [
      125,
      "",
      "sandbox: cannot make the network namespace: ENOSPC\n",
    ]);
    equal(await gone(box), true);
  },
);

launchTest("a compiled sandbox runs without any streams", async (bundle) => {
  bundle.write("exit 7");
  const box = `${bundle.path}/box`;
  Deno.writeFileSync(box, compile({ bundle: bundle.path }), { mode: 0o700 });
  const args = ["-c", 'exec "$0" <&- >&- 2>&-', box];
  const { code } = await new Deno.Command("/bin/sh", { args, stdin: "null" }).output();
  equal(code, 7);
});
