/** Far longer than anything takes on a busy machine. */
const MOST_MS = 60_000;

/**
 * Looks again and again until what others are about to do can be seen, such as a record that a proxy writes after its
 * answer has arrived; what was seen last, which the test then judges.
 */
export async function eventually<Seen>(
  look: () => Seen | Promise<Seen>,
  isThere: (seen: Seen) => boolean,
): Promise<Seen> {
  for (const end = performance.now() + MOST_MS;;) {
    const seen = await look();
    if (isThere(seen) || performance.now() > end) return seen;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/**
 * Waits until something is so.
 *
 * @throws {Error} if that does not come about.
 */
export async function waitUntil(isSo: () => boolean | Promise<boolean>, what?: string): Promise<void> {
  if (!await eventually(isSo, (is) => is)) {
    throw new Error(`It has not come about in ${MOST_MS / 1000} s${what === undefined ? "" : `: ${what}`}`);
  }
}
