const encoder = new TextEncoder();

/** The NUL-terminated UTF-8 of a string. */
export function cstring(value: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(value + "\0");
}

/**
 * The address of a buffer, as a number to put into a struct. A number keeps nothing alive: point into the very buffer
 * that is handed to the call.
 */
export function addressOf(buffer: BufferSource): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer));
}
