/**
 * Attests sandboxes for a user without rights, with defects and without; prints what came of each as JSON.
 *
 *     attest_rootless.ts BUNDLE MARKER
 */
import { Sandbox } from "../../mod.ts";
import { EDIT_PLAN } from "../../runtime/options.ts";
import { CLONE } from "../../runtime/plan/kernel.ts";
import { drop, type Edit, withoutBits } from "../helpers/defects.ts";

const [bundle = "", marker = ""] = Deno.args;

const EDITS: Readonly<Record<string, Edit | undefined>> = {
  nothing: undefined,
  no_new_privs: drop({ does: "forbid new privileges" }),
  ipc: withoutBits({ does: /^start init in/ }, "clone_args", "flags", CLONE.NEWIPC),
  mask: drop({ does: /^mask "\/proc\/keys"/, call: "move_mount" }),
  readonly: drop({ does: /^make "\/proc\/sys" read-only/, call: "move_mount" }),
  device: drop({ does: 'bind device "/dev/null"', call: "move_mount" }),
  capabilities: drop({ does: "take CAP_SYS_ADMIN from the bounding set" }),
};

const said: Record<string, string> = {};
for (const [name, edit] of Object.entries(EDITS)) {
  try {
    const defect = edit && { [EDIT_PLAN]: edit };
    await using sandbox = await Sandbox.run({ bundle, attest: true, ...defect });
    const { exitCode } = await sandbox.wait();
    said[name] = `began and ended with ${exitCode}`;
  } catch (error) {
    said[name] = String(error);
  }
  try {
    Deno.removeSync(marker);
    said[name] += ", ran";
  } catch {
    // Nothing ran.
  }
}
console.log(JSON.stringify(said));
