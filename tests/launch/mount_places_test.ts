import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { Mount } from "../../runtime/spec/config.ts";
import { INSIDE_SCRIPT, insideMaps } from "../helpers/inside_maps.ts";
import { MOUNTS, USER_NAMESPACE } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";
import { HostTmpfs, mountAt, parseMountInfo } from "../helpers/launch_mountinfo.ts";

launchTest("launch() makes missing places of mounts, directories and files", async (bundle) => {
  const source = `${bundle.path}/source`;
  Deno.mkdirSync(source);
  Deno.writeTextFileSync(`${source}/file`, "text");
  const mounts: Mount[] = [
    ...MOUNTS,
    { destination: "/a/b/c", type: "tmpfs" },
    { destination: "/a/d/dir", source, options: ["bind"] },
    { destination: "/a/d/file.txt", source: `${source}/file`, options: ["bind", "ro"] },
    { destination: "relative/place", type: "tmpfs" },
    { destination: "/a/b/c/inner/deep", type: "tmpfs" },
    { destination: "//etc/./x//", type: "tmpfs" },
  ];
  const script =
    "stat -c '%n %a %u %F' /a /a/b /a/d /a/d/file.txt; cat /a/d/file.txt /a/d/dir/file; echo; grep -c . /proc/self/mountinfo; ls /relative /etc";
  const text = await bundle.output(script, { mounts });
  equal(
    text,
    [
      "/a 755 0 directory",
      "/a/b 755 0 directory",
      "/a/d 755 0 directory",
      "/a/d/file.txt 644 0 regular file",
      "texttext",
      "12",
      "/etc:",
      "x",
      "",
      "/relative:",
      "place",
    ].join("\n"),
  );
  equal(Deno.statSync(`${bundle.rootfs}/a/d/file.txt`).size, 0);
});

launchTest("launch() makes the place of a file in a root that becomes read-only", async (bundle) => {
  Deno.writeTextFileSync(`${bundle.path}/conf`, "new");
  const mounts = [...MOUNTS, { destination: "/etc/conf", source: "conf", options: ["bind"] }];
  const root = { path: "rootfs", readonly: true };
  equal(
    await bundle.output("cat /etc/conf; touch /x 2>/dev/null || echo closed", { mounts, root }),
    "newclosed",
  );
});

launchTest("launch() uses places that exist and keeps their mode and content", async (bundle) => {
  bundle.file("etc/conf", "old", 0o600);
  const source = `${bundle.path}/conf`;
  Deno.writeTextFileSync(source, "new");
  const mounts = [...MOUNTS, { destination: "/etc/conf", source: "conf", options: ["bind"] }];
  equal(await bundle.output("cat /etc/conf", { mounts }), "new");
  equal(Deno.readTextFileSync(`${bundle.rootfs}/etc/conf`), "old");
  equal((Deno.statSync(`${bundle.rootfs}/etc/conf`).mode ?? 0) & 0o777, 0o600);
});

launchTest(
  "launch() mounts in the order of the spec: a later mount covers an earlier one",
  async (bundle) => {
    const [one, two] = ["one", "two"].map((name) => {
      Deno.mkdirSync(`${bundle.path}/${name}`);
      Deno.writeTextFileSync(`${bundle.path}/${name}/who`, name);
      return { destination: "/m", source: name, options: ["bind"] };
    });
    equal(await bundle.output("cat /m/who", { mounts: [...MOUNTS, one!, two!] }), "two");
    equal(await bundle.output("cat /m/who", { mounts: [...MOUNTS, two!, one!] }), "one");
  },
);

launchTest("launch() refuses a file on a directory and a directory on a file", async (bundle) => {
  Deno.writeTextFileSync(`${bundle.path}/f`, "");
  Deno.mkdirSync(`${bundle.path}/d`);
  bundle.file("etc/file", "");
  const file = await bundle.failure("true", {
    mounts: [...MOUNTS, { destination: "/etc", source: "f", options: ["bind"] }],
  });
  match(file.message, /^Cannot mount "f" on "\/etc" .* a directory can only be mounted on a directory/);
  const directory = await bundle.failure("true", {
    mounts: [...MOUNTS, { destination: "/etc/file", source: "d", options: ["bind"] }],
  });
  match(directory.message, /"\/etc\/file".*ENOTDIR; the rootfs has something else there/);
});

