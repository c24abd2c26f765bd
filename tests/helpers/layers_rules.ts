/** One import: who imports whom, as paths from the checkout. */
export interface Edge {
  readonly from: string;
  readonly to: string;
  /** Only types are imported: nothing of it is left at run time. */
  readonly type?: boolean;
}

/** A source file as its text. */
export interface Source {
  readonly path: string;
  readonly text: string;
}

const ERRORS = "runtime/errors.ts";

/**
 * What each layer may import beside itself; a folder stands for all that is in it and below. A file
 * belongs to the longest name that fits; `type:` allows types only.
 */
export const LAYERS: Readonly<Record<string, readonly string[]>> = {
  "ffi": [],
  "runtime/errors.ts": [],
  // The version is written down once, there.
  "deno.json": [],
  "runtime/spec": [ERRORS],
  "runtime/plan": ["runtime/spec", ERRORS, "type:runtime/host/facts.ts"],
  "runtime/host": ["ffi", ERRORS],
  "runtime/launch": ["runtime/plan", "ffi", ERRORS],
  "runtime/attest": ["runtime/plan", "runtime/spec", "ffi", ERRORS, "type:runtime/host/facts.ts"],
  "runtime/supervise": ["runtime/launch", "ffi", ERRORS],
  "runtime/state": ["runtime/spec", "ffi", ERRORS],
  "runtime/cgroup": ["runtime/spec", "ffi", ERRORS],
  "runtime/systemd": ["runtime/cgroup", "runtime/spec", ERRORS],
  "runtime": ["ffi", "runtime"],
  "snapshots": ["runtime", "ffi"],
  "network": ["runtime", "ffi"],
  "mod.ts": ["runtime", "snapshots", "network"],
  "cli": ["mod.ts", "deno.json"],
  "daemon": ["mod.ts"],
  "workflow": ["mod.ts"],
  "observe": ["mod.ts"],
  "console": ["mod.ts"],
  "examples": ["mod.ts"],
  // Nothing imports these, whatever they import.
  "tests": [""],
  "bench": [""],
  "tools": [""],
};

/** Words that only some files may use in code; comments may. */
const WORDS: readonly { word: RegExp; says: string; where: (path: string) => boolean }[] = [
  { word: /\bDeno\.dlopen\b/, says: "calls Deno.dlopen", where: (path) => isUnder(path, "ffi") },
  { word: /\bDeno\.exit\b/, says: "calls Deno.exit", where: (path) => path === "cli/main.ts" },
  { word: /\bDeno\./, says: "mentions Deno.", where: (path) => !isUnder(path, "runtime/plan") },
  { word: /\bffi\//, says: "mentions ffi", where: (path) => !isUnder(path, "runtime/plan") },
  {
    word: /\bimport\("[./]*mod\.ts"\)/, // the build makes of static imports what is needed of it
    says: "loads the whole library",
    where: (path) => !isUnder(path, "cli"),
  },
  {
    // What errno says may be of a call of V8's: there it is asked for a second time.
    word: /\berrnoMemory\b|\bimport \{[^}]*\berrno\b[^}]*\} from "[./\w]*\/errno\.ts"/,
    says: "reads errno",
    where: (path) => ["ffi/errno.ts", "ffi/library.ts"].includes(path),
  },
];

/** The layer that a file belongs to, or nothing if the table does not know it. */
export function layerOf(path: string): string | undefined {
  const fits = Object.keys(LAYERS).filter((layer) => isUnder(path, layer));
  return fits.sort((a, b) => b.length - a.length)[0];
}

/** Everything wrong with `edges`, one line each. */
export function wrongEdges(edges: readonly Edge[]): string[] {
  const wrong = edges.flatMap((edge) => {
    const why = whyWrong(edge);
    return why ? [`${edge.from} imports ${edge.to}: ${why}`] : [];
  });
  return [...wrong, ...cycles(edges).map((cycle) => `${cycle.join(" imports ")}: a cycle`)];
}

/** Everything wrong with what `sources` say, one line each. */
export function wrongWords(sources: readonly Source[]): string[] {
  return sources.filter(({ path }) => !isOutside(path)).flatMap(({ path, text }) => {
    const code = withoutComments(text);
    return WORDS.filter(({ word, where }) => !where(path) && word.test(code)).map(({ says }) =>
      `${path} ${says}`
    );
  });
}

function whyWrong({ from, to, type }: Edge): string | undefined {
  if (isPrivate(to) && folder(from) !== folder(to)) return "it is private to its folder";
  const [layer, target] = [layerOf(from), layerOf(to)];
  if (layer === undefined) return `no layer is known for ${from}`;
  if (target === undefined) return `no layer is known for ${to}`;
  if (layer === target) return undefined;
  if (isOutside(to) && !isOutside(from)) return `nothing imports ${target}`;
  const allowed = LAYERS[layer]!.some((one) =>
    one.startsWith("type:") ? type && one.slice("type:".length) === to : isUnder(to, one)
  );
  return allowed ? undefined : `${layer} may import only ${LAYERS[layer]!.join(", ") || "itself"}`;
}

/** Each cycle of imports that are there at run time, from its first file back to it. */
function cycles(edges: readonly Edge[]): string[][] {
  const next = new Map<string, string[]>();
  for (const { from, to, type } of edges) if (!type) next.set(from, [...next.get(from) ?? [], to]);
  const found: string[][] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) found.push([...trail.slice(at), path]);
    if (at >= 0 || done.has(path)) return;
    for (const to of next.get(path) ?? []) visit(to, [...trail, path]);
    done.add(path);
  };
  for (const path of next.keys()) visit(path, []);
  return found;
}

function isUnder(path: string, place: string): boolean {
  return place === "" || path === place || path.startsWith(place + "/");
}

/** Tests, benches and tools stand outside of the product. */
function isOutside(path: string): boolean {
  return ["tests", "bench", "tools"].some((place) => isUnder(path, place));
}

function isPrivate(path: string): boolean {
  return /(^|\/)_[^/]*$/.test(path);
}

function folder(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1);
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|[^:"'`\\])\/\/.*$/gm, "$1");
}
