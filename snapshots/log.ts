/** How much of the end of a log is read: the reason stands there. */
const TAIL_BYTES = 256 << 10;
const MOST_LINES = 4;
/** What CRIU says on every machine that gives it fewer rights than it hopes for. */
const HARMLESS = [
  /rlimit: Can't setup RLIMIT_NOFILE/,
  /ip6?tables(-legacy)?-(save|restore)/,
  /exited, status=/,
];
/** What only repeats that something failed. */
const FOLLOWING = [/(Dumping|Restoring|Pre-dumping) FAILED/, /Killed by signal/];

/** The errors of one of CRIU's logs in a line; empty if there are none, or no log. */
export function logExcerpt(path: string): string {
  let text: string;
  try {
    text = readTail(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
  return errorsOf(text);
}

/** The errors that a log tells, in a line. */
export function errorsOf(text: string): string {
  const errors = text.split("\n").flatMap((line) => {
    const [, error, other] = /Error \([^)]*\): (.*)|(Can't connect to server .*)/.exec(line) ?? [];
    const message = error ?? other;
    return message === undefined ? [] : [message.replaceAll("`", "'").trim()];
  }).filter((line) => !HARMLESS.some((each) => each.test(line)));
  const reasons = errors.filter((line) => !FOLLOWING.some((each) => each.test(line)));
  const told = reasons.length > 0 ? reasons : errors;
  return told.slice(0, MOST_LINES).join("; ");
}

function readTail(path: string): string {
  using file = Deno.openSync(path);
  const size = file.statSync().size;
  const from = Math.max(0, size - TAIL_BYTES);
  file.seekSync(from, Deno.SeekMode.Start);
  const bytes = new Uint8Array(size - from);
  let length = 0;
  for (let count: number | null = 1; count; length += count ?? 0) {
    count = file.readSync(bytes.subarray(length));
  }
  return new TextDecoder().decode(bytes.subarray(0, length));
}
