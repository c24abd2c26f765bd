import { equal } from "node:assert/strict";
import { ROOT } from "../helpers/cli.ts";
import { probes } from "./egress/attacks.ts";

const PAGE = `${ROOT}/docs/network.md`;
const PART = /(?<=<!-- attacks -->\n).*?(?=\n<!-- \/attacks -->)/s;

Deno.test("docs/network.md lists the ways out that are tried; UPDATE_GOLDEN=1 rewrites the list", () => {
  const text = Deno.readTextFileSync(PAGE);
  const rows = probes().map(({ name, noControl }) => {
    return `| ${name.replaceAll("|", "\\|")} | ${noControl === undefined ? "arrives" : noControl} |`;
  });
  const table = ["", "| Attack | Where nothing defends |", "|---|---|", ...rows, ""].join("\n");
  if (Deno.env.get("UPDATE_GOLDEN") === "1") Deno.writeTextFileSync(PAGE, text.replace(PART, () => table));
  else equal(PART.exec(text)?.[0], table);
});
