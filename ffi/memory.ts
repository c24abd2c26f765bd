const encoder = new TextEncoder();
const SHORT = 64;

/** The NUL-terminated UTF-8 of a string. */
export function cstring(value: string): Uint8Array<ArrayBuffer> {
  // Most are short and ASCII, for which a loop is faster than to ask the encoder.
  if (value.length > SHORT) return encoder.encode(value + "\0");
  const bytes = new Uint8Array(value.length + 1);
  for (let index = 0; index < value.length; index++) {
    const code = value.charCodeAt(index);
    if (code > 0x7f) return encoder.encode(value + "\0");
    bytes[index] = code;
  }
  return bytes;
}

/**
 * The address of a buffer, as a number to put into a struct. A number keeps nothing alive: point into the very buffer
 * that is handed to the call.
 */
export function addressOf(buffer: BufferSource): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer));
}
