import type { Credential, NetworkPolicy } from "../policy/policy.ts";
import type { Header } from "./http/head.ts";
import { Refusal } from "./refusal.ts";

/**
 * The built-in detectors: what a secret begins with, and what must follow. No quantifier is inside of another, so that
 * each is tried in linear time.
 */
export const DETECTORS: Readonly<Record<string, RegExp>> = {
  aws: /\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b|aws_secret_access_key["'\s:=]{1,8}[A-Za-z0-9\/+]{40}/,
  github: /\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_[A-Za-z0-9_]{60}/,
  slack: /\bxox[abeoprs]-[A-Za-z0-9-]{20}|hooks\.slack\.com\/services\/T[A-Z0-9]{8}/,
  stripe: /\b[rs]k_(?:live|test)_[A-Za-z0-9]{20}|\bwhsec_[A-Za-z0-9]{32}/,
  google: /\bAIza[A-Za-z0-9_-]{35}|\bya29\.[A-Za-z0-9_-]{30}|\bGOCSPX-[A-Za-z0-9_-]{28}/,
  openai:
    /\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,64}T3BlbkFJ[A-Za-z0-9_-]{20}|\bsk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40}/,
  anthropic: /\bsk-ant-[a-z0-9]{3,8}-[A-Za-z0-9_-]{32}/,
  "private-key": /-----BEGIN (?:[A-Z0-9]{2,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----/,
  jwt: /\beyJ[A-Za-z0-9_-]{10,1024}\.eyJ[A-Za-z0-9_-]{10,2048}\.[A-Za-z0-9_-]{10}/,
};

/** How much of a body is kept back until what follows is known: no detector needs more. */
const KEPT_BYTES = 4096;
const ASCII = new TextDecoder("latin1");

/** What of a request leaves in place of a placeholder. */
export interface Filled {
  readonly headers: readonly Header[];
  /** Those that were put in, to be taken out of the response. */
  readonly used: readonly { readonly placeholder: string; readonly secret: string }[];
}

/** Keeps the secrets of a policy in, and puts its credentials where they belong. */
export class Secrets {
  readonly #patterns: readonly (readonly [name: string, pattern: RegExp])[];
  readonly #credentials: readonly Credential[];
  readonly #values: Readonly<Record<string, string>>;

  /** @throws {TypeError} When a detector is unknown. */
  constructor(policy: NetworkPolicy, values: Readonly<Record<string, string>>) {
    const built = policy.secrets.detectors.map((name) => {
      const pattern = Object.hasOwn(DETECTORS, name) ? DETECTORS[name]! : undefined;
      if (!pattern) throw new TypeError(`Cannot detect "${name}": there is no such detector`);
      return [name, pattern] as const;
    });
    const own = Object.entries(policy.secrets.patterns).map(([name, text]) =>
      [name, new RegExp(text, "u")] as const
    );
    this.#patterns = [...built, ...own];
    this.#credentials = policy.credentials;
    this.#values = values;
  }

  /** Whether bodies have to be looked into. */
  get looks(): boolean {
    return this.#patterns.length > 0 || this.#credentials.length > 0;
  }

  /** The rule that keeps this text from leaving, if one does. */
  found(text: string): string | undefined {
    const [name] = this.#patterns.find(([, pattern]) => pattern.test(text)) ?? [];
    if (name !== undefined) return `secret:${name}`;
    const held = this.#credentials.find(({ placeholder, id }) => {
      const secret = this.#values[id];
      return text.includes(placeholder) || (secret !== undefined && secret !== "" && text.includes(secret));
    });
    return held && `credential:${held.id}`;
  }

  /**
   * The headers as they leave.
   *
   * @throws {Refusal} When a secret is in the request, or a placeholder where its credential does not belong.
   */
  fill(
    { scheme, name, target, headers }: {
      readonly scheme: "http" | "https";
      readonly name: string;
      readonly target: string;
      readonly headers: readonly Header[];
    },
  ): Filled {
    if (!this.looks) return { headers, used: [] };
    for (const text of [target, unescaped(target)]) this.#refuse(this.found(text));
    const used = new Map<string, string>();
    const filled = headers.map(([header, value]): Header => {
      let left = value;
      const basic = /^basic +([A-Za-z0-9+/=]+)$/i.exec(value)?.[1];
      const clear = header === "authorization" && basic !== undefined ? fromBase64(basic) : undefined;
      let text = clear ?? value;
      for (const credential of this.#credentials) {
        const belongs = scheme === "https" && credential.hosts.some((host) => isHost(host, name)) &&
          credential.headers.includes(header);
        if (!text.includes(credential.placeholder) || !belongs) continue;
        const secret = this.#values[credential.id];
        if (secret === undefined) {
          throw new Refusal(
            `credential:${credential.id}`,
            "the proxy does not have this credential (any more)",
            403,
          );
        }
        // The check below is for what the sandbox has put there.
        text = text.replaceAll(credential.placeholder, "\0");
        left = (clear ?? left).replaceAll(credential.placeholder, secret);
        used.set(credential.placeholder, secret);
      }
      this.#refuse(this.found(`${header}: ${text}`));
      if (basic === undefined || clear === undefined || left === value) return [header, left];
      const packed = btoa(left);
      used.set(basic, packed); // a server that says what it got says it so
      return [header, `Basic ${packed}`];
    });
    return { headers: filled, used: [...used].map(([placeholder, secret]) => ({ placeholder, secret })) };
  }

  /**
   * Lets a body through as far as nothing in it is a secret: its last bytes are kept until what follows is known.
   *
   * @throws {Refusal} When there is a secret.
   */
  async *checked(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let kept = new Uint8Array();
    for await (const piece of pieces) {
      const all = new Uint8Array(kept.length + piece.length);
      all.set(kept);
      all.set(piece, kept.length);
      this.#refuse(this.found(ASCII.decode(all)));
      const free = Math.max(0, all.length - this.#keptBytes(all));
      if (free > 0) yield all.subarray(0, free);
      kept = all.slice(free);
    }
    if (kept.length > 0) yield kept;
  }

  /** How much of the end has to wait for what follows: of literal secrets only what could be the start of one. */
  #keptBytes(bytes: Uint8Array): number {
    if (this.#patterns.length > 0) return KEPT_BYTES;
    const literals = this.#credentials.flatMap((
      { id, placeholder },
    ) => [placeholder, this.#values[id] ?? ""]);
    const most = Math.max(0, ...literals.map(({ length }) => length));
    return startLength(ASCII.decode(bytes.subarray(-most)), literals);
  }

  #refuse(rule: string | undefined): void {
    if (rule !== undefined) {
      throw new Refusal(rule, "the request has a secret in it that must not leave", 403);
    }
  }
}

