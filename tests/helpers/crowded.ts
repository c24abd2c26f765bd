/** Starts more sandboxes at once than this process may open files for, then one that must work; prints what came of it. */
import { Sandbox } from "../../mod.ts";
import { Fixture } from "../soak/fixture.ts";
import { census } from "./census.ts";

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
const left = holdings().filter((one) => !before.includes(one));
console.log(JSON.stringify({ ran: count - errors.length, errors: [...new Set(errors)], said, left }));
