import type { Mount } from "../../runtime/spec/config.ts";
import { MOUNTS, type Part, type TestBundle, USER_NAMESPACE } from "./launch_bundle.ts";

/** Says whose the files are that {@linkcode insideMaps} mounts. */
export const INSIDE_SCRIPT =
  "stat -c '%u %g' /plain/file /mapped/file /mapped/below/file /mapped/below/own/file";

/** Mounts that are copied from inside the root, which an earlier mount has made: with the ids of the user namespace, and others. */
export function insideMaps({ path, rootfs }: TestBundle): Part {
  for (const name of ["source", "below"]) {
    Deno.mkdirSync(`${path}/${name}`);
    Deno.writeTextFileSync(`${path}/${name}/file`, "");
    Deno.chownSync(`${path}/${name}/file`, 5, 6);
  }
  for (const name of ["source/below", "below/own", "rootfs/plain", "rootfs/mapped"]) {
    Deno.mkdirSync(`${path}/${name}`);
  }
  const uidMappings = [{ containerID: 5, hostID: 100_007, size: 1 }];
  const gidMappings = [{ containerID: 6, hostID: 100_008, size: 1 }];
  const mounts: Mount[] = [
    ...MOUNTS.filter(({ type }) => type !== "sysfs"),
    { destination: "/plain", source: `${path}/source`, options: ["bind"] },
    { destination: "/plain/below", source: `${path}/below`, options: ["bind"] },
    {
      destination: "/plain/below/own",
      source: `${rootfs}/plain/below`,
      options: ["bind"],
      uidMappings,
      gidMappings,
    },
    { destination: "/mapped", source: `${rootfs}/plain`, options: ["rbind", "idmap"] },
  ];
  return { mounts, linux: USER_NAMESPACE };
}
