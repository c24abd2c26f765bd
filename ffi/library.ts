import { cstring } from "./memory.ts";

/** A table of C functions: name → parameters and result. */
export type FunctionTable = Readonly<Record<string, Deno.ForeignFunction>>;

/** The functions of a {@linkcode FunctionTable}, ready to call. */
export type Functions<Table extends FunctionTable> = {
  readonly [Name in keyof Table]: Deno.UnsafeFnPointer<Table[Name]>["call"];
};

const DLOPEN = { parameters: ["buffer", "i32"], result: "pointer" } as const; // void *dlopen(const char *, int flags)
const DLSYM = { parameters: ["pointer", "buffer"], result: "pointer" } as const; // void *dlsym(void *handle, const char *)
const ERRNO_LOCATION = { parameters: [], result: "pointer" } as const; // int *__errno_location(void)
const RTLD_NOW = 2;
/** As often as a function is called before it is worth it to compile its call: after some 150 more it has paid. */
const MANY_CALLS = 256;
/** What compiled calls are tried with; `tests/unit/ffi/library_test.ts` does. */
const PLAIN: readonly Deno.NativeResultType[] = [
  "i32",
  "u32",
  "i64",
  "u64",
  "isize",
  "usize",
  "buffer",
  "void",
];

interface Loader {
  readonly open: Deno.UnsafeFnPointer<typeof DLOPEN>;
  readonly find: Deno.UnsafeFnPointer<typeof DLSYM>;
  /** This thread's errno, known before the first call whose error it may hold: to look for it later could change it. */
  readonly errno: Int32Array;
}
let loader: Loader | undefined;

/** The C library's own dlopen and dlsym, for everything else, and its errno. */
function dynamicLoader(): Loader {
  if (!loader) {
    const pointer = { type: "pointer" } as const;
    const { symbols } = Deno.dlopen("libc.so.6", {
      dlopen: pointer,
      dlsym: pointer,
      __errno_location: pointer,
    });
    const location = new Deno.UnsafeFnPointer(symbols.__errno_location as never, ERRNO_LOCATION).call()!;
    loader = {
      open: new Deno.UnsafeFnPointer(symbols.dlopen as never, DLOPEN),
      find: new Deno.UnsafeFnPointer(symbols.dlsym as never, DLSYM),
      errno: new Int32Array(Deno.UnsafePointerView.getArrayBuffer(location, 4)),
    };
  }
  return loader;
}

/** The memory that holds this thread's errno. */
export function errnoMemory(): Int32Array {
  return dynamicLoader().errno;
}

/**
 * The functions of a C library. The library is opened and each function bound at its first call: `Deno.dlopen` takes
 * 0.01 to 0.6 ms for each function that it binds, which would be much of what a short command does. A process that calls
 * one often gets it that way.
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
      const call = bound.call.bind(bound) as Call;
      functions[name] = canBeCompiled(table[name]!)
        ? counting(call, () => functions[name] = compiled(file, name, table[name]!) ?? call)
        : call;
      return call(...args);
    };
  }
  return functions as Functions<Table>;
}

type Call = (...args: unknown[]) => unknown;

/** The same call, which is told when it has been made often. */
function counting(call: Call, often: () => void): Call {
  let calls = 0;
  return (...args) => {
    if (++calls === MANY_CALLS) often();
    return call(...args);
  };
}

function canBeCompiled({ parameters, result, nonblocking }: Deno.ForeignFunction): boolean {
  return !nonblocking && [...parameters, result].every((type) => PLAIN.includes(type));
}

/** A call by machine code that Deno makes for it in 0.3 to 0.6 ms: it takes 0.5 µs in place of 3. */
function compiled(file: string, name: string, definition: Deno.ForeignFunction): Call | undefined {
  try {
    return Deno.dlopen(file, { [name]: definition }).symbols[name] as Call;
  } catch {
    return undefined;
  }
}

/** Libraries that were found and stay open: to ask again takes the loader. */
const found = new Set<string>();

/** Whether a library can be opened on this machine; it stays open. */
export function isInstalled(file: string): boolean {
  if (!found.has(file) && dynamicLoader().open.call(cstring(file), RTLD_NOW) !== null) found.add(file);
  return found.has(file);
}
