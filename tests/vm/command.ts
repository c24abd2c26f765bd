/**
 * Runs a program to its end and returns what it printed.
 *
 * @throws {Error} with its last words if it failed.
 */
export async function command(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly stdin?: Uint8Array } = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const { cwd, stdin } = options;
  const child = new Deno.Command(program, {
    args: [...args],
    ...(cwd !== undefined && { cwd }),
    env: { LC_ALL: "C" },
    stdin: stdin ? "piped" : "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const written = stdin
    ? new Blob([stdin as Uint8Array<ArrayBuffer>]).stream().pipeTo(child.stdin)
    : undefined;
  const [{ success, code, stdout, stderr }] = await Promise.all([child.output(), written]);
  if (success) return stdout;
  const words = new TextDecoder().decode(stderr).trim().split("\n").slice(-5).join("\n");
  throw new Error(`${program} ${args.slice(0, 3).join(" ")} ended with ${code}: ${words}`);
}

/** The same, as lines. */
export async function lines(program: string, args: readonly string[]): Promise<string[]> {
  return new TextDecoder().decode(await command(program, args)).split("\n").filter((line) => line !== "");
}
