import { deepEqual } from "node:assert/strict";
import { outermost, shortened } from "../../../../runtime/learn/shorten.ts";

const many = (directory: string, count = 9): string[] =>
  Array.from({ length: count }, (_, index) => `${directory}file${index}`);

for (
  const [what, paths, wanted] of [
    ["keeps a few", ["/usr/lib/b", "/usr/lib/a"], ["/usr/lib/a", "/usr/lib/b"]],
    ["takes many neighbours as their directory", many("/usr/lib/"), ["/usr/lib/"]],
    ["leaves eight neighbours alone", many("/usr/lib/", 8), many("/usr/lib/", 8)],
    ["never takes a directory at the top", many("/etc/"), many("/etc/")],
    ["counts a directory as one neighbour", [...many("/a/b/c/"), ...many("/a/b/", 7)], [
      "/a/b/c/",
      ...many("/a/b/", 7),
    ]],
    ["goes on with the directories", [...many("/a/b/c/"), ...many("/a/b/", 8)], ["/a/b/"]],
    ["leaves out what lies in another", ["/usr/", ...many("/usr/lib/")], ["/usr/"]],
    ["knows the root", ["/", "/usr/lib/x"], ["/"]],
  ] as const
) {
  Deno.test(`shortened() ${what}`, () => deepEqual(shortened(paths), wanted));
}

Deno.test("outermost() takes no name for a directory that only begins like one", () => {
  deepEqual(outermost(["/tmp", "/tmpx", "/tmp/a", "/var/", "/var/a"]), ["/tmp", "/tmp/a", "/tmpx", "/var/"]);
});
