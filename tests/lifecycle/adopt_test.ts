import { equal, match } from "node:assert/strict";
import { BOX, Containers } from "../helpers/containers.ts";
import { containerTest } from "../helpers/container_test.ts";

containerTest("adopt takes in nobody but its own children: others' containers stay as they are", async () => {
  await using containers = new Containers();
  await containers.output("create", BOX);
  const { pid } = JSON.parse(await containers.output("state", BOX));
  for (const args of [["--container", BOX, `${pid}`], ["--container", BOX, `${pid}`, "late"]]) {
    const { code, stderr } = await containers.run("adopt", ...args);
    equal(code, 1);
    match(stderr, new RegExp(`Cannot wait for process ${pid}: it is no child of this one`));
  }
  const { code, stderr } = await containers.run("adopt", `${pid}`, `${pid}`, "0");
  equal(code, 1);
  match(stderr, new RegExp(`Cannot supervise process ${pid}: it is no child of this one`));
  equal(await containers.status(BOX), "created");
  await containers.output("delete", "--force", BOX);
});
