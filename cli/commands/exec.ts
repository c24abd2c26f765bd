import { expectToJoin } from "../../mod.ts";
import type { CommandHelp } from "../args.ts";
import type { Command, Global } from "../main.ts";

const help: CommandHelp = {
  name: "exec",
  summary:
    "Runs one more program in a container, and ends with its exit code; with 255 if that cannot be done.",
  usage: ["[FLAGS] ID [--] PROGRAM [ARG…]", "[FLAGS] --process FILE ID"],
  flags: [
    { name: "detach", short: "d", help: "leave the program to itself once it has begun" },
    { name: "tty", short: "t", help: "give the program a terminal" },
    { name: "cwd", value: "DIR", help: "working directory inside; it must be there" },
    { name: "env", short: "e", value: "NAME=VALUE", repeat: true, help: "more environment" },
    { name: "user", short: "u", value: "UID[:GID]", help: "numbers of its user and group" },
    { name: "additional-gids", short: "g", value: "GID", repeat: true, help: "one more group" },
    { name: "cap", short: "c", value: "CAP", repeat: true, help: "one more capability" },
    { name: "no-new-privs", help: "keep it from gaining rights by execve" },
    { name: "apparmor", value: "PROFILE", help: "its AppArmor profile" },
    { name: "process-label", value: "LABEL", help: "its SELinux label" },
    { name: "process", short: "p", value: "FILE", help: "take the process of a JSON file instead" },
    { name: "pid-file", value: "FILE", help: "write its pid to FILE" },
    { name: "console-socket", value: "PATH", help: "the Unix socket that gets its terminal" },
    { name: "pidfd-socket", value: "PATH", help: "the Unix socket that gets a pidfd of it" },
    { name: "preserve-fds", value: "N", help: "pass on N descriptors behind stderr" },
    { name: "ignore-paused", help: "also in a paused container: it begins when that is resumed" },
    { name: "cgroup", value: "[CONTROLLER:]PATH", repeat: true, help: "a cgroup below the container's" },
  ],
  examples: ["runtime exec box1 ps", "runtime exec --tty --user 1000:1000 box1 sh"],
};

async function run(argv: readonly string[], global: Global): Promise<number> {
  expectToJoin(); // while the rest is loaded
  const { exec } = await import("../exec.ts");
  return await exec(help, argv, global);
}

export const command: Command = { help, run };
