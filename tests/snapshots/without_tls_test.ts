import { deepEqual, equal, ok } from "node:assert/strict";
import { Fd } from "../../ffi/fd.ts";
import { probeHost } from "../../runtime/host/probe.ts";
import { findCriu } from "../../snapshots/installed.ts";
import { withoutTls } from "../../snapshots/without_tls.ts";
import { runCriu } from "../../snapshots/worker.ts";
import { eventually } from "../helpers/eventually.ts";
import { snapshotTest } from "../helpers/snapshot_box.ts";
import { warmUp } from "../helpers/warm_up.ts";

if (Deno.uid() === 0) await warmUp();

const { arch } = probeHost();

/** The files that are mapped into the process that has become CRIU, once all are. */
async function filesOfCriu(): Promise<string[]> {
  const read = (file: string): string => {
    try {
      return Deno.readTextFileSync(file);
    } catch {
      return ""; // it has just ended
    }
  };
  const maps = (): string[] => {
    const threads = Array.from(Deno.readDirSync("/proc/self/task"), ({ name }) => name);
    const children = threads.flatMap((each) => read(`/proc/self/task/${each}/children`).trim().split(" "));
    const criu = children.map((pid) => pid === "" ? "" : read(`/proc/${pid}/maps`))
      .find((text) => text.includes("libexec/criu"));
    return criu?.split("\n").map((line) => line.split(/\s+/)[5] ?? "") ?? [];
  };
  return await eventually(maps, (files) => files.some((file) => file.includes("libc.so")));
}

snapshotTest("CRIU, as ./setup unpacks it, starts without its library for TLS", async () => {
  const criu = findCriu();
  ok(criu.loader, "it is that of ./setup");
  const worker = { arch, program: criu.program, flags: [] };
  let files: string[] = [];
  const ready = filesOfCriu().then((found) => {
    files = found;
  });
  const { result } = await runCriu(criu, worker, { what: "get_version", request: () => ({}), ready }) as {
    result: number;
  };
  const [major = 0, minor = 0, last = 0] = criu.version.split(".").map(Number);
  equal(result, (major * 100 + minor) * 100 + last);
  ok(files.some((file) => file.includes("libnftables")));
  deepEqual(files.filter((file) => /gnutls|p11-kit|nettle/.test(file)), []);
});

snapshotTest("what takes the place of that library has all that CRIU asks it for", async () => {
  const { loader, version } = findCriu();
  const [file = "", ...args] = loader!;
  using library = withoutTls(arch, version);
  const path = `/proc/${Deno.pid}/fd/${library!.raw}`;
  const run = async (...flags: readonly string[]): Promise<string> => {
    const { stdout, stderr } = await new Deno.Command(file, {
      args: ["--preload", path, ...args, ...flags],
      env: { LD_BIND_NOW: "1" }, // what is missing is an error at once
    }).output();
    equal(new TextDecoder().decode(stderr), "");
    return new TextDecoder().decode(stdout);
  };
  equal(await run("--version"), `Version: ${version}\n`);
});

Deno.test("a CRIU of another version has its library for TLS", () => {
  for (const version of ["", "4.1.1", "4.3", "5.0", "4.2.1.1"]) equal(withoutTls(arch, version), undefined);
  using library = withoutTls(arch, "4.2");
  ok(library instanceof Fd);
});
