/** The first user namespace always has this inode: PROC_USER_INIT_INO of the kernel's nsfs. */
const FIRST = "user:[4026531837]";

/** Asked once: a process with threads cannot change it (setns(2), unshare(2)). */
let within: boolean | undefined;

/** Whether this process is in a user namespace within the host's: being root there is no right on the host (user_namespaces(7)). */
export function inUserNamespace(): boolean {
  return within ??= Deno.readLinkSync("/proc/self/ns/user") !== FIRST;
}
