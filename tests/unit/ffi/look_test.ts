import { deepEqual, equal, throws } from "node:assert/strict";
import { SyscallError } from "../../../ffi/errno.ts";
import {
  namesAt,
  openInside,
  openPath,
  openPathAt,
  placeAt,
  placeIn,
  placeOf,
  readLinkAt,
  readTextAt,
} from "../../../ffi/look.ts";

/** A directory with links that lead out of it, and one that does not. */
function withTree(body: (path: string) => void): void {
  const path = Deno.makeTempDirSync({ prefix: "look-" });
  try {
    Deno.mkdirSync(`${path}/etc`);
    Deno.writeTextFileSync(`${path}/etc/passwd`, "inside");
    Deno.symlinkSync("/etc/passwd", `${path}/absolute`);
    Deno.symlinkSync("../../../../../../etc/passwd", `${path}/relative`);
    Deno.symlinkSync("/proc/self/root/etc/passwd", `${path}/magic`);
    body(path);
  } finally {
    Deno.removeSync(path, { recursive: true });
  }
}

Deno.test("openInside() takes the directory for the root, whatever links say", () => {
  withTree((path) => {
    using root = openPath(path);
    const inside = BigInt(Deno.statSync(`${path}/etc/passwd`).ino!);
    for (const name of ["/etc/passwd", "absolute", "relative"]) {
      using found = openInside(root, name);
      equal(placeOf(found!).inode, inside, name);
    }
    equal(openInside(root, "magic"), undefined);
    equal(openInside(root, "/nowhere/x"), undefined);
    throws(() => openInside(root, "/etc/passwd/x"), (error: unknown) => {
      return error instanceof SyscallError && error.message.endsWith("ENOTDIR");
    });
  });
});

Deno.test("openInside() follows none of /proc's own links", () => {
  using root = openPath("/");
  throws(() => openInside(root, "/proc/self/root/etc"), /ELOOP/);
});

Deno.test("placeOf() tells what stat tells, and the mount", () => {
  for (const path of ["/", "/proc", "/dev/null", "/etc/passwd"]) {
    using fd = openPath(path);
    const [place, { ino, mode, dev, rdev }] = [placeOf(fd), Deno.statSync(path)];
    const number = (pair: string): number => {
      const [major = 0, minor = 0] = pair.split(":").map(Number);
      return (minor & 0xff) | (major << 8) | ((minor & 0xfff00) << 12);
    };
    deepEqual(
      [place.inode, place.mode, number(place.device), number(place.node)],
      [BigInt(ino!), mode, dev, rdev],
    );
    const [, mount] = /^mnt_id:\s*(\d+)$/m.exec(Deno.readTextFileSync(`/proc/self/fdinfo/${fd.raw}`)) ?? [];
    equal(place.mount, Number(mount));
    equal(place.isMountRoot, path === "/" || path === "/proc");
    deepEqual(placeAt(path), place);
  }
});

Deno.test("openPathAt() and placeAt() follow what lies in a directory, however many names there were", () => {
  withTree((path) => {
    using directory = openPath(path);
    const inside = placeAt(`${path}/etc/passwd`);
    Deno.symlinkSync("etc/passwd", `${path}/link`);
    for (let turn = 0; turn < 2; turn++) {
      using found = openPathAt(directory, "link");
      deepEqual([placeOf(found), placeAt("link", directory)], [inside, inside]);
      for (let name = 0; name < 1100; name++) equal(placeIn(directory, `${turn}/${name}`), undefined);
    }
    throws(() => openPathAt(directory, "nothing"), /Cannot look at "nothing": ENOENT/);
  });
});

Deno.test("placeIn() tells of what lies in a directory, links themselves too", () => {
  withTree((path) => {
    using directory = openPath(path);
    deepEqual(placeIn(directory, "etc"), placeAt(`${path}/etc`));
    equal(placeIn(directory, "relative")!.mode & 0o170000, 0o120000);
    equal(placeIn(directory, "nothing"), undefined);
    using file = openPath(`${path}/etc/passwd`);
    throws(() => placeIn(file, "x"), /Cannot look at "x": ENOTDIR/);
  });
});

Deno.test("namesAt() lists a directory, however small its buffer", () => {
  withTree((path) => {
    using directory = openPath(path);
    const all = ["absolute", "etc", "magic", "relative"];
    deepEqual(namesAt(directory, ".", new Uint8Array(32)).sort(), all);
    deepEqual(namesAt(directory, ".", new Uint8Array(4096)).sort(), all);
    throws(() => namesAt(directory, "absolute", new Uint8Array(64)), /Cannot list "absolute": E/);
  });
});

Deno.test("readTextAt() puts pieces together, and stops at what is too much", () => {
  withTree((path) => {
    Deno.writeTextFileSync(`${path}/text`, "äöü".repeat(100));
    using directory = openPath(path);
    const buffer = new Uint8Array(7); // in the middle of letters
    equal(readTextAt(directory, "text", { buffer, mostBytes: 600 }), "äöü".repeat(100));
    throws(() => readTextAt(directory, "text", { buffer, mostBytes: 599 }), RangeError);
    throws(() => readTextAt(directory, "none", { buffer, mostBytes: 9 }), /Cannot read "none": ENOENT/);
    equal(readLinkAt(directory, "absolute", new Uint8Array(100)), "/etc/passwd");
    throws(() => readLinkAt(directory, "text", buffer), /Cannot read link "text": EINVAL/);
  });
});
