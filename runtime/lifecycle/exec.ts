import type { Fd } from "../../ffi/fd.ts";
import { openPath } from "../../ffi/look.ts";
import { BUILD_ID } from "../build_id.ts";
import { LifecycleError, UnsupportedError, UsageError } from "../errors.ts";
import { Execution } from "../exec/execution.ts";
import { readSubGroups, subGroups, unifiedGroupOf } from "../exec/groups.ts";
import { homeOf } from "../exec/home.ts";
import { foreignNamespaces, hasNewMounts } from "../exec/namespaces.ts";
import type { ProcessOptions } from "../exec/process.ts";
import { inWords } from "../exec/words.ts";
import { cgroups, probeCaller } from "../host/probe.ts";
import { readCached, writeCached } from "../image_cache.ts";
import type { Child } from "../launch/child.ts";
import type { Image } from "../launch/image.ts";
import { launch } from "../launch/launch.ts";
import type { GroupDirectory } from "../plan/context.ts";
import type { Process, Spec } from "../spec/config.ts";
import { hold } from "../state/liveness.ts";
import { checkMove } from "../state/moves.ts";
import type { StdioChoice } from "../supervise/ends.ts";
import type { ListenerTarget } from "../supervise/seccomp_listener.ts";
import { sendPidFd, sendTerminal } from "./console.ts";
import type { Joined } from "./execs.ts";
import type { OnStep } from "./told.ts";
import { findContainer, groupOf, type Known, specOf, type StoreOptions } from "./container.ts";
import { statusOf } from "./status.ts";

/** One more program in a container. */
export interface ExecOptions extends StoreOptions, Omit<ProcessOptions, "args"> {
  /** The program with its arguments; not needed beside `process`. */
  readonly args?: readonly string[];
  /** The program as a whole, in place of everything that differs from the container's own: also as JSON of a file. */
  readonly process?: Process | { readonly text: string; readonly path: string } | undefined;
  /** Groups below the container's: `PATH`, or `CONTROLLER[,CONTROLLER…]:PATH`. */
  readonly cgroups?: readonly string[];
  /** Begins it in a paused container too: it goes on when that is resumed. */
  readonly ignorePaused?: boolean;
  /** Descriptors of this process that it gets, as 3 and so on. */
  readonly preserveFds?: readonly number[];
  /** Path of the Unix socket that gets a pidfd of it. */
  readonly pidfdSocket?: string | undefined;
  /** The words of the command line that all this is from, up to the id: who gives the same again may do so without Deno. */
  readonly line?: readonly string[];
  /** Hears its pid before it begins. */
  readonly onPid?: ((pid: number) => void | Promise<void>) | undefined;
  /** Hears how far its start is, in runc's words. */
  readonly onStep?: OnStep | undefined;
}

/** Options of {@linkcode execContainer}. */
export interface ExecContainerOptions extends ExecOptions {
  /** How newlines come out of its terminal: `plain` as they are written, for who shows them on a terminal. */
  readonly newlines?: "plain";
  /** What the program reads. @default {"null"} */
  readonly stdin?: StdioChoice;
  /** Where its output goes. @default {"piped"} */
  readonly stdout?: StdioChoice;
  /** Where its complaints go. @default {"piped"} */
  readonly stderr?: StdioChoice;
}

/** Options of {@linkcode execDetached}. */
export interface ExecDetachedOptions extends ExecOptions {
  /** Path of the Unix socket that gets its terminal, if it has one. */
  readonly consoleSocket?: string | undefined;
}

/**
 * Runs one more program in a container, with the rights, limits and filters of the container's own.
 *
 * @example
 * ```ts ignore
 * await using program = await execContainer("box1", { args: ["ps"] });
 * console.log(await new Response(program.stdout).text());
 * ```
 * @throws {LifecycleError} if there is no such container, it does not run, or the program cannot be begun.
 * @throws {UsageError} if there can be no such program.
 */
export async function execContainer(id: string, options: ExecContainerOptions): Promise<Execution> {
  using joining = await prepareToJoin(id, options);
  const { image, beside, process, preserved, keep } = joining;
  const { stdin, stdout, stderr } = options;
  const { watch, onPid } = options.onStep
    ? await telling(joining, options)
    : { watch: joining.watch, onPid: hearing(options) };
  const start = { id, image, beside, preserved, stdin, stdout, stderr, watch, onPid };
  try {
    const execution = await Execution.start(start);
    keep();
    if (isPlain(options)) await joining.keepSteps();
    else if (options.newlines === "plain") await joining.keepFlagged(false);
    return execution;
  } catch (error) {
    throw inWords(error, process);
  }
}

/**
 * The same for a program that is left to itself: it has our stdin, stdout and stderr, and whoever inherits it from this
 * process waits for it.
 *
 * @returns Its pid.
 * @throws as {@linkcode execContainer} does.
 */
