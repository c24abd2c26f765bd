/** A table of C functions: name → parameters and result. */
export type FunctionTable = Readonly<Record<string, Deno.ForeignFunction>>;

/** The functions of a {@linkcode FunctionTable}, ready to call. */
export type Functions<Table extends FunctionTable> = {
  readonly [Name in keyof Table]: Deno.UnsafeFnPointer<Table[Name]>["call"];
};

/**
 * Opens a C library whose functions are bound at their first call: `Deno.dlopen` takes 0.1 to 0.6 ms for each function
 * that it binds, which is most of what a short command does.
 *
 * @throws {Error} if the library or one of its symbols is missing.
 */
export function openLibrary<const Table extends FunctionTable>(file: string, table: Table): Functions<Table> {
  const names = Object.keys(table);
  const addresses: Deno.ForeignLibraryInterface = Object.fromEntries(
    names.map((name) => [name, { type: "pointer" } as const]),
  );
  const symbols = Deno.dlopen(file, addresses).symbols as Record<string, Deno.PointerObject>;
  const functions: Record<string, unknown> = {};
  for (const name of names) {
    functions[name] = (...args: unknown[]) => {
      const bound = new Deno.UnsafeFnPointer(symbols[name] as never, table[name]!);
      const call = bound.call.bind(bound) as (...args: unknown[]) => unknown;
      functions[name] = call;
      return call(...args);
    };
  }
  return functions as Functions<Table>;
}
