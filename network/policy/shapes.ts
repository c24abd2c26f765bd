/** The shape of a policy document: from what YAML or JSON gave to a policy. */

import {
  exact,
  type Fields,
  integer,
  list,
  map,
  need,
  oneOf,
  type Place,
  type Shape,
  text,
  textLike,
} from "../../runtime/spec/shape.ts";
import { harmless, quote } from "../../runtime/spec/problems.ts";
import { readRule } from "./rule_shape.ts";
import { literalAddress } from "./names.ts";
import {
  type Credential,
  DETECTORS,
  type NetworkLimits,
  type NetworkPolicy,
  type NetworkRule,
  type SecretRules,
} from "./policy.ts";
import { patternFlaw } from "./secret_patterns.ts";
import { readHost, readPorts } from "./words.ts";

/** The most rules of each kind. */
const MOST_RULES = 1024;

interface RawPolicy {
  readonly allow?: readonly NetworkRule[];
  readonly deny?: readonly NetworkRule[];
  readonly credentials?: readonly Credential[];
  readonly secrets?: Partial<SecretRules>;
  readonly limits?: NetworkLimits;
  readonly nameServers?: readonly string[];
}

/** A policy; an array is what it allows. */
export const policyShape: Shape<NetworkPolicy> = (value, at) => {
  const raw = Array.isArray(value) ? { allow: rules("allow")(value, at) ?? [] } : document(value, at);
  if (raw === undefined) return;
  const { allow = [], deny = [], credentials = [], secrets = {}, limits = {}, nameServers = [] } = raw;
  const policy: NetworkPolicy = {
    allow,
    deny,
    credentials,
    secrets: { detectors: secrets.detectors ?? [], patterns: secrets.patterns ?? {} },
    limits,
    nameServers,
  };
  distinct([...allow, ...deny].map(({ id }) => id), at);
  for (const [index, { id, hosts }] of credentials.entries()) {
    at.read("credentials", credentials, (_, here) => {
      if (credentials.findIndex((each) => each.id === id) < index) {
        here.read(
          index,
          id,
          (_, there) => there.fail(`Cannot use ${quote(id)} twice: it names a credential already`),
        );
      }
      for (const host of hosts) {
        if (isOpened(policy, host)) continue;
        here.read(
          index,
          host,
          (_, there) =>
            there.fail(
              `Cannot put a credential in for ${quote(host)}: no rule allows it with "inspect"`,
            ),
        );
      }
      return undefined;
    });
  }
  return policy;
};

const rules = (kind: "allow" | "deny"): Shape<readonly NetworkRule[]> => (value, at) => {
  let index = 0;
  return list((each, here) => readRule(each, here, kind, `${kind}[${index++}]`), MOST_RULES)(value, at);
};

const host: Shape<string> = (value, at) => {
  const word = text(1024)(value, at);
  if (word === undefined) return;
  const { value: read, flaw } = readHost(word);
  if (flaw !== undefined) return at.fail(`Cannot use ${quote(word)}: ${flaw}`);
  if (word === "*") return at.fail(`Cannot use "*": name the hosts`);
  return read.kind === "below" ? `*.${read.name}` : (read as { name: string }).name;
};

/** `address`, `address:port`, `[address]:port`. */
const nameServer: Shape<string> = (value, at) => {
  const word = text(64)(value, at);
  if (word === undefined) return;
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*|.*:.*:.*?))(?::(\d+))?$/.exec(word) ?? [];
  const whole = literalAddress(word) ?? literalAddress(`[${word}]`);
  const address = whole ??
    (bracketed !== undefined ? literalAddress(`[${bracketed}]`) : literalAddress(plain ?? ""));
  if (!address || (!whole && port !== undefined && readPorts(port).flaw !== undefined)) {
    return at.fail(`Cannot use ${quote(word)}: an address is needed, with or without a port`);
  }
  if (whole || port === undefined) return address.text;
  return address.family === 4 ? `${address.text}:${port}` : `[${address.text}]:${port}`;
};

