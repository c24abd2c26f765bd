import { deepEqual, equal, match, ok } from "node:assert/strict";
import { leavesNothing } from "../helpers/census.ts";
import { cli, finish, ROOT, RUNTIME, start, until } from "../helpers/cli.ts";

type Step = ["expect" | "send", string] | ["resize", number, number] | ["mode"] | ["signal", number];

interface Session {
  readonly seen: string;
  readonly code: number | null;
  /** How the terminal was at each "mode", and at the end. */
  readonly modes: readonly ("raw" | "cooked")[];
  readonly missing?: string;
}

/** Plays a person at a terminal on which `args` of the command line run. */
async function session(
  args: readonly string[],
  steps: readonly Step[],
  size?: readonly number[],
): Promise<Session> {
  const job = JSON.stringify({ args: [...RUNTIME, ...args], steps, ...(size && { size }) });
  const said = await cli([], { program: ["python3", `${ROOT}/tests/testdata/cli/terminal.py`, job] });
  equal(said.stderr, "");
  const result = JSON.parse(said.stdout) as Session;
  equal(result.missing, undefined, result.seen);
  return result;
}

const CTRL_C = "\x03";
const CTRL_D = "\x04";

Deno.test("run at a terminal gives the program a terminal of its own, raw on our side until the end", async () => {
  const { seen, code, modes } = await leavesNothing([], () => {
    return session(["run", "--", "sh", "-c", "tty; echo ready; read line; echo got $line; exit 3"], [
      ["expect", "ready\r\n"],
      ["mode"],
      ["send", "hello\r"],
      ["expect", "got hello"],
    ]);
  });
  match(seen, /^\/dev\/(console|pts\/0)\r\nready\r\nhello\r\ngot hello\r\n$/);
  equal(code, 3);
  deepEqual(modes, ["raw", "cooked"]);
});

Deno.test("run passes Ctrl-C on as a key, which the sandbox's terminal makes a signal", async () => {
  const script = `
import os, signal, time
def handler(*_):
    os.write(1, b"interrupted\\n")
    os._exit(3)
signal.signal(signal.SIGINT, handler)
os.write(1, b"ready\\n")
while True: time.sleep(0.1) # a signal that comes just before a wait without end would not end that`;
  const { code } = await session(["run", "--", "python3", "-c", script], [
    ["expect", "ready"],
    ["send", CTRL_C],
    ["expect", "interrupted"],
  ]);
  equal(code, 3);
});

Deno.test("run passes Ctrl-C on to a child of the program", async () => {
  const script = "trap 'echo caught' INT; sh -c 'echo ready; exec sleep 30'; echo after";
  const { code } = await session(["run", "--", "sh", "-c", script], [
    ["expect", "ready"],
    ["send", CTRL_C],
    ["expect", "caught"],
    ["expect", "after"],
  ]);
  equal(code, 0);
});

Deno.test("run passes Ctrl-D on as the end of the input", async () => {
  const { code } = await session(["run", "--", "sh", "-c", "echo ready; cat; echo end"], [
    ["expect", "ready"],
    ["send", CTRL_D],
    ["expect", "end"],
  ]);
  equal(code, 0);
});

Deno.test("run gives the terminal our size, at the start and when it changes", async () => {
  const script = `
import os, select, signal
def tell(*_): os.write(1, b"%d %d\\n" % os.get_terminal_size()[::-1])
signal.signal(signal.SIGWINCH, tell)
tell()
while not select.select([0], [], [], 0.1)[0]: pass # a signal that comes just before a wait without end is not told of
input()`;
  const { code } = await session(["run", "--", "python3", "-c", script], [
    ["expect", "31 97"],
    ["resize", 40, 120],
    ["expect", "40 120"],
    ["resize", 10, 20],
    ["expect", "10 20"],
    ["send", "\r"],
  ], [31, 97]);
  equal(code, 0);
});

Deno.test("run restores the terminal when a signal ends the run, and where the program cannot be started", async () => {
  const killed = await session(["run", "--", "sh", "-c", "echo ready; exec sleep 30"], [["expect", "ready"], [
    "signal",
    15,
  ]]);
  deepEqual([killed.code, killed.modes], [143, ["cooked"]]);
  const missing = await session(["run", "--", "/none"], [["expect", "no such file"]]);
  deepEqual([missing.code, missing.modes], [127, ["cooked"]]);
});

Deno.test("run at a terminal carries many lines without loss", async () => {
  const { seen, code } = await session(["run", "--", "seq", "-f", "line %g.", "20000"], [[
    "expect",
    "line 20000.",
  ]]);
  equal(code, 0);
  equal(seen, Array.from({ length: 20_000 }, (_, index) => `line ${index + 1}.\r\n`).join(""));
});

Deno.test("run --terminal gives a program a terminal where ours is none", async () => {
  const said = await cli([
    "run",
    "--terminal",
    "--",
    "sh",
    "-c",
    "test -t 0 && test -t 1 && test -t 2 && tty && echo wrong >&2",
  ]);
  equal(said.stderr, "");
  match(said.stdout, /^\/dev\/(console|pts\/0)\nwrong\n$/);
  equal(said.code, 0);
});

Deno.test("run --terminal shows all that a program prints that ends at once", async () => {
  for (let run = 0; run < 5; run++) {
    equal((await cli(["run", "-t", "--", "echo", "short"])).stdout, "short\n");
  }
});

Deno.test("run --terminal ends the input of the program when ours ends", async () => {
  const said = await cli(["run", "-t", "--", "sh", "-c", "stty -echo; echo ready; cat; echo end"], {
    stdin: "",
  });
  equal(said.code, 0);
  match(said.stdout, /end\n$/);
  ok(said.ms < 30_000);
});

Deno.test("run --terminal ends when its reader is gone", async () => {
  await leavesNothing([], async () => {
    const child = start(["run", "-t", "--timeout", "60s", "--", "sh", "-c", "echo ready; sleep 0.5; yes"]);
    await until(child.stdout, "ready");
    await child.stdout.cancel();
    child.stdin.close();
    const { code } = await child.status;
    await child.stderr.cancel();
    equal(code, 129); // as by a terminal's hang-up
  });
});

Deno.test("run without a terminal gives the program none", async () => {
  const child = start([
    "run",
    "--",
    "sh",
    "-c",
    "test -t 0 || test -t 1 || echo none; test -e /dev/tty && : < /dev/tty",
  ]);
  const { stdout } = await finish(child);
  equal(new TextDecoder().decode(stdout), "none\n");
});

Deno.test("policy learn at a terminal gives the proof what was typed, and shows the program once", async () => {
  const file = Deno.makeTempFileSync({ suffix: ".yaml" });
  try {
    const script = "tty; echo ready; read line; echo got $line; exit 3";
    const { seen, code } = await leavesNothing([], () => {
      return session(["policy", "learn", "-o", file, "--", "sh", "-c", script], [
        ["expect", "ready\r\n"],
        ["send", "hello\r"],
        ["expect", "wrote"],
      ]);
    });
    match(
      seen,
      /^\/dev\/(console|pts\/0)\r\nready\r\nhello\r\ngot hello\r\nruntime: learned [^\n]*exit code 3\r\nruntime: proved/,
    );
    equal(code, 0);
  } finally {
    Deno.removeSync(file);
  }
});
