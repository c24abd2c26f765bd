import { equal, rejects } from "node:assert/strict";
import { Sandbox } from "../../mod.ts";
import { TestBundle } from "../helpers/launch_bundle.ts";

Deno.test("apparmorProfile is what the program runs under, and must be there", async () => {
  equal(Deno.readTextFileSync("/sys/module/apparmor/parameters/enabled"), "Y\n");
  using bundle = new TestBundle();
  bundle.write("cat /proc/self/attr/apparmor/current", { process: { apparmorProfile: "unconfined" } });
  {
    await using sandbox = await Sandbox.run({ bundle: bundle.path });
    equal(await new Response(sandbox.stdout).text(), "unconfined\n");
  }
  bundle.write("echo ran", { process: { apparmorProfile: "no-such-profile" } });
  await rejects(
    Sandbox.run({ bundle: bundle.path }),
    /Cannot run the program under AppArmor profile "no-such-profile" .*ENOENT/,
  );
});
