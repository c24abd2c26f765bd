/** What was captured. */
export interface Captured {
  readonly entries: number;
  readonly bytes: number;
}

const WRITE_BYTES = 1 << 20;

/** Writes text to a file that is not there yet, some at a time: a list of files may be long. */
export function writeIndex(path: string, parts: Iterable<string>): void {
  using index = Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
  let text = "";
  const flush = (): void => {
    const bytes = new TextEncoder().encode(text);
    for (let done = 0; done < bytes.length;) done += index.writeSync(bytes.subarray(done));
    text = "";
  };
  for (const part of parts) {
    text += part;
    if (text.length > WRITE_BYTES) flush();
  }
  flush();
}
