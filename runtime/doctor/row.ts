import type { Facts } from "./facts.ts";

/** Whether something is there, is not, or could not be told. */
export type Answer = "ok" | "missing" | "unknown";

/** What was found of one thing that sandboxes use. */
export interface Row {
  /** The thing. */
  readonly name: string;
  /** Whether it is there. */
  readonly answer: Answer;
  /** Whether nothing can run without it. */
  readonly essential: boolean;
  /** What was found. */
  readonly found: string;
  /** What does not work without it. */
  readonly costs?: string;
  /** What mends that: a command, as a rule. */
  readonly remedy?: string;
}

/** What to say of a thing that is not known to be there. */
export interface Lack {
  readonly costs: string;
  readonly remedy?: string | undefined;
  readonly essential?: boolean;
}

/** A row; what it costs and what mends it are left out where nothing is amiss. */
export function row(
  name: string,
  [answer, found]: readonly [Answer, string],
  { costs, remedy, essential = false }: Lack,
): Row {
  const base = { name, answer, essential, found };
  return answer === "ok" ? base : { ...base, costs, ...(remedy !== undefined && { remedy }) };
}

/** A command that only root may give, as this user has to write it. */
export function asRoot({ uid }: Pick<Facts, "uid">, command: string): string {
  return uid === 0 ? command : `sudo ${command}`;
}

/** How to install a Debian package. */
export function install(facts: Pick<Facts, "uid" | "distribution">, name: string): string {
  return ["debian", "ubuntu"].includes(facts.distribution)
    ? asRoot(facts, `apt-get install --no-install-recommends ${name}`)
    : `install what Debian calls ${name}, by this system's own means`;
}

/** How to get a kernel that has everything. */
export function newerKernel(facts: Pick<Facts, "uid" | "distribution" | "arch">): string {
  const arch = facts.arch === "aarch64" ? "arm64" : "amd64";
  const name = facts.distribution === "ubuntu" ? "linux-generic" : `linux-image-${arch}`;
  return `${install(facts, name)}, then restart`;
}
