import { deepEqual } from "node:assert/strict";
import { readLine } from "../../../../runtime/plan/exec_line.ts";

for (
  const [line, expected] of [
    ["--process /p --detach --pid-file /f", ["--process", "process", "--detach", "--pid-file", "pidFile"]],
    ["-p /p -d", ["-p", "process", "-d"]],
    ["--env A=b -e C=d --cwd /x -u 5", ["--env", "A=b", "-e", "C=d", "--cwd", "/x", "-u", "5"]],
    ["--env=A=b --user=5:6", ["--env=A=b", "--user=5:6"]],
    ["", undefined],
    ["--tty", undefined],
    ["--detach=true", undefined],
    ["--process=/p", undefined],
    ["--process", undefined],
    ["--process /p --process /q", undefined],
    ["--pid-file /p --console-socket /c", undefined],
    ["-detach", undefined],
    ["--", undefined],
    [Array(70).fill("--detach").join(" "), undefined],
  ] as const
) {
  Deno.test(`readLine() understands "${line.slice(0, 60)}", or leaves it to Deno`, () => {
    const found = readLine(line.split(" ").filter((word) => word !== ""));
    deepEqual(found?.map((word) => typeof word === "string" ? word : word.path), expected);
  });
}
