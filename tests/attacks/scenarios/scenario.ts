import { deepEqual } from "node:assert/strict";
import { type PolicyName, Sandbox } from "../../../mod.ts";
import { type Part, TestBundle } from "../../helpers/launch_bundle.ts";
import { Outside } from "../../helpers/launch_outside.ts";
import type { Attack } from "../cases/attack.ts";
import type { Verdict } from "../verdict.ts";

/** What an attack from a bundle's files or its config.json needs. */
export interface Place {
  readonly bundle: TestBundle;
  readonly outside: Outside;
  /** The probe program. */
  readonly probe: string;
}

/** An attack by what a bundle contains, on whoever starts it. */
export interface Scenario extends Attack {
  /** The attack on one who takes no care. */
  readonly control: (place: Place) => Promise<Verdict>;
  /** The attack on a sandbox. */
  readonly attack: (place: Place, policy: PolicyName) => Promise<Verdict>;
}

/** Attacks of one kind. */
export interface ScenarioClass {
  readonly title: string;
  readonly attacks: readonly Scenario[];
}

/** Runs `attack` in a new bundle beside a new directory that nobody may reach. */
export async function inPlace(
  probe: string,
  attack: (place: Place) => Promise<Verdict>,
): Promise<Verdict> {
  using bundle = new TestBundle();
  const outside = new Outside(bundle);
  return await attack({ bundle, outside, probe });
}

/** What a sandbox of the bundle printed, or undefined if it was refused. */
export async function runBundle(
  { bundle }: Place,
  policy: PolicyName,
  { command, part = {}, overlay = "none" }: {
    readonly command: string | readonly string[];
    readonly part?: Part;
    readonly overlay?: "none" | "tmpfs";
  },
): Promise<string | undefined> {
  bundle.write(command, part);
  try {
    await using sandbox = await Sandbox.run({ bundle: bundle.path, policy, overlay: { kind: overlay } });
    const [text] = await Promise.all([new Response(sandbox.stdout).text(), sandbox.wait()]);
    return text;
  } catch (error) {
    // Refused, by an error that says so; anything else is a defect.
    if (/^(LaunchError|SpecError|UnsupportedError)$/.test((error as Error).name)) return undefined;
    throw error;
  }
}

/** What a shell script prints that does a runtime's work and takes no care, as root in a mount namespace of its own. */
export async function carelessly({ bundle, outside }: Place, script: string): Promise<string> {
  const { stdout } = await new Deno.Command("unshare", {
    args: ["--mount", "--propagation", "private", "sh", "-c", script],
    env: { ROOTFS: bundle.rootfs, OUTSIDE: outside.path, GIVEN: `${bundle.path}/config.json` },
    stdin: "null",
    stderr: "null",
  }).output();
  return new TextDecoder().decode(stdout);
}

/** Open if what nobody may reach has changed. */
export function judgeOutside({ outside }: Place, closed: string): Verdict {
  try {
    outside.check();
    return { state: "closed", why: closed };
  } catch {
    return { state: "open", why: "what is outside has changed" };
  }
}

/** Open if a text has come out that must not. */
export function judgeText(text: string | undefined, forbidden: RegExp, closed: string): Verdict {
  if (text === undefined) return { state: "closed", why: "refused" };
  return forbidden.test(text) ? { state: "open", why: "it came out" } : { state: "closed", why: closed };
}

/** Fails if two scenarios have the same name, which would hide one of them. */
export function distinct(classes: readonly ScenarioClass[]): readonly ScenarioClass[] {
  const names = classes.flatMap(({ attacks }) => attacks.map(({ name }) => name));
  deepEqual(names.filter((name, index) => names.indexOf(name) !== index), []);
  return classes;
}
