/** Loaded only for snapshots of a store. */
import { restoreSnapshot } from "../../mod.ts";

export { restoreSnapshot };
