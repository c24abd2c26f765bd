import type { AuditEntry } from "../audit/record.ts";
import type { AuditSink } from "./sandbox.ts";

/** Opens a log of one JSON line a record. */
export function openPlainLog(path: string): AuditSink {
  const file = Deno.openSync(path, { append: true, create: true, write: true, mode: 0o600 });
  return {
    append(entry: AuditEntry): void {
      const bytes = new TextEncoder().encode(
        `${JSON.stringify({ time: new Date().toISOString(), ...entry })}\n`,
      );
      if (file.writeSync(bytes) !== bytes.length) {
        throw new Error(`Cannot write all of a record to "${path}"`);
      }
    },
    [Symbol.dispose]: () => file.close(),
  };
}
