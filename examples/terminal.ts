/** Drives an interactive program on a terminal of its own, as a person at a keyboard would. */

import { Sandbox } from "../mod.ts";

// Nothing runs before start(): time to give the terminal its size.
await using sandbox = await Sandbox.create({
  command: ["python3", "-q"],
  terminal: true,
  env: ["TERM=dumb"],
});
const { readable, writable, resize } = sandbox.terminal!;
resize({ rows: 25, columns: 80 });
sandbox.start();

const keyboard = writable.getWriter();
const screen = readable.getReader();
const decoder = new TextDecoder();

/** Reads until the program asks for the next line. */
async function prompt(): Promise<string> {
  let text = "";
  while (!text.endsWith(">>> ")) {
    const { done, value } = await screen.read();
    if (done) break;
    text += decoder.decode(value, { stream: true });
  }
  return text;
}

await prompt();
for (const line of ["6 * 7", "import os; os.get_terminal_size().columns", "exit(3)"]) {
  await keyboard.write(new TextEncoder().encode(`${line}\r`));
  const [, answer = ""] = (await prompt()).split("\r\n");
  if (answer && !answer.startsWith(">>>")) console.log(`${line} → ${answer}`);
}
console.log(`python3 ended with ${(await sandbox.wait()).exitCode}`);
