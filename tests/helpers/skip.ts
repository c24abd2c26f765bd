import { AsyncLocalStorage } from "node:async_hooks";

/** A skip that is only known at run time, as one line of the file that `AI_SANDBOX_SKIPS` names. */
export interface Skip {
  /** The test module that skipped, as a path; empty if the stack does not show one. */
  readonly file: string;
  /** The line in it, counted from 1. */
  readonly line: number;
  /** The test's name where the caller gave it. */
  readonly test?: string;
  readonly reason: string;
}

const running = new AsyncLocalStorage<{ readonly name: string }>();

/**
 * Runs the body of a test that a helper has registered: its skips are then known by its name, as the report has the
 * helper's file and line.
 */
export function naming(test: { readonly name: string }, body: () => Promise<void>): Promise<void> {
  return running.run(test, body);
}

/**
 * Reports that the running test cannot prove anything here, and why. Call it and return:
 * the run then counts the test as skipped and not as passed.
 *
 * @param reason The missing feature, such as `needs cgroup v2`.
 * @param test The test's context; only needed where one line of code registers several tests and
 * {@linkcode naming} does not know it.
 *
 * @example
 * ```ts
 * import { skip } from "./skip.ts";
 * function needsRoot(): void {
 *   if (Deno.uid() !== 0) return skip("needs root");
 * }
 * needsRoot();
 * ```
 */
export function skip(reason: string, test: { readonly name: string } | undefined = running.getStore()): void {
  const found: Skip = { ...caller(stack()), ...(test && { test: test.name }), reason };
  console.log(
    `SKIP ${
      test?.name ?? (found.file ? `${found.file.replace(`${Deno.cwd()}/`, "")}:${found.line}` : "?")
    }: ${reason}`,
  );
  const path = Deno.env.get("AI_SANDBOX_SKIPS");
  if (path) Deno.writeTextFileSync(path, JSON.stringify(found) + "\n", { append: true });
}

/** Where the stack leaves the test module: its outermost frame in a file named `*_test.ts`. */
export function caller(stack: string): { file: string; line: number } {
  const frames = [...stack.matchAll(/(file:\/\/\/[^\s()]*_test\.ts):(\d+):\d+/g)];
  const [, url, line] = frames.at(-1) ?? [];
  return url ? { file: new URL(url).pathname, line: Number(line) } : { file: "", line: 0 };
}

function stack(): string {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 100;
  try {
    return new Error().stack ?? "";
  } finally {
    Error.stackTraceLimit = limit;
  }
}
