/**
 * Whether a text matches a pattern in which `*` stands for any characters but `/`, and `**` for any.
 *
 * All places in the pattern that the text can have reached are followed at once: the time is at most the product of
 * both lengths, whatever they are.
 */
export function matchesGlob(pattern: string, text: string): boolean {
  return matches(tokensOf(pattern, ONE_STAR), text);
}

/** Whether a text matches a pattern in which `*` stands for anything. */
export function matchesAny(pattern: string, text: string): boolean {
  return matches(tokensOf(pattern, ANY), text);
}

const ANY = 1;
const ONE_STAR = 2;

/** Characters, {@linkcode ANY} for anything, {@linkcode ONE_STAR} for anything but `/`. */
type Token = string | typeof ANY | typeof ONE_STAR;

function tokensOf(pattern: string, star: typeof ANY | typeof ONE_STAR): Token[] {
  return [...pattern.matchAll(/\*+|[^*]/gs)].map(([part]) => {
    if (part[0] !== "*") return part;
    return part.length > 1 ? ANY : star;
  });
}

function matches(tokens: readonly Token[], text: string): boolean {
  let reached = closure(tokens, [0]);
  for (let at = 0; at < text.length && reached.length > 0; at++) {
    const char = text[at]!;
    const next: number[] = [];
    for (const place of reached) {
      const token = tokens[place];
      if (token === ANY || (token === ONE_STAR && char !== "/")) next.push(place);
      else if (token === char) next.push(place + 1);
    }
    reached = closure(tokens, next);
  }
  return reached.includes(tokens.length);
}

/** With each place also those that a star which stands for nothing leads to; in order, each once. */
function closure(tokens: readonly Token[], places: readonly number[]): number[] {
  const all: number[] = [];
  for (const start of places) {
    for (let place = start; (all.at(-1) ?? -1) < place; place++) {
      all.push(place);
      if (typeof tokens[place] !== "number") break;
    }
  }
  return all;
}
