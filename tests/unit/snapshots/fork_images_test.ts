import { deepEqual, equal, throws } from "node:assert/strict";
import { starterSpec } from "../../../runtime/starter_spec.ts";
import { checkForkable, forkBundle } from "../../../snapshots/fork_bundle.ts";
import { addFileMount, namespaceImages, renameHost } from "../../../snapshots/fork_images.ts";
import { markPlace } from "../../../snapshots/fork_mark.ts";
import { type Field, readFields, readImage, writeFields, writeImage } from "../../../snapshots/protobuf.ts";

const text = (value: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(value);

function image(...messages: readonly (readonly Field[])[]): Uint8Array<ArrayBuffer> {
  return writeImage({ magic: new Uint8Array(8), messages: messages.map(writeFields) });
}

Deno.test("namespaceImages() names the images of the first process's namespaces", () => {
  const ids = image([{ number: 8, value: 12n }, { number: 9, value: 13n }]);
  deepEqual(namespaceImages(ids), { uts: "utsns-12.img", mounts: "mountpoints-13.img" });
});

Deno.test("renameHost() changes the host name and nothing else", () => {
  const of = (name: string): Uint8Array<ArrayBuffer> =>
    image([{ number: 1, value: text(name) }, { number: 2, value: text("(none)") }]);
  deepEqual(renameHost(of("box"), "box-12"), of("box-12"));
});

Deno.test("addFileMount() adds a read-only mount on the root with an id of its own", () => {
  const mount = (id: bigint, path: string, parent: bigint): Field[] => [
    { number: 2, value: id },
    { number: 4, value: parent },
    { number: 5, value: 0n },
    { number: 6, value: text("/srv/box/rootfs") },
    { number: 7, value: text(path) },
  ];
  const before = image(mount(9n, "/proc", 5n), mount(5n, "/", 1n));
  const [added, ...others] = readImage(addFileMount(before, "/etc/machine-id")).messages;
  deepEqual(others, readImage(before).messages);
  deepEqual(readFields(added!), [
    { number: 2, value: 10n },
    { number: 4, value: 5n },
    { number: 5, value: 2_097_167n },
    { number: 6, value: text("/etc/machine-id") },
    { number: 7, value: text("/etc/machine-id") },
    { number: 18, value: text("/etc/machine-id") },
  ]);
  // The parent of the root is not among them, and must not be taken for the new one.
  const root = image(mount(9n, "/proc", 5n), mount(5n, "/", 10n));
  const [above] = readImage(addFileMount(root, "/etc/machine-id")).messages;
  deepEqual(readFields(above!)[0], { number: 2, value: 11n });
  throws(() => addFileMount(image([]), "/etc/machine-id"), /it has no root mount/);
});

Deno.test("forkBundle() gives a fork a host name, a cgroup and a machine-id of its own", () => {
  const spec = starterSpec();
  const bundle = {
    path: "/srv/box",
    spec: { ...spec, linux: { ...spec.linux, cgroupsPath: "/agents/box" } },
  };
  const fork = forkBundle(bundle, { id: "box-2", machineId: "/run/box-2/machine-id" }).spec;
  equal(fork.hostname, "box-2");
  equal(fork.linux?.cgroupsPath, "/agents/box-2");
  deepEqual(fork.mounts?.at(-1)?.source, "/run/box-2/machine-id");
  const again = forkBundle({ path: "/srv/box", spec: fork }, { id: "box-2-1", machineId: "/run/other" }).spec;
  equal(again.mounts?.length, fork.mounts?.length);
  const shared = { ...spec, linux: { ...spec.linux, namespaces: [{ type: "pid" as const }] } };
  equal(forkBundle({ path: "/srv/box", spec: shared }, { id: "box-2" }).spec.hostname, spec.hostname);
  const quiet = { ...spec, process: { ...spec.process!, terminal: false } };
  throws(() => checkForkable({ ...quiet, linux: {} }), /give the container a pid namespace/);
  throws(
    () => checkForkable({ ...spec, process: { ...spec.process!, terminal: true } }),
    /nobody would have its terminal/,
  );
});

Deno.test("markPlace() takes only a file system in memory that the container has for itself", () => {
  const tmpfs = (destination: string): { destination: string; type: string; source: string } => {
    return { destination, type: "tmpfs", source: "tmpfs" };
  };
  const bind = { destination: "/run", type: "tmpfs", source: "/run", options: ["bind"] };
  const spec = starterSpec();
  equal(markPlace({ ...spec, mounts: [tmpfs("/dev"), tmpfs("/run/")] }, undefined), "/run");
  equal(markPlace({ ...spec, mounts: [tmpfs("/dev"), tmpfs("/run"), bind] }, undefined), "/dev");
  equal(markPlace({ ...spec, mounts: [bind] }, undefined), undefined);
});
