import { equal } from "node:assert/strict";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { containerTest } from "../helpers/container_test.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { INSIDE_SCRIPT, insideMaps } from "../helpers/inside_maps.ts";
import { USER_NAMESPACE } from "../helpers/launch_bundle.ts";

containerTest("a container has mounts that are mapped inside, in its user namespace", async () => {
  await using boxes = new Containers();
  const { mounts } = insideMaps(boxes.bundle);
  const linux = { ...starterSpec().linux, ...USER_NAMESPACE };
  boxes.write(["/bin/sh", "-c", INSIDE_SCRIPT], { linux, mounts: mounts! });
  equal(
    await boxes.output("run", "--bundle", boxes.bundle.path, BOX),
    "65534 65534\n5 6\n65534 65534\n7 8\n",
  );
});
