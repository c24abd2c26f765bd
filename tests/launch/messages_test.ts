import { equal } from "node:assert/strict";
import { open, pipe } from "../../ffi/fd.ts";
import { loadBundle, request } from "../../runtime/bundle.ts";
import { probeHost } from "../../runtime/host/probe.ts";
import { assemble } from "../../runtime/launch/image.ts";
import type { Child } from "../../runtime/launch/child.ts";
import { launch } from "../../runtime/launch/launch.ts";
import { type Op, op, type Plan, text, zeros } from "../../runtime/plan/op.ts";
import { plan } from "../../runtime/plan/plan.ts";
import { compileFilter } from "../../runtime/seccomp.ts";
import { OCI_VERSION } from "../../runtime/spec/state.ts";
import type { TestBundle } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";

const O_RDWR = 2;
const TIMEOUT_MS = 60_000;
const ASKING = {
  defaultAction: "SCMP_ACT_ALLOW",
  listenerPath: "/nobody",
  syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }],
} as const;

/** The plan of a sandbox whose program ends with 7, with or without a filter that asks user space. */
function planOf(bundle: TestBundle, asking: boolean): Plan {
  bundle.write("exit 7", { process: { noNewPrivileges: true } });
  const host = probeHost();
  const filter = asking ? compileFilter(ASKING, host) : undefined;
  return plan(
    request(loadBundle(bundle.path), { host, filter, overlay: { kind: "none" }, form: "supervised" }),
  );
}

/** The plan with other steps in the place of the one that `does` this. */
function replace({ arch, sections }: Plan, does: string, others: (step: Op) => readonly Op[]): Plan {
  const found = sections.flatMap(({ ops }) => ops.filter((step) => step.does === does));
  equal(found.length, 1, `steps that ${does}`);
  const ops = (step: Op): readonly Op[] => step === found[0] ? others(step) : [step];
  return { arch, sections: sections.map((section) => ({ ...section, ops: section.ops.flatMap(ops) })) };
}

/** Lets the launcher say who init is only when init has told `what`: a byte goes from init's stdout to its stdin. */
function initFirst(whole: Plan, what: string): Plan {
  const late = replace(whole, "report init", (step) => [
    op("wait until init has spoken", "read", [0, zeros(1, "byte"), 1]),
    step,
  ]);
  return replace(late, what, (step) => [step, op("let the launcher speak", "write", [1, text("i"), 1])]);
}

/** Launches the plan with stdin and stdout connected; kills what takes too long. */
async function launched(whole: Plan, body: (child: Child) => Promise<void>): Promise<void> {
  using nothing = open("/dev/null", O_RDWR);
  const { read, write } = pipe();
  using stdin = read;
  using stdout = write;
  const child = launch(assemble(whole), { stdin: stdin.raw, stdout: stdout.raw, stderr: nothing.raw });
  const timer = setTimeout(() => child.signal(9), TIMEOUT_MS);
  try {
    await body(child);
    equal((await child.ended).code, 7);
  } finally {
    clearTimeout(timer);
    await child[Symbol.asyncDispose]();
  }
}

launchTest(
  "launch() takes a program for what it is that ends before its guard has let go of the status socket",
  async (bundle) => {
    const never = op("be late", "ppoll", [0, 0, 0, 0, 8]);
    const late = replace(planOf(bundle, false), "close the status socket", () => [never]);
    await launched(late, async (child) => {
      await child.whenReady();
      child.start();
      await child.executed;
    });
  },
);

launchTest("launch() hears that init is ready before it hears of init", async (bundle) => {
  await launched(initFirst(planOf(bundle, false), "report that init is ready"), async (child) => {
    await child.whenReady();
    child.start();
    await child.executed;
  });
});

launchTest("launch() hears of init's listener before it hears of init", async (bundle) => {
  await launched(initFirst(planOf(bundle, true), "report the seccomp listener"), async (child) => {
    const taken: number[] = [];
    child.onListener((listener, pid) => {
      using _ = listener;
      taken.push(pid);
    });
    child.start(); // init will be in front of the gate, ready or not
    await child.executed;
    equal(taken.join(), `${child.pid}`);
  });
});

/** The plan of a sandbox that waits for its network. */
function connectedPlan(bundle: TestBundle): Plan {
  bundle.write("exit 7", { process: { noNewPrivileges: true } });
  const asked = request(loadBundle(bundle.path), {
    host: probeHost(),
    overlay: { kind: "none" },
    form: "supervised",
  });
  return plan({ ...asked, hooked: { id: "connected", version: OCI_VERSION, connected: true } });
}

launchTest(
  "Child.letOn() lets init go on that need not ask, and nobody runs hooks for it",
  async (bundle) => {
    await launched(connectedPlan(bundle), async (child) => {
      let asked = 0;
      child.onBirth(() => child.letOn());
      child.onHooks(() => Promise.resolve(void asked++), {});
      await child.whenReady();
      child.start();
      await child.executed;
      equal(asked, 0);
    });
  },
);

launchTest("Child.letOn() lets init go on that has asked, too", async (bundle) => {
  await launched(connectedPlan(bundle), async (child) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    child.onHooks(async () => {
      child.letOn();
      await promise;
    }, {});
    await child.whenReady();
    resolve();
    child.start();
    await child.executed;
  });
});
