import { deepEqual, equal } from "node:assert/strict";
import { MOUNT_ATTR, PROPAGATION } from "../../../../runtime/plan/kernel.ts";
import { mountOptions } from "../../../../runtime/plan/mount_options.ts";

/** Options → names of what is set and cleared on the mount, and on everything below it. */
const ROWS:
  readonly (readonly [options: string, set: string, clear: string, setAll?: string, clearAll?: string])[] = [
    ["", "", ""],
    ["defaults", "", ""],
    ["ro", "RDONLY", ""],
    ["rw", "", "RDONLY"],
    ["ro,rw", "", "RDONLY"],
    ["rw,ro", "RDONLY", ""],
    ["nosuid,nodev,noexec", "NOSUID NODEV NOEXEC", ""],
    ["nosuid,suid", "", "NOSUID"],
    ["nodiratime,nosymfollow", "NODIRATIME NOSYMFOLLOW", ""],
    ["symfollow", "", "NOSYMFOLLOW"],
    ["noatime", "NOATIME", "_ATIME"],
    ["noatime,strictatime", "STRICTATIME", "_ATIME"],
    ["strictatime,noatime", "NOATIME", "_ATIME"],
    ["noatime,relatime", "", "_ATIME"],
    ["norelatime", "STRICTATIME", "_ATIME"],
    ["nostrictatime", "", "_ATIME"],
    ["rro", "", "", "RDONLY", ""],
    ["rro,rrw", "", "", "", "RDONLY"],
    ["ro,rro", "RDONLY", "", "RDONLY", ""],
    ["rnoatime", "", "", "NOATIME", "_ATIME"],
    ["rrelatime", "", "", "", "_ATIME"],
    ["rnosuid,rexec,rdev", "", "", "NOSUID", "NOEXEC NODEV"],
    ["relatime", "", "_ATIME"],
    ["async,loud,silent,nolazytime,nomand,noiversion", "", ""],
  ];
for (const [options, set, clear, setAll = "", clearAll = ""] of ROWS) {
  Deno.test(`mountOptions() reads "${options}"`, () => {
    const found = mountOptions(options === "" ? [] : options.split(","));
    const names = (attributes: Record<string, number>): string => Object.keys(attributes).join(" ");
    deepEqual(
      [names(found.set), names(found.clear), names(found.setAll), names(found.clearAll)],
      [set, clear, setAll, clearAll],
    );
    deepEqual(found.data, []);
    for (const [name, value] of Object.entries(found.set)) equal(value, MOUNT_ATTR[name as "RDONLY"]);
  });
}

for (const word of ["shared", "slave", "private", "unbindable"] as const) {
  Deno.test(`mountOptions() reads the propagation ${word} and r${word}`, () => {
    const value = PROPAGATION[word.toUpperCase() as "SHARED"];
    const name = `MS_${word.toUpperCase()}`;
    deepEqual(mountOptions([word]).propagation, { name, value, recursive: false });
    deepEqual(mountOptions([`r${word}`]).propagation, { name, value, recursive: true });
  });
}

Deno.test("mountOptions() tells binds and their depth by option or type", () => {
  const of = (options: string[], type?: string): string => {
    const { bind, recursive } = mountOptions(options, type);
    return `${bind} ${recursive}`;
  };
  equal(of([]), "false false");
  equal(of(["bind"]), "true false");
  equal(of(["rbind"]), "true true");
  equal(of(["bind", "rbind"]), "true true");
  equal(of([], "bind"), "true false");
  equal(of([], "rbind"), "true true");
  equal(of(["ro"], "tmpfs"), "false false");
});

Deno.test("mountOptions() keeps what only the file system understands, in order", () => {
  const { data, remount, copyUp, idmap } = mountOptions(
    ["size=64m", "newinstance", "context=a=b", "remount", "tmpcopyup", "ridmap", "", "empty="],
  );
  deepEqual(data, [
    { key: "size", value: "64m" },
    { key: "newinstance" },
    { key: "context", value: "a=b" },
    { key: "empty", value: "" },
  ]);
  deepEqual([remount, copyUp, idmap], [true, true, "ridmap"]);
});

Deno.test("mountOptions() takes no name of an object's prototype for an option of its own", () => {
  for (const option of ["constructor", "toString", "rconstructor", "__proto__"]) {
    deepEqual(mountOptions([option]).data, [{ key: option }]);
  }
});
