import { Sandbox, UnsupportedError } from "../../mod.ts";
import { probeHost } from "../../runtime/host/probe.ts";
import { findCriu } from "../../snapshots/installed.ts";
import { runCriu } from "../../snapshots/worker.ts";

/** Has the library open what it opens once and keeps, such as its reactor, before anything is counted. */
export async function warmUp(): Promise<void> {
  await using sandbox = await Sandbox.run({ command: ["true"] });
  await sandbox.wait();
  try {
    const criu = findCriu();
    const worker = { arch: probeHost().arch, program: criu.program, flags: [] };
    await runCriu(criu, worker, { what: "get_version", request: () => ({}) });
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
  }
}
