/** Starts more sandboxes at once than this process may open files for, then one that must work; prints what came of it. */
import { Sandbox } from "../../mod.ts";
import { Fixture } from "../soak/fixture.ts";
import { census } from "./census.ts";

const PATIENCE_MS = 30_000;

/** What can be left here, and is no other program's. */
const holdings = (): string[] => census([]).filter((line) => /^(process|descriptor|namespace) /.test(line));
const count = Number(Deno.args[0]);
using fixture = new Fixture();
const options = fixture.options(Deno.args[1] === "terminal" ? "terminal" : "plain", true);

{
  await using _warm = await Sandbox.run(options);
  const ignore = (): void => {};
  Deno.addSignalListener("SIGHUP", ignore);
  Deno.removeSignalListener("SIGHUP", ignore);
}
const before = holdings();
const tried = await Promise.allSettled(Array.from({ length: count }, () => Sandbox.run(options)));
const errors = tried.flatMap((one) => one.status === "rejected" ? [String(one.reason)] : []);
for (const one of tried) if (one.status === "fulfilled") await one.value[Symbol.asyncDispose]();
await using last = await Sandbox.run(fixture.options("plain", false));
const said = await new Response(last.stdout).text();
await last[Symbol.asyncDispose]();
let left: string[];
// Deno lets go of a socket on a thread of its own, a little after it is closed.
for (
  const end = Date.now() + PATIENCE_MS;
  (left = holdings().filter((one) => !before.includes(one))).length > 0 && Date.now() < end;
) await new Promise((resolve) => setTimeout(resolve, 20));
console.log(JSON.stringify({ ran: count - errors.length, errors: [...new Set(errors)], said, left }));
