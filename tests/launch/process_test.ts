import { deepEqual, equal, match, ok } from "node:assert/strict";
import { libc } from "../../ffi/libc.ts";
import { cannotTrack } from "../helpers/cgroups.ts";
import { MOUNTS, namespaces, USER_NAMESPACE } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";
import { skip } from "../helpers/skip.ts";

launchTest("launch() hands over arguments and environment byte for byte", async (bundle) => {
  const args = [
    "/bin/sh",
    "-c",
    'printf "<%s>" "$@"; env',
    "sh",
    "",
    "a b",
    "grüße",
    "-n",
    "'\"$x\\",
    "new\nline",
  ];
  const env = ["PATH=/bin", "EMPTY=", "A=b=c", "U=ü", "SPACE= x "];
  const text = await bundle.output(args, { process: { env } });
  ok(text.startsWith("<><a b><grüße><-n><'\"$x\\><new\nline>"), text);
  for (const entry of env) ok(text.includes(entry), entry);
  ok(!text.includes("AI_SANDBOX"));
});

launchTest("launch() runs a program with no environment at all", async (bundle) => {
  equal((await bundle.run(["/bin/env"], { process: { env: [] } })).stdout, "");
});

launchTest("launch() searches PATH of the spec for a program without a slash", async (bundle) => {
  const script = (name: string): string => `#!/bin/sh\necho ${name} $0\n`;
  bundle.file("one/tool", script("one"), 0o644);
  bundle.file("two/tool", script("two"), 0o755);
  bundle.file("three/tool", script("three"), 0o755);
  bundle.directory("dirs/tool");
  bundle.file("usr/local/bin/usual", script("usual"), 0o755);
  const run = async (name: string, path?: string): Promise<string> => {
    return (await bundle.output([name], { process: { env: path === undefined ? [] : [`PATH=${path}`] } }));
  };
  equal(await run("tool", "/one:/two:/three"), "two /two/tool");
  equal(await run("tool", "/none:/dirs:/three/:/two"), "three /three/tool");
  equal(await run("usual"), "usual /usr/local/bin/usual");
});

launchTest("launch() searches the working directory where PATH has an empty entry", async (bundle) => {
  bundle.file("work/tool", "#!/bin/sh\necho here", 0o755);
  equal(await bundle.output(["tool"], { process: { cwd: "/work", env: ["PATH=:/bin"] } }), "here");
  equal(await bundle.output(["./tool"], { process: { cwd: "/work" } }), "here");
});

launchTest("launch() looks for the program as the user who runs it", async (bundle) => {
  bundle.file("one/tool", "#!/bin/sh\necho one", 0o700);
  bundle.file("two/tool", "#!/bin/sh\necho two", 0o755);
  const env = ["PATH=/one:/two"];
  equal(await bundle.output(["tool"], { process: { env } }), "one");
  equal(
    await bundle.output(["tool"], { process: { env, user: { uid: 9, gid: 9 }, capabilities: {} } }),
    "two",
  );
});

launchTest("launch() names a program that is missing, before the start gate", async (bundle) => {
  const none = await bundle.failure(["nothing"], { process: { env: ["PATH=/bin:/none"] } });
  match(
    none.message,
    /^Cannot find "nothing" in PATH \(\/bin:\/none\) \(step \d+ of \d+, faccessat2\): ENOENT; no such file or directory/,
  );
  ok(none.op.does.startsWith("find "));
  const path = await bundle.failure(["/bin/nothing"]);
  match(path.message, /^Cannot run "\/bin\/nothing" .*, faccessat2\): ENOENT/);
  ok(path.op.does.startsWith("run "));
});

launchTest("launch() names a program that is not executable, a directory or no program", async (bundle) => {
  bundle.file("bin/plain", "text", 0o644);
  bundle.file("bin/garbage", "\x7fnonsense", 0o755);
  bundle.file("bin/interpreted", "#!/none/such\n", 0o755);
  bundle.directory("bin/folder");
  match(
    (await bundle.failure(["/bin/plain"])).message,
    /^Cannot run "\/bin\/plain" .*, faccessat2\): EACCES; permission denied: make it executable/,
  );
  match(
    (await bundle.failure(["/bin/folder"])).message,
    /^Cannot run "\/bin\/folder" .*, openat\): EISDIR; is a directory: name a program/,
  );
  match((await bundle.failure(["folder"])).message, /^Cannot find "folder" in PATH .*ENOENT/);
  match(
    (await bundle.failure(["/bin/garbage"])).message,
    /^Cannot run "\/bin\/garbage" .*, execve\): ENOEXEC; not a program/,
  );
  match((await bundle.failure(["/bin/interpreted"])).message, /, execve\): ENOENT; .*the interpreter/);
});

launchTest("launch() refuses to run from a mount without exec", async (bundle) => {
  Deno.mkdirSync(`${bundle.path}/tools`);
  Deno.writeTextFileSync(`${bundle.path}/tools/tool`, "#!/bin/sh\n", { mode: 0o755 });
  const mounts = [...MOUNTS, { destination: "/tools", source: "tools", options: ["bind", "noexec"] }];
  match((await bundle.failure(["/tools/tool"], { mounts })).message, /EACCES; .*noexec/);
});

