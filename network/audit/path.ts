import { checkId } from "../../runtime/state/container_id.ts";
import { networkDirectory, networkPaths } from "../paths.ts";

/**
 * Where the audit log of a container is.
 *
 * @param id The container's.
 * @param root The directory of all containers, if it is not the usual one.
 */
export function auditLogPath(id: string, root?: string): string {
  checkId(id);
  return `${networkPaths(networkDirectory(root)).audit}/${id}.jsonl`;
}
