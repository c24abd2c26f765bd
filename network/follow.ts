/** How often it is looked for new lines. */
const LOOK_MS = 50;

/**
 * Hears of records that are appended to a file of lines of JSON, from its end on; at the end of following all that are
 * there by then have been told.
 */
export function follow(path: string, tell: (record: object) => void): AsyncDisposable {
  using stack = new DisposableStack();
  const file = stack.adopt(Deno.openSync(path), (each) => each.close());
  file.seekSync(0, Deno.SeekMode.End);
  const buffer = new Uint8Array(65_536);
  const decoder = new TextDecoder();
  let rest = "";
  const look = (): void => {
    for (let count = file.readSync(buffer); count; count = file.readSync(buffer)) {
      const lines = (rest + decoder.decode(buffer.subarray(0, count), { stream: true })).split("\n");
      rest = lines.pop()!;
      for (const line of lines) tell(JSON.parse(line));
    }
  };
  const timer = setInterval(look, LOOK_MS);
  stack.defer(() => clearInterval(timer));
  const kept = stack.move();
  return {
    [Symbol.asyncDispose]: () => {
      look();
      kept.dispose();
      return Promise.resolve();
    },
  };
}
