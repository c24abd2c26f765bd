/** The shape of one rule. */

import { quote } from "../../runtime/spec/problems.ts";
import {
  exact,
  type Fields,
  flag,
  list,
  map,
  oneOf,
  type Place,
  type Shape,
  text,
  textLike,
} from "../../runtime/spec/shape.ts";
import { type Destination, type NetworkRule, type PortRange, type Protocol, PROTOCOLS } from "./policy.ts";
import { ALL_PORTS } from "./ports.ts";
import { allowedWays, type Read, readBlock, readHost, readPorts, readWord } from "./words.ts";

interface RawRule {
  readonly id?: string;
  readonly host?: Destination;
  readonly cidr?: Destination;
  readonly ports?: readonly PortRange[];
  readonly protocols?: readonly Protocol[];
  readonly methods?: readonly string[];
  readonly paths?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly inspect?: boolean;
  readonly websocket?: boolean;
}

/** The longest pattern: the time that one takes grows with it. */
const MOST_OF_PATTERN = 256;

/** Reads a rule, or a string that says where one leads; `id` is for rules without their own. */
export function readRule(
  value: unknown,
  at: Place,
  kind: "allow" | "deny",
  id: string,
): NetworkRule | undefined {
  if (typeof value === "string") {
    const word = flawless(readWord, 1400)(value, at);
    return word && complete(word.destination, word, at, kind, id);
  }
  const raw = exact(fields)(value, at);
  // Where something of it could not be read, the rest would be another rule.
  if (raw === undefined || Object.keys(value as object).some((key) => !Object.hasOwn(raw, key))) return;
  const destination = raw.host ?? raw.cidr;
  if (!destination || (raw.host && raw.cidr)) {
    return at.fail(`Cannot tell where the rule leads: "host" or "cidr" is needed, and not both`);
  }
  return complete(destination, raw, at, kind, raw.id ?? id);
}

function complete(
  destination: Destination,
  raw: Omit<RawRule, "ports" | "protocols"> & {
    readonly ports?: readonly PortRange[] | undefined;
    readonly protocols?: readonly Protocol[] | undefined;
  },
  at: Place,
  kind: "allow" | "deny",
  id: string,
): NetworkRule | undefined {
  const { methods = [], paths = [], headers = {}, inspect = false, websocket } = raw;
  const conditional = methods.length > 0 || paths.length > 0 || Object.keys(headers).length > 0;
  if (kind === "deny" && inspect) {
    return at.read(
      "inspect",
      true,
      (_, here) => here.fail("Cannot inspect what is denied: say it in a rule that allows"),
    );
  }
  if (kind === "deny" && websocket !== undefined) {
    return at.read(
      "websocket",
      websocket,
      (_, here) => here.fail("Cannot say this of what is denied: say it in a rule that allows"),
    );
  }
  const ways = kind === "deny"
    ? { value: deniedWays(raw.ports, raw.protocols, conditional) }
    : allowedWays(raw.ports, raw.protocols, conditional || inspect || websocket === true);
  if (ways.flaw !== undefined) return at.fail(`Cannot tell what the rule is about: ${ways.flaw}`);
  const { ports, protocols } = ways.value;
  if (conditional && protocols.some((each) => each === "tcp" || each === "udp")) {
    return at.fail("Cannot look at methods, paths or headers of tcp or udp: leave only http and https");
  }
  if (inspect && !protocols.includes("https")) {
    return at.read(
      "inspect",
      true,
      (_, here) => here.fail("Cannot inspect without https among the protocols"),
    );
  }
  if (websocket && !protocols.includes("http") && !inspect) {
    return at.read(
      "websocket",
      true,
      (_, here) =>
        here.fail("Cannot let requests go over to WebSocket that nobody sees: it takes http or inspect"),
    );
  }
  const told = websocket === undefined ? {} : { websocket };
  return { id, destination, ports, protocols, methods, paths, headers, inspect, ...told };
}

/** What a rule denies that does not say it: everything. */
function deniedWays(
  ports: readonly PortRange[] = [ALL_PORTS],
  protocols: readonly Protocol[] | undefined,
  conditional: boolean,
): { ports: readonly PortRange[]; protocols: readonly Protocol[] } {
  return { ports, protocols: protocols ?? (conditional ? ["http", "https"] : PROTOCOLS) };
}

/** A shape of what a function reads from a string. */
function flawless<T>(read: (text: string) => Read<T>, most: number): Shape<T> {
  return (value, at) => {
    const word = text(most)(value, at);
    if (word === undefined) return;
    const result = read(word);
    return result.flaw === undefined ? result.value : at.fail(`Cannot use ${quote(word)}: ${result.flaw}`);
  };
}

const ports: Shape<PortRange> = (value, at) => {
  if (typeof value !== "number" && typeof value !== "string") {
    return at.mismatch(value, "a port, or two such as 80-90");
  }
  const { value: range, flaw } = readPorts(value);
  return flaw === undefined ? range : at.fail(`Cannot use ${quote(String(value))}: ${flaw}`);
};

const path: Shape<string> = (value, at) => {
  const read = textLike(/^[/*]/, "a pattern that begins with / or *")(value, at);
  if (read === undefined) return;
  if (read.length > MOST_OF_PATTERN) {
    return at.fail(`Cannot use a pattern of more than ${MOST_OF_PATTERN} characters`);
  }
  if (/[?#\\%]|\/\/|(?:^|\/)\.{1,2}(?:\/|$)/.test(read) || /\p{Cc}/u.test(read)) {
    return at.fail(
      `Cannot use ${
        quote(read)
      }: paths are compared decoded, without query, "//" and dot segments; no request would match`,
    );
  }
  return read;
};

const header: Shape<string> = (value, at) => {
  const read = text(MOST_OF_PATTERN)(value, at);
  if (read === undefined || !/[\r\n]/.test(read)) return read;
  return at.fail(`Cannot use ${quote(read)}: no header has a line end in it`);
};

const headers: Shape<Readonly<Record<string, string>>> = (value, at) => {
  const read = map(header, 32)(value, at);
  if (read === undefined) return;
  const result: Record<string, string> = {};
  for (const [name, pattern] of Object.entries(read)) {
    const lower = name.toLowerCase();
    if (!/^[!#$%&'*+.^_`|~0-9a-z-]{1,64}$/.test(lower)) {
      at.fail(`Cannot use ${quote(name)}: it is no name of a header`);
    } else if (Object.hasOwn(result, lower)) {
      at.fail(`Cannot use ${quote(name)} twice: the case makes no difference`);
    } else result[lower] = pattern;
  }
  return result;
};

/** A list that, if it is there, has something in it: empty ones would mean all. */
function some<T>(item: Shape<T>, most: number): Shape<readonly T[]> {
  return (value, at) => {
    if (Array.isArray(value) && value.length === 0) {
      return at.fail("Cannot use an empty list: leave it out to mean all");
    }
    return list(item, most)(value, at);
  };
}

const fields: Fields<RawRule> = {
  id: textLike(
    /^(?:(?!default$|builtin:)[A-Za-z0-9._:\/-]{1,64}|(?:allow|deny|--allow)\[\d{1,4}\])$/,
    "a name of your own: letters, digits, dots and dashes",
  ),
  host: flawless(readHost, 1024),
  cidr: flawless(readBlock, 64),
  ports: some(ports, 64),
  protocols: some(oneOf(PROTOCOLS), 4),
  methods: some(textLike(/^[A-Z][A-Z-]{0,31}$/, "a method in capital letters"), 32),
  paths: some(path, 64),
  headers,
  inspect: flag,
  websocket: flag,
};
