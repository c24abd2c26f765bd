/**
 * Whether an error says that the process has ended whose file in /proc was to be read: before it was opened, or between
 * that and the read. Deno has no class and no code for the second (ESRCH), but tells the number.
 */
export function saysEnded(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound ||
    error instanceof Error && /^[^:]*\(os error 3\)/.test(error.message);
}
