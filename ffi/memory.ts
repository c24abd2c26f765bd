const encoder = new TextEncoder();

/** The NUL-terminated UTF-8 of a string. */
export function cstring(value: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(value + "\0");
}

/** The address of a buffer, as a number to put into a struct. The caller keeps the buffer alive. */
export function addressOf(buffer: BufferSource): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer));
}
