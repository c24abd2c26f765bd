import { needsPackages, STRANGER } from "./cli.ts";
import type { Linux } from "../../runtime/spec/config.ts";

/** A directory of a user without rights, with packages of npm for the runtime that it starts, if that needs any. */
export class StrangersHome implements Disposable {
  readonly path: string = Deno.makeTempDirSync();
  /** Where Deno finds the packages: for `DENO_DIR`. */
  readonly cache: string = `${this.path}/deno`;

  /** @param others Directories that become the user's, too. */
  constructor(...others: readonly string[]) {
    for (const each of [this.path, ...others]) Deno.chownSync(each, STRANGER, STRANGER);
    if (!needsPackages) return;
    const script = `mkdir "$1" && cp -r "$DENO_DIR/npm" "$1"/ && chown -R ${STRANGER} "$1"`;
    new Deno.Command("sh", { args: ["-c", script, "sh", this.cache] }).outputSync();
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** The namespaces of a container whose root is that user. */
export function strangersLinux(): Linux {
  const ids = [{ containerID: 0, hostID: STRANGER, size: 1 }];
  const types = ["pid", "network", "ipc", "uts", "mount", "user"] as const;
  return {
    namespaces: types.map((type) => ({ type })),
    uidMappings: ids,
    gidMappings: ids,
    resources: { pids: { limit: 20 } },
  };
}
