import { deepEqual, equal, match, ok } from "node:assert/strict";
import { leavesNothing } from "../helpers/census.ts";
import { cli, finish, start, Temporary, until } from "../helpers/cli.ts";

const TEXT = new TextDecoder();

/**
 * Starts a program that says "ready", sends `signal` to the command line, and returns how that ends.
 *
 * @param becomes What the program is by then: a shell that is just about to become another one may note a signal and
 * forget it.
 */
async function signalled(
  signal: Deno.Signal,
  command: readonly string[],
  becomes?: string,
): Promise<{ code: number; stdout: string; stderr: string; ms: number }> {
  const child = start(["run", "--", ...command]);
  const said = await until(child.stdout, "ready\n");
  for (const end = Date.now() + 30_000; becomes !== undefined && Date.now() < end;) {
    if (below(child.pid).includes(becomes)) break;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  child.kill(signal);
  const { code, stdout, stderr, ms } = await finish(child);
  return { code, stdout: said + TEXT.decode(stdout), stderr: TEXT.decode(stderr), ms };
}

/** The names of the processes that one has begun, and of those that they have. */
function below(pid: number): string[] {
  try {
    const children = [...Deno.readDirSync(`/proc/${pid}/task`)].flatMap(({ name }) => {
      return Deno.readTextFileSync(`/proc/${pid}/task/${name}/children`).trim().split(" ");
    });
    return children.filter((each) => each !== "").flatMap((each) => {
      return [Deno.readTextFileSync(`/proc/${each}/comm`).trim(), ...below(Number(each))];
    });
  } catch {
    return []; // one of them has ended
  }
}

const SLEEP = ["sh", "-c", "echo ready; exec sleep 60"];

for (
  const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
    ["SIGQUIT", 131],
    ["SIGUSR1", 138],
  ] as const
) {
  Deno.test(`run passes ${signal} on, which ends a sleep that is pid 1`, async () => {
    const said = await leavesNothing([], () => signalled(signal, SLEEP, "sleep"));
    deepEqual([said.code, said.stderr], [code, ""]);
    ok(said.ms < 20_000);
  });
}

Deno.test("run leaves it to a program with handlers what a signal does", async () => {
  const script = `
import os, signal, time
def handler(number, frame):
    os.write(1, b"caught %d\\n" % number) # print() is not for handlers
    if number == signal.SIGTERM: os._exit(42)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2): signal.signal(number, handler)
print("ready", flush=True)
while True: time.sleep(1)
`;
  const child = start(["run", "--", "python3", "-c", script]);
  await until(child.stdout, "ready\n");
  for (const [signal, number] of [["SIGINT", 2], ["SIGUSR2", 12], ["SIGINT", 2], ["SIGTERM", 15]] as const) {
    child.kill(signal);
    equal(await until(child.stdout, "\n"), `caught ${number}\n`);
  }
  equal((await finish(child)).code, 42);
});

Deno.test("run ends a shell that is busy starting children, which blocks signals for moments", async () => {
  for (let run = 0; run < 8; run++) {
    const said = await signalled("SIGTERM", ["sh", "-c", "echo ready; while :; do /usr/bin/true; done"]);
    equal(said.code, 143);
    ok(said.ms < 20_000);
  }
});

Deno.test("run ends a program that blocks a signal for a while and then does not handle it", async () => {
  const script = `
import os, signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
os.write(1, b"ready\\n")
while signal.SIGTERM not in signal.sigpending(): time.sleep(0.01)
time.sleep(0.5)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
time.sleep(60)`;
  const said = await signalled("SIGTERM", ["python3", "-c", script]);
  deepEqual([said.code, said.stderr], [143, ""]);
  ok(said.ms < 30_000);
});

for (const wait of ["signal.sigwait(mine)", "signal.sigtimedwait(mine, 30).si_signo"]) {
  Deno.test(`run passes signals on to a program that fetches them with ${wait.split("(")[0]}`, async () => {
    const script = `
import os, signal, time
mine = {signal.SIGTERM, signal.SIGINT}
signal.pthread_sigmask(signal.SIG_BLOCK, mine)
os.write(1, b"ready\\n")
for _ in range(3):
    os.write(1, b"got %d\\n" % ${wait})
    time.sleep(0.1)
os._exit(9)`;
    const child = start(["run", "--", "python3", "-c", script]);
    await until(child.stdout, "ready\n");
    for (const [signal, number] of [["SIGINT", 2], ["SIGTERM", 15], ["SIGTERM", 15]] as const) {
      child.kill(signal);
      equal(await until(child.stdout, "\n"), `got ${number}\n`);
    }
    equal((await finish(child)).code, 9);
  });
}

