import { createSnapshot, rewindContainer } from "../../mod.ts";
import { criuOptions } from "../criu.ts";
import { print } from "../print.ts";
import { warn } from "../report.ts";
import { writePid } from "../result_file.ts";
import type { Act } from "./parts.ts";

/** What takes snapshots and goes back to them. */
export const act: Readonly<Record<string, Act>> = {
  async create(args, global): Promise<number> {
    const { imagePath: _, ...criu } = criuOptions(args, global);
    const { id } = await createSnapshot(args.words[0]!, {
      ...criu,
      store: args.value("store"),
      tag: args.value("tag"),
      light: args.has("light"),
      incremental: args.has("incremental"),
      compress: args.has("compress"),
      leaveRunning: args.has("leave-running"),
      tcpSkipInFlight: args.has("tcp-skip-in-flight"),
      linkRemap: args.has("link-remap"),
      onWarning: (warning) => warn(warning, global),
    });
    await print(`${id}\n`);
    return 0;
  },
  async rewind(args, global): Promise<number> {
    const { imagePath: _, ...criu } = criuOptions(args, global);
    const [id, name] = args.words;
    const pidFile = args.value("pid-file");
    await rewindContainer(id!, name!, {
      ...criu,
      store: args.value("store"),
      bundle: args.value("bundle"),
      detach: true,
      ...(pidFile !== undefined && { onPid: (pid: number) => writePid(pidFile, pid) }),
    });
    return 0;
  },
};