launchTest("launch() makes a missing working directory and starts in it", async (bundle) => {
  equal(
    await bundle.output("pwd; stat -c '%a %u' . ..", { process: { cwd: "/a/b/c" } }),
    "/a/b/c\n755 0\n755 0",
  );
  equal(await bundle.output("pwd", { process: { cwd: "/x" } }, { overlay: { kind: "tmpfs" } }), "/x");
  const part = { process: { cwd: "/dev/shm/w" }, root: { readonly: true } };
  equal(await bundle.output("pwd", part), "/dev/shm/w");
  const error = await bundle.failure("true", { process: { cwd: "/etc/new" }, root: { readonly: true } })
    .catch(String);
  ok(typeof error === "string", "the working directory is made before the root becomes read-only");
});

launchTest(
  "launch() refuses a working directory that is a file, and enters one that only root may enter, as runc does",
  async (bundle) => {
    bundle.file("etc/file", "");
    Deno.mkdirSync(`${bundle.rootfs}/closed`, { mode: 0o700 });
    Deno.chmodSync(`${bundle.rootfs}/closed`, 0o700);
    match(
      (await bundle.failure("true", { process: { cwd: "/etc/file" } })).message,
      /"\/etc\/file" .*ENOTDIR/,
    );
    const process = { cwd: "/closed", user: { uid: 9, gid: 9 }, capabilities: {} };
    equal(await bundle.output("pwd", { process }), "/closed");
  },
);

launchTest("launch() gives the program its three descriptors and no other", async (bundle) => {
  const script = "ls /proc/self/fd";
  // ls has the directory open as 3 itself.
  equal(await bundle.output(["/bin/ls", "/proc/self/fd"]), "0\n1\n2\n3");
  equal(await bundle.output(script, { linux: USER_NAMESPACE }), "0\n1\n2\n3");
});

launchTest("launch() leaves no signal ignored or blocked, and a session of its own", async (bundle) => {
  const text = await bundle.output(["/bin/grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]);
  equal(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000");
  equal(await bundle.output("cut -d' ' -f5,6 /proc/1/stat"), "1 1");
});

launchTest("launch() reports exit codes and what the program took", async (bundle) => {
  for (const code of [0, 1, 77, 255]) equal((await bundle.run(`exit ${code}`)).code, code);
  const { userMs, systemMs, peakMemoryBytes } = await bundle.run(
    "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done",
  );
  ok(userMs + systemMs > 0 && peakMemoryBytes > 100_000);
});

launchTest("launch() reports the signal that has ended the program", async (bundle) => {
  const reason = cannotTrack(); // process 1 of a pid namespace cannot send itself a signal
  if (reason) return skip(reason);
  const linux = { namespaces: namespaces([], ["pid"]) };
  equal((await bundle.run("kill -TERM $$; sleep 9", { linux })).signal, 15);
});

launchTest("launch() kills everything in the sandbox with init", async (bundle) => {
  let pids: number[] = [];
  await bundle.run("sleep 60 & sleep 60 & wait", {}, {
    during: async (child) => {
      for (const end = performance.now() + 30_000; pids.length < 2 && performance.now() < end;) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        const text = Deno.readTextFileSync(`/proc/${child.pid}/task/${child.pid}/children`).trim();
        pids = text.split(" ").filter((word) => word !== "").map(Number);
      }
      child.signal(9);
    },
  });
  equal(pids.length, 2);
  for (const pid of pids) deepEqual(Deno.statSync("/proc").isDirectory && exists(`/proc/${pid}/exe`), false);
});

function exists(path: string): boolean {
  try {
    return Deno.readLinkSync(path) !== "";
  } catch {
    return false;
  }
}

for (const linux of [{ namespaces: namespaces() }, USER_NAMESPACE]) {
  launchTest(
    `launch() opens a terminal${linux === USER_NAMESPACE ? " in a user namespace" : ""}`,
    async (bundle) => {
      const process = { terminal: true, consoleSize: { height: 33, width: 111 }, user: { uid: 5, gid: 5 } };
      let text = "";
      await bundle.run(
        "tty; test -t 0 && test -t 1 && test -t 2 && echo all; stat -c '%F %u' /dev/console /dev/pts/0; echo > /dev/tty && echo controls; sleep 60",
        { process, linux },
        {
          during: (child) => {
            const bytes = new Uint8Array(4096);
            // What a terminal holds when its last program ends is lost: the program stays until all is read.
            for (let length = 1; length > 0 && !/controls\r?\n/.test(text);) {
              length = Number(libc.read(child.terminal!.raw, bytes, 4096n));
              text += new TextDecoder().decode(bytes.subarray(0, Math.max(0, length)));
            }
            child.signal(9);
          },
        },
      );
      equal(
        text.replaceAll("\r", ""),
        "/dev/pts/0\nall\ncharacter special file 5\ncharacter special file 5\n\ncontrols\n",
      );
    },
  );
}
