const CC = "gcc";

/** Whether this machine can compile C; tests that compare with headers need it. */
export const hasCompiler: boolean = works(CC, "--version");

/** Whether a program can be run. */
export function works(program: string, ...args: string[]): boolean {
  try {
    return new Deno.Command(program, { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

/** Options of {@linkcode evaluate}. */
export interface EvaluateOptions {
  readonly includes: readonly string[];
  /** Lines before the includes. */
  readonly defines?: readonly string[];
  /** Lines between the includes and main. */
  readonly declarations?: readonly string[];
}

/**
 * What C makes of integer expressions, as the headers of this machine define their names. A name that the headers do
 * not know gives `undefined`.
 */
export function evaluate(
  expressions: readonly string[],
  { includes, defines = [], declarations = [] }: EvaluateOptions,
): Map<string, bigint | undefined> {
  const lines = expressions.map((expression) => {
    const print = `printf("%llx\\n", (unsigned long long)(long long)(${expression}));`;
    // Macros that are missing are told apart; what is no macro must be there.
    return /^[A-Z]\w*$/.test(expression)
      ? `#ifdef ${expression}\n${print}\n#else\nputs("-");\n#endif`
      : print;
  });
  const source = [
    "#define _GNU_SOURCE",
    ...defines,
    ...["stdio.h", "stddef.h", ...includes].map((name) => `#include <${name}>`),
    ...declarations,
    "int main(void) {",
    ...lines,
    "return 0; }",
  ].join("\n");
  const output = compileAndRun(source).trim().split("\n");
  return new Map(expressions.map((expression, index) => {
    const text = output[index]!;
    return [expression, text === "-" ? undefined : BigInt.asIntN(64, BigInt(`0x${text}`))];
  }));
}

/** Compiles a C program, runs it and returns what it prints. */
export function compileAndRun(source: string): string {
  const directory = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(`${directory}/a.c`, source);
    run(CC, ["-O0", "-w", "-o", `${directory}/a`, `${directory}/a.c`]);
    return run(`${directory}/a`, []);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

function run(program: string, args: string[]): string {
  const { success, stdout, stderr } = new Deno.Command(program, { args })
    .outputSync();
  if (!success) throw new Error(`${program} failed:\n${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}
