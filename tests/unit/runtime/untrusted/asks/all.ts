import type { Ask } from "./ask.ts";
import { DOCUMENT_ASKS } from "./document.ts";
import { KERNEL_ASKS } from "./kernel.ts";
import { MOUNT_ASKS } from "./mounts.ts";
import { PROCESS_ASKS } from "./process.ts";

/** What bundles ask for that is cut, in the order of the rules. */
export const ASKS: readonly Ask[] = [...DOCUMENT_ASKS, ...MOUNT_ASKS, ...PROCESS_ASKS, ...KERNEL_ASKS];
