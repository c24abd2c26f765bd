/** One part of a sweep, in a mount namespace of its own; prints a line of JSON for each point. */
import { type Choice, sweep } from "./sweep.ts";
import { World } from "./world.ts";

const { program, ...choice }: Choice & { readonly program: readonly string[] } = JSON.parse(Deno.args[0]!);
using world = new World(program);
for await (const outcome of sweep(world, choice)) console.log(JSON.stringify(outcome));
