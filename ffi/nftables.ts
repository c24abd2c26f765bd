import { closeAtExec, isInherited } from "./fd.ts";
import { openLibrary } from "./library.ts";
import { cstring } from "./memory.ts";

/** Where libnftables is found. */
export const LIBNFTABLES = "libnftables.so.1";

const library = openLibrary(LIBNFTABLES, {
  nft_ctx_new: { parameters: ["u32"], result: "pointer" }, // struct nft_ctx *(uint32_t flags)
  nft_ctx_buffer_output: { parameters: ["pointer"], result: "i32" }, // (struct nft_ctx *)
  nft_ctx_buffer_error: { parameters: ["pointer"], result: "i32" }, // (struct nft_ctx *)
  nft_ctx_get_output_buffer: { parameters: ["pointer"], result: "pointer" }, // const char *(struct nft_ctx *)
  nft_ctx_get_error_buffer: { parameters: ["pointer"], result: "pointer" }, // const char *(struct nft_ctx *)
  nft_ctx_output_set_flags: { parameters: ["pointer", "u32"], result: "void" }, // (struct nft_ctx *, unsigned int flags)
  nft_run_cmd_from_buffer: { parameters: ["pointer", "buffer"], result: "i32" }, // (struct nft_ctx *, const char *buf)
});

const NFT_CTX_OUTPUT_JSON = 1 << 4;

/** nftables refused commands: none of them was done. */
export class NftablesError extends Error {
  /** Always `NftablesError`. */
  override readonly name = "NftablesError";
  /**
   * @param said What the library says of it.
   */
  constructor(readonly said: string) {
    super(`Cannot change the firewall: ${said.trim().split("\n")[0] || "nftables does not say why"}`);
  }
  /** Whether something that a command names is not there. */
  get isMissing(): boolean {
    return this.said.includes("No such file or directory");
  }
}

let kept: Nftables | undefined;

/** Talks to the packet filter of the network namespace in which it was made, through libnftables. */
export class Nftables {
  readonly #context: Deno.PointerValue;

  /**
   * The only one of this process: to close one lets the kernel wait until what was deleted is gone, often 10 ms.
   *
   * @throws {Error} if the library is not installed.
   */
  static get kept(): Nftables {
    return kept ??= new Nftables();
  }

  private constructor() {
    const before = inheritedDescriptors();
    this.#context = library.nft_ctx_new(0);
    // Its socket would be inherited otherwise by whatever this process starts.
    for (const descriptor of inheritedDescriptors()) if (!before.has(descriptor)) closeAtExec(descriptor);
    if (this.#context === null) throw new Error("Cannot talk to nftables: there is no memory for it");
    library.nft_ctx_buffer_output(this.#context);
    library.nft_ctx_buffer_error(this.#context);
  }

  /**
   * Does all the commands, or none of them.
   *
   * @param commands As nft(8) reads them from a file.
   * @throws {NftablesError} with what is wrong.
   */
  run(commands: string): void {
    this.#do(commands, 0);
  }

  /** What a command such as `list set …` tells, as nft's JSON. @throws {NftablesError} */
  list(command: string): unknown {
    const text = this.#do(command, NFT_CTX_OUTPUT_JSON);
    return text === "" ? {} : JSON.parse(text);
  }

  #do(commands: string, flags: number): string {
    const context = this.#context;
    library.nft_ctx_output_set_flags(context, flags);
    const failed = library.nft_run_cmd_from_buffer(context, cstring(commands)) !== 0;
    // Each is emptied by being read.
    const output = read(library.nft_ctx_get_output_buffer(context));
    const said = read(library.nft_ctx_get_error_buffer(context));
    if (failed) throw new NftablesError(said);
    return output;
  }
}

function inheritedDescriptors(): Set<number> {
  return new Set([...Deno.readDirSync("/proc/self/fd")].map(({ name }) => Number(name)).filter(isInherited));
}

function read(text: Deno.PointerValue): string {
  return text === null ? "" : new Deno.UnsafePointerView(text).getCString();
}
