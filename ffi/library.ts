import { cstring } from "./memory.ts";

/** A table of C functions: name → parameters and result. */
export type FunctionTable = Readonly<Record<string, Deno.ForeignFunction>>;

/** The functions of a {@linkcode FunctionTable}, ready to call. */
export type Functions<Table extends FunctionTable> = {
  readonly [Name in keyof Table]: Deno.UnsafeFnPointer<Table[Name]>["call"];
};

const DLOPEN = { parameters: ["buffer", "i32"], result: "pointer" } as const; // void *dlopen(const char *, int flags)
const DLSYM = { parameters: ["pointer", "buffer"], result: "pointer" } as const; // void *dlsym(void *handle, const char *)
const RTLD_NOW = 2;

let loader:
  | { open: Deno.UnsafeFnPointer<typeof DLOPEN>; find: Deno.UnsafeFnPointer<typeof DLSYM> }
  | undefined;

/** The C library's own dlopen and dlsym, for everything else. */
function dynamicLoader(): NonNullable<typeof loader> {
  if (!loader) {
    const { symbols } = Deno.dlopen("libc.so.6", { dlopen: { type: "pointer" }, dlsym: { type: "pointer" } });
    loader = {
      open: new Deno.UnsafeFnPointer(symbols.dlopen as never, DLOPEN),
      find: new Deno.UnsafeFnPointer(symbols.dlsym as never, DLSYM),
    };
  }
  return loader;
}

/**
 * The functions of a C library. The library is opened and each function bound at its first call: `Deno.dlopen` takes
 * 0.01 to 0.6 ms for each function that it binds, which would be much of what a short command does.
 *
 * @throws {Error} at the first call, if the library or the function is missing.
 */
export function openLibrary<const Table extends FunctionTable>(file: string, table: Table): Functions<Table> {
  let handle: Deno.PointerObject | null = null;
  const functions: Record<string, unknown> = {};
  for (const name in table) {
    functions[name] = (...args: unknown[]) => {
      const { open, find } = dynamicLoader();
      handle ??= open.call(cstring(file), RTLD_NOW);
      if (handle === null) {
        throw new Error(`Cannot open the library ${file}: it is not installed, or not for this machine`);
      }
      const address = find.call(handle, cstring(name));
      if (address === null) throw new Error(`Cannot use ${file}: it has no ${name}, it is too old`);
      const bound = new Deno.UnsafeFnPointer(address as never, table[name]!);
      const call = bound.call.bind(bound) as (...args: unknown[]) => unknown;
      functions[name] = call;
      return call(...args);
    };
  }
  return functions as Functions<Table>;
}

/** Whether a library can be opened on this machine; it stays open. */
export function isInstalled(file: string): boolean {
  return dynamicLoader().open.call(cstring(file), RTLD_NOW) !== null;
}