export async function execDetached(id: string, options: ExecDetachedOptions): Promise<number> {
  using joining = await prepareToJoin(id, options);
  const { image, beside, process, preserved, keep } = joining;
  const { watch, onPid } = options.onStep
    ? await telling(joining, options)
    : { watch: joining.watch, onPid: hearing(options) };
  if ((process.terminal ?? false) && options.consoleSocket === undefined) {
    throw new UsageError("cannot allocate tty if runc will detach without setting console socket");
  }
  if (!process.terminal && options.consoleSocket !== undefined) {
    throw new UsageError("cannot use console socket if runc will not detach or allocate tty");
  }
  const stdio = { stdin: 0, stdout: 1, stderr: 2 };
  const child = launch(image, stdio, { beside, preserved, forOthers: true });
  try {
    watch(child);
    await child.whenReady();
    sendTerminal(child, options.consoleSocket);
    await onPid?.(child.pid);
    child.start();
    await child.executed;
    const { pid } = child;
    child.letGo();
    keep();
    await joining.keepFlagged(true);
    return pid;
  } catch (error) {
    await child[Symbol.asyncDispose]();
    throw inWords(error, process);
  }
}

/** What it takes to join a container. */
interface Joining extends Disposable {
  readonly image: Image;
  readonly process: Named;
  readonly beside: readonly Fd[];
  readonly preserved: readonly number[];
  readonly watch: (child: Child) => void;
  /** The processors that it begins with. */
  readonly cpus: string | undefined;
  /** Keeps the image for the next command: to be called when the program is on its way. */
  readonly keep: () => void;
  /** Keeps the steps of running another program in the same way. */
  readonly keepSteps: () => Promise<void>;
  /** The same for a command line with flags, when it was given before: most are not given again. */
  readonly keepFlagged: (detached: boolean) => Promise<void>;
}

/** Options that say nothing of a program but its words, and of what is there anyhow. */
const PLAIN = ["root", "args", "stdin", "stdout", "stderr", "newlines", "consoleSize", "line"];

/** Whether a built command asks for what `runtime exec ID PROGRAM…` asks for, without flags. */
function isPlain(options: ExecContainerOptions): boolean {
  const { stdin, stdout, stderr, newlines } = options;
  if (BUILD_ID === "" || newlines !== "plain" || probeCaller().uid !== 0) return false;
  if ([stdin, stdout, stderr].some((each) => each !== "inherit")) return false;
  return Object.entries(options).every(([name, value]) => {
    return PLAIN.includes(name) || !value || (Array.isArray(value) && value.length === 0);
  });
}

/** What is said of the program where something fails. */
type Named = Pick<Process, "args" | "cwd" | "terminal">;

async function prepareToJoin(
  id: string,
  options: ExecOptions & Pick<ExecContainerOptions, "newlines">,
): Promise<Joining> {
  const paths = readSubGroups(options.cgroups ?? []);
  using container = findContainer(id, options);
  const status = statusOf(container);
  if (status !== "paused" || !options.ignorePaused) checkMove("exec", status, id);
  using stack = new DisposableStack();
  const init = hold(container.record.init!);
  if (!init) throw new LifecycleError("cannot exec in a stopped container");
  const beside = [stack.use(init)];
  const { pid } = container.record.init!;
  const namespaces = foreignNamespaces(pid);
  const text = container.entry.readSpec();
  const ownRoot = !hasNewMounts(specIn(text));
  if (ownRoot) beside.push(stack.use(openPath(`/proc/${pid}/root`)));
  const asked = await processAsked(options);
  const home = await homeFor(text, asked, pid);
  const preserved = options.preserveFds ?? [];
  const part = {
    namespaces,
    ...(ownRoot && { ownRoot }),
    ...groupsOf(container, paths, pid),
    preserved: preserved.length,
    ...(container.record.keepsKeys && { keepKeys: true }),
    ...(options.newlines === "plain" && { plainNewlines: true }),
  };
  const key = JSON.stringify(["exec", probeCaller(), text, home, part, asked], (_, value) => {
    return typeof value === "bigint" ? `${value}n` : value;
  });
  const known = readCached(key, "execs");
  let made: Made;
  if (known?.key === key) made = { image: known.image, process: named(text, asked) };
  else {
    const { joinImage } = await import("../exec/image.ts"); // the planner is loaded only when it is needed
    made = joinImage(await specOf(container), { options: asked, home, part });
  }
  const { image, process, listener } = made;
  const { bundle } = container.record;
  const { sendListener } = listener ? await import("../supervise/seccomp_listener.ts") : {};
  const watch = (child: Child): void => {
    if (!sendListener || !listener) return;
    child.onListener((fd, pid) => sendListener(fd, { ...listener, id, bundle, pid }));
  };
  const keep = (): void => {
    if (!listener && image !== known?.image) writeCached(key, { key, kinds: {}, image }, "execs");
  };
  const keepSteps = async (flagged?: Joined["flagged"]): Promise<void> => {
    if (beside.length > 1) return; // its root, which the steps know nothing of
    const { keepExecs } = await import("./execs.ts");
    const homeNow = (): Promise<string | undefined> => homeFor(text, asked, pid);
    await keepExecs(id, options, { text, pid, home, homeNow, part, options: asked, flagged });
  };
  const keepFlagged = async (detached: boolean): Promise<void> => {
    const { line: words, process: whole, onStep } = options;
    if (BUILD_ID === "" || words === undefined || onStep || image !== known?.image) return;
    if (probeCaller().uid !== 0) return;
    const { readLine } = await import("../plan/exec_line.ts");
    const line = readLine(words);
    const document = whole && "text" in whole ? new TextEncoder().encode(whole.text) : undefined;
    if (line) await keepSteps({ line, document, detached });
  };
  const kept = stack.move();
  const dispose = (): void => kept.dispose();
  const cpus = (asked.process?.execCPUAffinity ?? processIn(text).execCPUAffinity)?.initial;
  return {
    image,
    process,
    beside,
    preserved,
    watch,
    cpus,
    keep,
    keepSteps,
    keepFlagged,
    [Symbol.dispose]: dispose,
  };
}

