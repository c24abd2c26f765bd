import { asRoot } from "./row.ts";
import { type Facts, SETTINGS } from "./facts.ts";

/** What decides over user namespaces. */
export type UserNamespaceFacts = Pick<Facts, "settings" | "uid" | "program">;

/** What the kernel's settings say. */
export function settings(): Facts["settings"] {
  const found: Record<string, string> = {};
  for (const [name, path] of Object.entries(SETTINGS)) {
    try {
      found[name] = Deno.readTextFileSync(path).trim();
    } catch {
      // It is not there, or not for us to read.
    }
  }
  return found;
}

/** The setting that forbids user namespaces, with the narrowest remedy there is. */
export function forbidden(facts: UserNamespaceFacts): { found: string; remedy: string } | undefined {
  const { usernsApparmor, usernsClone, usernsMost } = facts.settings;
  if (usernsMost === "0") {
    return {
      found: "user.max_user_namespaces is 0",
      remedy: `run it as root, or: ${asRoot(facts, "sysctl -w user.max_user_namespaces=1000")}`,
    };
  }
  if (usernsClone === "0") {
    return {
      found: "kernel.unprivileged_userns_clone is 0",
      remedy: `run it as root; this setting has no narrower way: to allow every user all user namespaces, ${
        asRoot(facts, "sysctl -w kernel.unprivileged_userns_clone=1")
      }`,
    };
  }
  if (usernsApparmor !== undefined && usernsApparmor !== "0") {
    return {
      found: "AppArmor allows user namespaces only to programs with a profile",
      remedy: profile(facts),
    };
  }
  return undefined;
}

/** An AppArmor profile that allows user namespaces to one program, instead of to all. */
function profile(facts: UserNamespaceFacts): string {
  const isDeno = facts.program.endsWith("/deno");
  const path = isDeno ? `'"$PWD/bin/runtime"'` : facts.program.replaceAll("'", `'\\''`);
  const text = `abi <abi/4.0>,\\nprofile ai-sandbox "%s" flags=(unconfined) {\\n  userns,\\n}\\n`;
  const file = "/etc/apparmor.d/ai-sandbox";
  const command = `printf '${text}' '${path}' | ${asRoot(facts, `tee ${file}`)} && ${
    asRoot(facts, `apparmor_parser --replace ${file}`)
  }`;
  return isDeno ? `deno task build && ${command}, and use bin/runtime` : command;
}
