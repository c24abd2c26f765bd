/** The first user namespace always has this inode: PROC_USER_INIT_INO of the kernel's nsfs. */
const FIRST = "user:[4026531837]";

/** Whether this process is in a user namespace within the host's: being root there is no right on the host (user_namespaces(7)). */
export function inUserNamespace(): boolean {
  return Deno.readLinkSync("/proc/self/ns/user") !== FIRST;
}
