/** Far longer than anything takes on a busy machine. */
const MOST_MS = 30_000;

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
