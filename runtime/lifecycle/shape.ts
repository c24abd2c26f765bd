/** The texts in which containers differ that an engine makes alike: their ids, those of their layers, and times. */

/** What such containers have in common, and what each has in its place. */
export interface Shape {
  /** A text with numbers in place of values. */
  readonly text: string;
  /** The values: the id, its first digits, and others in the order in which they come. */
  readonly values: readonly string[];
}

/** How engines name containers and layers. */
const NAME = "[0-9a-f]{64}";
/** So many digits of the id are the host's name, unless somebody gives another. */
const SHORT = 12;
/** As annotations say when it was made. */
const TIME = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z`;
/** Stands around a number in place of a value: a text that has it is left alone. */
const MARK = "\ue000";
/** More are no container of an engine's. */
const MOST_VALUES = 32;

/** Whether a container is called as those of engines are. */
export function isLikeEngines(id: string): boolean {
  return id.length === 64 && /^[0-9a-f]+$/.test(id);
}

function pattern(id: string): RegExp {
  return new RegExp(`(?<![0-9a-f])(?:${NAME}|${id.slice(0, SHORT)})(?![0-9a-f])|${TIME}`, "g");
}

/** The shape of a text about a container of an engine's; nothing if it has none. */
export function shapeOf(id: string, text: string): Shape | undefined {
  if (!isLikeEngines(id) || text.includes(MARK)) return undefined;
  const values = [id, id.slice(0, SHORT)];
  const shape = text.replace(pattern(id), (value) => {
    const known = values.indexOf(value);
    return `${MARK}${known === -1 ? values.push(value) - 1 : known}${MARK}`;
  });
  return values.length > MOST_VALUES ? undefined : { text: shape, values };
}

/** A text about the container that has the values `from`, for one that has the values `to` in their place. */
export function renamed(text: string, from: Shape["values"], to: Shape["values"]): string {
  return text.replace(pattern(from[0]!), (value) => to[from.indexOf(value)] ?? value);
}

/** Where in bytes the values stand, each place with the number of its value; nothing if one has no fixed length. */
export function placesOf(
  bytes: Uint8Array<ArrayBuffer>,
  values: Shape["values"],
): (readonly [number, number])[] | undefined {
  const text = new TextDecoder("latin1").decode(bytes);
  const places = Array.from(text.matchAll(pattern(values[0]!)), ({ 0: value, index }) => {
    return [index, values.indexOf(value)] as const;
  }).filter(([, value]) => value !== -1);
  return places.every(([, value]) => !values[value]!.endsWith("Z")) ? places : undefined;
}

/** Puts the values of another container in the place of those that stand there. */
export function putValues(
  bytes: Uint8Array<ArrayBuffer>,
  places: readonly (readonly [number, number])[],
  values: Shape["values"],
): void {
  const encoder = new TextEncoder();
  const encoded = values.map((value) => encoder.encode(value));
  for (const [at, value] of places) bytes.set(encoded[value]!, at);
}