launchTest(
  "launch() shows a directory through a tmpfs that copies up, and keeps changes in it",
  async (bundle) => {
    bundle.file("etc/one", "1", 0o640);
    bundle.file("etc/sub/two", "2");
    const mounts = [...MOUNTS, { destination: "/etc", type: "tmpfs", options: ["tmpcopyup", "size=1m"] }];
    const script =
      "cat /etc/one /etc/sub/two; rm /etc/one; echo 3 > /etc/three; ls /etc; stat -c %a /etc/sub/two";
    equal(await bundle.output(script, { mounts }), "12sub\nthree\n644");
    deepEqual([...Deno.readDirSync(`${bundle.rootfs}/etc`)].map(({ name }) => name).toSorted(), [
      "one",
      "sub",
    ]);
  },
);

launchTest("launch() copies nothing up where nothing is, and keeps the directory's mode", async (bundle) => {
  for (const [path, mode] of [["empty", 0o1777], ["full", 0o2710], ["full/below", 0o700]] as const) {
    Deno.mkdirSync(`${bundle.rootfs}/${path}`);
    Deno.chmodSync(`${bundle.rootfs}/${path}`, mode);
  }
  bundle.file("full/file", "1");
  const tmpfs = (destination: string): Mount => ({
    destination,
    type: "tmpfs",
    source: "tmpfs",
    options: ["rw", "nosuid", "tmpcopyup", ""], // as Podman writes them
  });
  const mounts = [...MOUNTS, ...["/empty", "/full", "/full/below", "/new"].map(tmpfs)];
  const script = "stat -c '%n %a' /empty /full /full/below; cat /full/file; echo; " +
    'for each in /empty /full /full/below /new; do grep -c " $each " /proc/self/mountinfo; done; ' +
    "touch /empty/x /full/x /full/below/x /new/x && ls /full";
  equal(
    await bundle.output(script, { mounts }, { trusted: true }),
    "/empty 1777\n/full 2710\n/full/below 700\n1\n1\n2\n1\n1\nbelow\nfile\nx",
  );
  equal(Array.from(Deno.readDirSync(`${bundle.rootfs}/empty`)).length, 0);
});

launchTest(
  "launch() copies up what an earlier mount has brought to a directory that had nothing",
  async (bundle) => {
    const source = `${bundle.path}/source`;
    Deno.mkdirSync(`${source}/below`, { recursive: true });
    Deno.writeTextFileSync(`${source}/below/file`, "1");
    Deno.mkdirSync(`${bundle.rootfs}/place`);
    const bind: Mount = { destination: "/place", source, options: ["bind"] };
    for (const destination of ["/place", "/place/below"]) {
      const copied: Mount = { destination, type: "tmpfs", source: "tmpfs", options: ["tmpcopyup"] };
      const script = "cat /place/below/file; echo 2 > /place/below/file";
      equal(await bundle.output(script, { mounts: [...MOUNTS, bind, copied] }, { trusted: true }), "1");
      equal(Deno.readTextFileSync(`${source}/below/file`), "1");
    }
  },
);

const MAPS = {
  uidMappings: [{ containerID: 1000, hostID: 7, size: 1 }],
  gidMappings: [{ containerID: 2000, hostID: 8, size: 1 }],
};

launchTest("launch() maps the ids of a bind mount by idmap and of all below it by ridmap", async (bundle) => {
  const source = `${bundle.path}/source`;
  using nested = new HostTmpfs(`${source}/nested`);
  for (const path of [source, nested.path]) {
    Deno.writeTextFileSync(`${path}/file`, "");
    Deno.chownSync(`${path}/file`, 1000, 2000);
  }
  const mounts: Mount[] = [
    ...MOUNTS,
    { destination: "/top", source, options: ["rbind", "idmap"], ...MAPS },
    { destination: "/all", source, options: ["rbind", "ridmap"], ...MAPS },
    { destination: "/implied", source, options: ["bind"], ...MAPS },
    { destination: "/none", source, options: ["bind"] },
  ];
  const script =
    "stat -c '%n %u %g' /top/file /top/nested/file /all/file /all/nested/file /implied/file /none/file; touch /all/new 2>&1";
  const { stdout } = await bundle.run(script, { mounts });
  equal(
    stdout,
    [
      "/top/file 7 8",
      "/top/nested/file 1000 2000",
      "/all/file 7 8",
      "/all/nested/file 7 8",
      "/implied/file 7 8",
      "/none/file 1000 2000",
      "touch: /all/new: Value too large for defined data type",
      "",
    ].join("\n"),
  );
});

