/** What the executable prints without Deno: the stubs have it from the build. */

import { join } from "@std/path";

/** Flags of which the answer is the same for as long as the executable is, in the order that the stubs know them in. */
export const ANSWERED: readonly string[] = ["--version", "--help"];

/**
 * Asks an executable, in which Deno answers, for what it prints for each of {@linkcode ANSWERED}.
 *
 * @throws {Error} When it prints nothing, or fails.
 */
export async function answersOf(executable: Uint8Array): Promise<Uint8Array[]> {
  const dir = await Deno.makeTempDir();
  try {
    const program = join(dir, "program");
    await Deno.writeFile(program, executable, { mode: 0o700 });
    const answers: Uint8Array[] = [];
    for (const flag of ANSWERED) {
      const { success, stdout, stderr } = await new Deno.Command(program, { args: [flag], cwd: dir })
        .output();
      if (!success || stdout.length === 0) {
        throw new Error(`Cannot find out what ${flag} prints: ${new TextDecoder().decode(stderr).trim()}`);
      }
      answers.push(stdout);
    }
    return answers;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