Deno.test("run lets a program ignore a signal", async () => {
  const script = "trap '' TERM INT; echo ready; read line; exit 5";
  const child = start(["run", "--", "sh", "-c", script]);
  await until(child.stdout, "ready\n");
  for (const signal of ["SIGTERM", "SIGINT", "SIGTERM"] as const) child.kill(signal);
  await new Promise((resolve) => setTimeout(resolve, 200));
  equal((await finish(child, "go on\n")).code, 5);
});

Deno.test("a caller that ignores signals leaves none ignored to the program, and hears of its end", async () => {
  const script = "grep SigIgn /proc/self/status; exit 5";
  const wrapper = ["/usr/bin/env", "--ignore-signal"];
  const { code, stdout, stderr } = await cli(["run", "--", "sh", "-c", script], { wrapper });
  deepEqual([code, stdout, stderr], [5, "SigIgn:\t0000000000000000\n", ""]);
});

Deno.test("run ends with 137 when its program is killed from outside", async () => {
  using here = new Temporary();
  const file = `${here.path}/pid`;
  await leavesNothing([], async () => {
    const child = start(["run", "--pid-file", file, "--", "sh", "-c", "echo ready; exec sleep 60"]);
    await until(child.stdout, "ready\n");
    while (!await Deno.stat(file).catch(() => undefined)) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    Deno.kill(Number(Deno.readTextFileSync(file)), "SIGKILL");
    equal((await finish(child)).code, 137);
  });
});

/** What tries hardest to outlive its supervisor: no parent death signal, every signal ignored, a session of its own. */
const STUBBORN = `
import ctypes, os, signal, time
ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
        while True: time.sleep(60)
print("ready", flush=True)
while True: time.sleep(60)
`;

Deno.test("SIGKILL of run leaves nothing of a program that does everything to stay", async () => {
  const said = await leavesNothing([], () => signalled("SIGKILL", ["python3", "-c", STUBBORN]));
  equal(said.code, 137);
});

Deno.test("SIGKILL of run leaves nothing of a program with a terminal", async () => {
  await leavesNothing([], async () => {
    const child = start(["run", "-t", "--", "python3", "-c", STUBBORN]);
    await until(child.stdout, "ready\n");
    child.kill("SIGKILL");
    await finish(child);
  });
});

Deno.test("SIGKILL of run at any moment of its start leaves nothing", async () => {
  await leavesNothing([], async () => {
    for (let delay = 10; delay < 100; delay += 6) {
      const child = start(["run", "--", "python3", "-c", STUBBORN]);
      await new Promise((resolve) => setTimeout(resolve, delay));
      child.kill("SIGKILL");
      await finish(child);
    }
  });
});

Deno.test("SIGTERM to run at any moment of its start ends it and leaves nothing", async () => {
  await leavesNothing([], async () => {
    for (let delay = 10; delay < 100; delay += 10) {
      const child = start(["run", "--", "sleep", "60"]);
      await new Promise((resolve) => setTimeout(resolve, delay));
      child.kill("SIGTERM");
      const { code, ms } = await finish(child);
      equal(code, 143);
      ok(ms < 20_000, `it took ${ms} ms after ${delay} ms`);
    }
  });
});

Deno.test("run ends everything that the program has left running", async () => {
  const said = await leavesNothing([], async () => {
    const child = start([
      "run",
      "--",
      "sh",
      "-c",
      "(setsid sleep 60 </dev/null >/dev/null 2>&1 &) ; echo done",
    ]);
    return await finish(child);
  });
  match(TEXT.decode(said.stdout), /^done\n$/);
  deepEqual([said.code, said.ms < 20_000], [0, true]);
});

Deno.test("run --timeout ends a program that does everything to stay", async () => {
  await leavesNothing([], async () => {
    const { code } = await finish(start(["run", "--timeout", "700ms", "--", "python3", "-c", STUBBORN]));
    equal(code, 124);
  });
});