/** A number, or one with a unit of bytes. */
const bytes: Shape<number> = (value, at) => {
  const [, digits, unit = "B"] = /^(\d{1,15})\s?(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$/.exec(String(value)) ?? [];
  if (typeof value !== "string") return integer(1, Number.MAX_SAFE_INTEGER)(value, at);
  const step = unit.includes("i") ? 1024 : 1000;
  const result = Number(digits) * step ** "BKMGT".indexOf(unit[0]!);
  return result >= 1 && result <= Number.MAX_SAFE_INTEGER
    ? result
    : at.mismatch(value, "a size such as 10MB");
};

const credentialFields: Fields<
  Omit<Credential, "placeholder" | "headers" | "env"> & {
    placeholder?: string;
    headers?: readonly string[];
    env?: string;
  }
> = {
  id: need(textLike(/^[A-Za-z0-9._-]{1,64}$/, "a name of letters, digits, dots and dashes")),
  placeholder: textLike(/^[A-Za-z0-9._-]{8,256}$/, "8 to 256 letters, digits, dots and dashes"),
  env: textLike(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, "the name of a variable"),
  from: need((value, at) => {
    const read = exact<{ env?: string; file?: string }>({
      env: textLike(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, "the name of a variable"),
      file: textLike(/^\//, "an absolute path"),
    })(value, at);
    if (!read) return;
    const { env, file } = read;
    if (env !== undefined && file === undefined) return { env };
    if (file !== undefined && env === undefined) return { file };
    return at.fail(`Cannot tell where the secret is: "env" or "file" is needed, and not both`);
  }),
  hosts: need(list(host, 64)),
  headers: list(headerName, 16),
};

const credential: Shape<Credential> = (value, at) => {
  const read = exact(credentialFields)(value, at);
  if (read?.id === undefined || !read.hosts || !read.from) return;
  if (read.hosts.length === 0) {
    at.read("hosts", [], (_, here) => here.fail("Cannot use no hosts: name those that get it"));
  }
  const { id, env, headers = ["authorization"], placeholder = `ai-sandbox-credential-${id}`, from, hosts } =
    read;
  return { id, placeholder, env, from, hosts, headers };
};

function headerName(value: unknown, at: Place): string | undefined {
  return textLike(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/, "the name of a header")(value, at)?.toLowerCase();
}

const pattern: Shape<string> = (value, at) => {
  const source = text(1024)(value, at);
  const flaw = source === undefined ? undefined : patternFlaw(source);
  return flaw === undefined ? source : at.fail(`Cannot use ${quote(source!)}: ${harmless(flaw)}`);
};

const document: Shape<RawPolicy> = exact<RawPolicy>({
  allow: rules("allow"),
  deny: rules("deny"),
  credentials: list(credential, 64),
  secrets: exact<Partial<SecretRules>>({
    detectors: list(oneOf(DETECTORS), 64),
    patterns: map(pattern, 64),
  }),
  limits: exact<NetworkLimits>({
    connections: integer(1, 65535),
    requestsPerMinute: integer(1, 1_000_000),
    uploadBytes: bytes,
    downloadBytes: bytes,
    uploadBytesPerSecond: bytes,
    downloadBytesPerSecond: bytes,
  }),
  nameServers: list(nameServer, 8),
});

function distinct(ids: readonly string[], at: Place): void {
  const known = new Set<string>();
  for (const id of ids) {
    if (known.has(id)) at.fail(`Cannot use the id ${quote(id)} twice: verdicts could not be told apart`);
    known.add(id);
  }
}

/** Whether TLS to a host is opened, so that something can be put into requests: in clear text no secret goes out. */
function isOpened({ allow }: NetworkPolicy, host: string): boolean {
  const name = host.replace(/^\*\./, "");
  return allow.some(({ destination: to, inspect }) => {
    if (to.kind === "addresses" || !inspect) return false;
    if (to.kind === "name") return !host.startsWith("*.") && to.name === name;
    return to.name === "" || name.endsWith(`.${to.name}`) || (host.startsWith("*.") && name === to.name);
  });
}
