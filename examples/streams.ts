/** Sends data through a program as it comes: stdin and stdout are web streams with back-pressure. */

import { Sandbox } from "../mod.ts";

await using sandbox = await Sandbox.run({ command: ["sort", "--numeric-sort"], stdin: "piped" });

// Numbers in disorder go in …
const numbers = Array.from({ length: 1000 }, (_, index) => `${(index * 7919) % 1000}\n`);
const sending = ReadableStream.from(numbers).pipeThrough(new TextEncoderStream()).pipeTo(sandbox.stdin!);

// … and come out in order, a chunk at a time.
let text = "";
for await (const chunk of sandbox.stdout!.pipeThrough(new TextDecoderStream())) text += chunk;
await sending;

const lines = text.trimEnd().split("\n");
console.log(`${lines.length} numbers from ${lines[0]} to ${lines.at(-1)}`);
