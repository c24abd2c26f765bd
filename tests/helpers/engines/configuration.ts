import { ROOT } from "../cli.ts";

/** The page whose configuration the tests use. */
export const PAGE = `${ROOT}/docs/engines.md`;

/** The files that a section of docs/engines.md shows, by the path that stands in the line above each. */
export function configuration(section: string): Record<string, string> {
  const page = Deno.readTextFileSync(PAGE);
  const [, text] = new RegExp(`^## ${section}\\n(.*?)(?=^## |(?![^]))`, "ms").exec(page) ?? [];
  if (text === undefined) throw new Error(`docs/engines.md has no section "${section}"`);
  const files = [...text.matchAll(/`(\/[^`\s]+)`[^\n]*:\n\n```\w+\n(.*?)^```$/gms)];
  if (files.length === 0) throw new Error(`docs/engines.md shows no configuration in "${section}"`);
  return Object.fromEntries(files.map(([, path, body]) => [path!, body!]));
}
