import { equal, rejects } from "node:assert/strict";
import { Sandbox } from "../../mod.ts";
import { TestBundle } from "../helpers/launch_bundle.ts";

Deno.test("apparmorProfile is what the program runs under, and must be there", async () => {
  equal(Deno.readTextFileSync("/sys/module/apparmor/parameters/enabled"), "Y\n");
  using bundle = new TestBundle();
  const show = "cat /proc/self/attr/apparmor/current";
  bundle.write(`${show}; exec sleep 300`, { process: { apparmorProfile: "unconfined" } });
  {
    await using sandbox = await Sandbox.run({ bundle: bundle.path });
    const { value } = await sandbox.stdout!.getReader().read();
    equal(new TextDecoder().decode(value), "unconfined\n");
    await using program = await sandbox.exec(["sh", "-c", show]);
    equal(await new Response(program.stdout).text(), "unconfined\n");
  }
  bundle.write("echo ran", { process: { apparmorProfile: "no-such-profile" } });
  await rejects(
    Sandbox.run({ bundle: bundle.path }),
    /Cannot run the program under AppArmor profile "no-such-profile" .*ENOENT/,
  );
});
