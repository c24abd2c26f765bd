import { readMemory, readString } from "../../ffi/peek.ts";
import type { ObservedCall } from "../supervise/observed_calls.ts";
import { CHANGES, EXECUTES, type NameChange, OPEN, OPENS, type PathArgument } from "./file_calls.ts";
import type { FileUse, Needs } from "./needs.ts";
import { absolute, find, type Found, interpreter, isThere } from "./places.ts";

/** `#!` lines that name scripts, and the loader of the last: the kernel goes no deeper. */
const MAX_INTERPRETERS = 6;

/** What is kept of paths, in characters: a program can make up any number of them. */
const MAX_KEPT = 16 << 20;

/** Notes which files the calls of a sandbox are about. */
export class FileRecorder {
  readonly #needs: Needs["files"];
  /** What the program has made: another run may give it another name. */
  readonly #made = new Set<string>();
  readonly #done = new Set<string>();
  #kept = 0;

  constructor(needs: Needs["files"]) {
    this.#needs = needs;
  }

  /** Whether no more is kept. */
  get isFull(): boolean {
    return this.#kept > MAX_KEPT;
  }

  /** Looks at a call before it is made. */
  note(name: string, call: ObservedCall): void {
    if (this.isFull) return;
    const opens = OPENS.get(name);
    if (opens) return this.#open(name, call, opens);
    const executes = EXECUTES.get(name);
    if (executes) return this.#execute(call, this.#path(call, executes));
    if (name === "truncate") return this.#write(call, this.#path(call, { path: 0 }));
    for (const change of CHANGES.get(name) ?? []) this.#change(call, this.#path(call, change), change.how);
  }

  /** A socket that gets a name in the file system. */
  noteSocket(call: ObservedCall, path: string): void {
    this.#change(call, absolute(call.pid, path), "makes");
  }

  #open(
    name: string,
    call: ObservedCall,
    { flags, how, ...where }: NonNullable<ReturnType<typeof OPENS.get>>,
  ): void {
    const path = this.#path(call, where);
    const bits = name === "creat"
      ? OPEN.CREAT | OPEN.WRONLY | OPEN.TRUNC
      : how === undefined
      ? Number(call.arguments[flags!]! & 0xffffffffn)
      : flagsAt(call, how);
    const key = `${bits} ${path}`;
    if (path === undefined || (bits & OPEN.PATH) !== 0 || this.#done.has(key)) return;
    const access = bits & OPEN.ACCMODE;
    const [reads, writes] = [
      access !== OPEN.WRONLY,
      access !== 0 || (bits & (OPEN.TRUNC | OPEN.TMPFILE)) !== 0,
    ];
    const found = find(call.pid, path);
    if (!found) {
      const made = (bits & OPEN.CREAT) === 0 ? undefined : this.#change(call, path, "makes");
      if (reads && made !== undefined) this.#use("read", made);
      return;
    }
    this.#keep(this.#done, key);
    if (reads) this.#use(found.isDirectory ? "list" : "read", found.path);
    if (writes && !found.isReadonly) this.#use("write", found.path);
  }

  #write(call: ObservedCall, path: string | undefined): void {
    const found = path === undefined ? undefined : find(call.pid, path);
    if (found && !found.isReadonly) this.#use("write", found.path);
  }

  #execute(call: ObservedCall, path: string | undefined): void {
    let next = path;
    for (let depth = 0; next !== undefined && depth < MAX_INTERPRETERS; depth++) {
      const key = `execute ${next}`;
      const found: Found | undefined = this.#done.has(key) ? undefined : find(call.pid, next, { head: true });
      if (!found || found.isDirectory) return;
      this.#keep(this.#done, key);
      this.#use("execute", found.path);
      const named: string | undefined = interpreter(found.head);
      next = named && absolute(call.pid, named);
    }
  }

  /** A name in a directory: what is not there cannot be taken away, and what is there cannot be made. */
  #change(call: ObservedCall, path: string | undefined, how: NameChange["how"]): string | undefined {
    if (path === undefined || (how !== "replaces" && isThere(call.pid, path) === (how === "makes"))) {
      return undefined;
    }
    const [, parent = "/", name = ""] = /^(.*\/)([^/]+)\/*$/.exec(path) ?? [];
    const found = find(call.pid, parent);
    if (!found || found.isReadonly) return undefined;
    this.#use("write", found.path);
    const changed = `${found.path}${name}`;
    if (how !== "takes") this.#keep(this.#made, changed);
    return changed;
  }

  #keep(set: Set<string>, path: string): void {
    if (!set.has(path)) this.#kept += path.length;
    set.add(path);
  }

  #use(use: FileUse, path: string): void {
    this.#needs[use].add(this.#lasting(path));
  }

  /** What was made is known by the directory that it was made in. */
  #lasting(path: string): string {
    for (let end = path.indexOf("/", 1);; end = path.indexOf("/", end + 1)) {
      const prefix = end < 0 ? path : path.slice(0, end);
      if (this.#made.has(prefix)) return prefix.slice(0, prefix.lastIndexOf("/") + 1);
      if (end < 0) return path;
    }
  }

  /** The path in an argument; nothing if it cannot be read, or is no text. */
  #path(call: ObservedCall, { path, at }: PathArgument): string | undefined {
    const bytes = readString(call.pid, call.arguments[path]!);
    if (!bytes || !call.isWaiting()) return undefined;
    const directory = at === undefined ? undefined : Number(BigInt.asIntN(32, call.arguments[at]!));
    try {
      return absolute(call.pid, new TextDecoder("utf-8", { fatal: true }).decode(bytes), directory);
    } catch {
      return undefined;
    }
  }
}

/** The flags in `struct open_how`. */
function flagsAt(call: ObservedCall, argument: number): number {
  const bytes = readMemory(call.pid, call.arguments[argument]!, 8);
  return bytes ? new DataView(bytes.buffer).getUint32(0, true) : 0;
}
