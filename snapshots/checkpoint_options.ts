import type { Manifest } from "./manifest.ts";
import type { CriuOptions } from "./options.ts";

/** The config.json that the container was made from, for people and for comparison: nothing is restored by it. */
export const CONFIG = "config.json";

/** Options of `checkpointContainer()`. */
export interface CheckpointOptions extends CriuOptions {
  /** Images of before that these build upon, relative to their directory. */
  readonly parentPath?: string | undefined;
  /** The container goes on afterwards. @default {false} */
  readonly leaveRunning?: boolean;
  /** Hears what is wrong with hooks that run when it is gone. */
  readonly onWarning?: (warning: string) => void;
  /** Only the memory is written, and the container goes on. */
  readonly preDump?: boolean;
  /** Address and port of a page server that takes the pages; with `lazyPages`, where CRIU serves them itself. */
  readonly pageServer?: string | undefined;
  /**
   * Only what it has written over its rootfs, its environment and working directory: its program begins anew with them. No
   * CRIU is needed. @default {false}
   */
  readonly light?: boolean;
  /** With `lazyPages`: a descriptor that gets a zero byte, and is closed, when the images are there and pages are served. */
  readonly statusFd?: number | undefined;
}

/** A checkpoint that somebody adds to. */
export interface FinishedCheckpoint extends CheckpointOptions {
  /** Adds files to the images before they are where they are wanted. */
  readonly finish?: (directory: string, manifest: Omit<Manifest, "version">) => void;
}
