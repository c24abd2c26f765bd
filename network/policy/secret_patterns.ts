/** Own patterns of secrets, which are tried on whatever a hostile program sends. */

/** The longest text that a pattern may be about: so much of a body is looked at at once. */
const MOST_CHARACTERS = 4096;
/** In how many ways a pattern may be tried at one place. */
const MOST_WAYS = 4096;

/**
 * Why a regular expression could take too long, or need too much of a text; nothing if it cannot. Counts have to be
 * bounded and stand for single characters, and nothing looks ahead or back.
 */
export function patternFlaw(source: string): string | undefined {
  try {
    new RegExp(source, "u");
  } catch (error) {
    return error instanceof Error ? error.message : "it is no regular expression";
  }
  let [characters, ways] = [0, 1];
  let before = "";
  for (
    const [token] of source.matchAll(
      /\\(?:k<|u\{[^}]*\}|[pP]\{[^}]*\}|.)|\[(?:\\.|[^\]\\])*\]|\(\?<?[=!]|\(\?[:<]|\{[^}]*\}|./gsu,
    )
  ) {
    if (/^\\(?:[1-9]|k<)/.test(token)) return "it refers back to what it has found";
    if (/^\(\?<?[=!]/.test(token)) return "it looks ahead or back";
    if (token === "*" || token === "+" || /^\{\d*,\}$/.test(token)) {
      return `"${token}" has no upper bound; write {1,64} or the like`;
    }
    const [, least, most = least] = /^\{(\d+)(?:,(\d+))?\}$/.exec(token) ?? [];
    if (least !== undefined) {
      if (before === ")") return "it repeats a group";
      characters += Number(most);
      ways *= Number(most) - Number(least) + 1;
    } else if (token === "?" || token === "|") {
      ways *= 2;
    } else {
      characters++;
    }
    before = token;
  }
  if (characters > MOST_CHARACTERS) return `it is about more than ${MOST_CHARACTERS} characters`;
  if (ways > MOST_WAYS) return `its counts can be met in more than ${MOST_WAYS} ways`;
}