launchTest(
  "launch() gives a bind mount with idmap the owners of the sandbox's user namespace",
  async (bundle) => {
    const source = `${bundle.path}/source`;
    Deno.mkdirSync(source);
    Deno.chownSync(source, 5, 5);
    const mounts: Mount[] = [
      ...MOUNTS,
      { destination: "/tmp", type: "tmpfs" },
      { destination: "/tmp/mapped", source, options: ["bind", "idmap"] },
      { destination: "/tmp/plain", source, options: ["bind"] },
    ];
    const script = "stat -c '%u %g' /tmp/mapped /tmp/plain; touch /tmp/mapped/by-root";
    equal(await bundle.output(script, { mounts, linux: USER_NAMESPACE }), "5 5\n65534 65534");
    equal(Deno.statSync(`${source}/by-root`).uid, 0);
  },
);

launchTest("launch() maps what is mounted inside only, in a user namespace too", async (bundle) => {
  equal(await bundle.output(INSIDE_SCRIPT, insideMaps(bundle)), "65534 65534\n5 6\n65534 65534\n7 8");
});

launchTest(
  "launch() gives every bind mount of a namespace of the host the host's own files",
  async (bundle) => {
    const text = await bundle.output("cat /m/hostname; ls /m2 | head -n 1", {
      mounts: [...MOUNTS, { destination: "/m", source: "/proc/sys/kernel", options: ["bind", "ro"] }, {
        destination: "/m2",
        source: "/usr/share/zoneinfo/../..",
        options: ["rbind", "ro"],
      }],
    });
    ok(text.length > 0);
  },
);

launchTest("launch() leaves nothing of the host in the mounts of the sandbox", async (bundle) => {
  for (const overlay of [{ kind: "none" }, { kind: "tmpfs" }] as const) {
    const lines = parseMountInfo(await bundle.output("cat /proc/self/mountinfo", {}, { overlay }));
    const expected = ["/", ...MOUNTS.map(({ destination }) => destination)];
    deepEqual(lines.map(({ path }) => path).toSorted(), expected.toSorted());
    equal(mountAt(lines, "/").propagation.join(), "");
  }
  equal(
    await bundle.output("ls -d /proc/1/root/* /../*; cat /proc/1/mounts | wc -l"),
    [
      ...["bin", "dev", "etc", "proc", "sys", "tmp"].map((name) => `/../${name}`),
      ...["bin", "dev", "etc", "proc", "sys", "tmp"].map((name) => `/proc/1/root/${name}`),
      "6",
    ].join("\n"),
  );
});

launchTest("launch() makes the root read-only, with its mounts writable", async (bundle) => {
  const script =
    "touch /x; touch /etc/x; touch /dev/shm/x && echo shm; grep ' / ' /proc/mounts | cut -d' ' -f4 | cut -d, -f1";
  for (const overlay of [{ kind: "none" }, { kind: "tmpfs" }] as const) {
    const { stdout, stderr } = await bundle.run(script, { root: { readonly: true } }, { overlay });
    equal(stdout, "shm\nro\n");
    equal(stderr, "touch: /x: Read-only file system\ntouch: /etc/x: Read-only file system\n");
  }
});

for (
  const [word, expected] of [
    ["shared", /^shared:\d+( master:\d+)?$/],
    ["slave", /^(master:\d+)?$/],
    ["private", /^$/],
    ["unbindable", /^unbindable$/],
    ["rprivate", /^$/],
  ] as const
) {
  launchTest(`launch() makes the propagation of the root ${word}`, async (bundle) => {
    const text = await bundle.output("cat /proc/self/mountinfo", { linux: { rootfsPropagation: word } });
    match(mountAt(parseMountInfo(text), "/").propagation.join(" "), expected);
  });
}