/** Text of a response with the placeholders in it again. */
export function withoutSecrets(text: string, used: Filled["used"]): string {
  return used.reduce((left, { placeholder, secret }) => left.replaceAll(secret, placeholder), text);
}

/** The pieces of a response's body with the placeholders in it again, one byte a character. */
export async function* bodyWithoutSecrets(
  pieces: AsyncIterable<Uint8Array>,
  used: Filled["used"],
): AsyncGenerator<Uint8Array> {
  const secrets = used.map(({ secret }) => secret);
  let kept = "";
  for await (const piece of pieces) {
    const text = withoutSecrets(kept + latin1Text(piece), used);
    const free = text.length - startLength(text, secrets);
    if (free > 0) yield Uint8Array.from(text.slice(0, free), (each) => each.charCodeAt(0));
    kept = text.slice(free);
  }
  if (kept !== "") yield Uint8Array.from(kept, (each) => each.charCodeAt(0));
}

/** How many characters at the end of a text are the start of one of these, but not all of it. */
function startLength(text: string, literals: readonly string[]): number {
  const most = Math.max(0, ...literals.map(({ length }) => length - 1));
  for (let length = Math.min(most, text.length); length > 0; length--) {
    const end = text.slice(-length);
    if (literals.some((one) => one.length > length && one.startsWith(end))) return length;
  }
  return 0;
}

function latin1Text(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) {
    text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return text;
}

function unescaped(target: string): string {
  return target.replaceAll("+", " ").replace(
    /%([0-9A-Fa-f]{2})/g,
    (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

/** Whether a name is the host, or below it where it begins with `*.`. */
function isHost(host: string, name: string): boolean {
  return host.startsWith("*.") ? name.endsWith(host.slice(1)) && name.length >= host.length : host === name;
}

function fromBase64(text: string): string | undefined {
  try {
    return atob(text);
  } catch {
    return undefined;
  }
}