interface Made {
  readonly image: Image;
  readonly process: Named;
  readonly listener?: Pick<ListenerTarget, "path" | "metadata"> | undefined;
}

type Asked = Partial<ProcessOptions> & { readonly process?: Process };

/** All that decides over the program. */
async function processAsked({ process, ...options }: ExecOptions): Promise<Asked> {
  if (process) {
    if (!("text" in process)) return { process };
    const { parseProcess } = await import("../spec/process.ts");
    return { process: parseProcess(process.text, process.path) };
  }
  const { args, env, cwd, user, additionalGids, capabilities, noNewPrivileges, terminal, consoleSize } =
    options;
  const { apparmorProfile, selinuxLabel } = options;
  const all = { args, env, cwd, user, additionalGids, capabilities, noNewPrivileges, terminal, consoleSize };
  const given = Object.entries({ ...all, apparmorProfile, selinuxLabel }).filter(([, each]) =>
    each !== undefined
  );
  return Object.fromEntries(given);
}

/** A config.json, as it stands there; what is wrong with it is found when it is read for good. */
function specIn(text: string): Partial<Spec> {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

function processIn(text: string): Partial<Process> {
  return specIn(text).process ?? {};
}

function named(text: string, { process, args = [], cwd, terminal = false }: Asked): Named {
  return process ?? { args, cwd: cwd ?? processIn(text).cwd ?? "/", terminal };
}

/** Where HOME has to be looked up, what it is. */
async function homeFor(
  text: string,
  { process, env = [], user }: Asked,
  pid: number,
): Promise<string | undefined> {
  const base = process ?? processIn(text);
  if ([...base.env ?? [], ...env].some((each) => each.startsWith("HOME="))) return undefined;
  return await homeOf((process ? undefined : user?.uid) ?? base.user?.uid ?? 0, pid);
}

function groupsOf(
  container: Known,
  paths: ReadonlyMap<string, string>,
  pid: number,
): { groups: readonly GroupDirectory[]; initGroup?: string } {
  const { groups: recorded } = container.record;
  if (recorded.length === 0) {
    if (paths.size === 0) return { groups: [] };
    throw new UnsupportedError("--cgroup", "the container has no cgroup", "create it as root");
  }
  groupOf(container); // refuses a record that names what is no cgroup
  const groups = subGroups(recorded, paths);
  const unified = paths.size === 0 ? groups.find(({ version }) => version === 2)?.directory : undefined;
  const mountPoint = unified !== undefined && handsOn(unified) ? unifiedMount() : undefined;
  if (unified === undefined || mountPoint === undefined) return { groups };
  const initGroup = unifiedGroupOf(pid, mountPoint);
  return initGroup?.startsWith(`${unified}/`) ? { groups, initGroup } : { groups };
}

/** Whether the controllers of a group are handed on to those below, so that it can have no processes itself. */
function handsOn(directory: string): boolean {
  try {
    return Deno.readTextFileSync(`${directory}/cgroup.subtree_control`).trim() !== "";
  } catch {
    return false; // then joining it tells
  }
}

function unifiedMount(): string | undefined {
  const read = (file: string): string => Deno.readTextFileSync(`/proc/self/${file}`);
  return cgroups(read("mountinfo"), read("cgroup")).find(({ version }) => version === 2)?.mountPoint;
}

/** Tells on the way how far it is. */
async function telling(
  { watch, cpus }: Joining,
  options: ExecOptions,
): Promise<{ readonly watch: Joining["watch"]; readonly onPid: NonNullable<ExecOptions["onPid"]> }> {
  const { Told } = await import("./told.ts");
  const told = new Told(options.onStep!);
  let launched: Child;
  return {
    watch: (child): void => {
      told.launched(launched = child);
      watch(child);
    },
    onPid: async (pid): Promise<void> => {
      told.ready(launched, cpus);
      await hearing(options)?.(pid);
      told.joins();
    },
  };
}

/** Tells the pid to all who asked for it, before the program begins. */
function hearing({ onPid, pidfdSocket }: ExecOptions): ExecOptions["onPid"] {
  if (pidfdSocket === undefined) return onPid;
  return async (pid) => {
    sendPidFd(pid, pidfdSocket, "setns");
    await onPid?.(pid);
  };
}
