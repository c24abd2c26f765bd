import { deepEqual, equal, throws } from "node:assert/strict";
import { SyscallError } from "../../../ffi/errno.ts";
import { openInside, openPath, placeAt, placeOf, readLinkAt, readTextAt } from "../../../ffi/look.ts";

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
