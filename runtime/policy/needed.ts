/** Calls that the sandbox itself makes under its policy's filters, before the program begins: every policy allows them. */
export const NEEDED: readonly string[] = ["close", "execve", "exit_group", "read", "sendmsg", "write"];
