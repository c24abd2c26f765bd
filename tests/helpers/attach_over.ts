import { openNetwork } from "../../ffi/netlink.ts";
import { provider } from "../../network/attach.ts";
import { connect } from "../../network/link.ts";
import { networkDirectory } from "../../network/paths.ts";
import { networkSettings } from "../../network/settings.ts";

/**
 * Connects a network namespace by an address that another one still has a device for, as after the end of a sandbox whose
 * namespace somebody keeps: `attach_over.ts ROOT OLD-PID NEW-PID [COMMAND…]`. The command is run before; prints the error, if there is one.
 */
const [root = "", old, fresh, ...command] = Deno.args;
const settings = networkSettings(networkDirectory(root));
await using place = await provider.connect("fresh", { root, mode: "bridge" });
{
  using namespace = openNetwork(`/proc/${old}/ns/net`);
  connect(
    settings,
    { ...place.record, ipv6: undefined } as unknown as Parameters<typeof connect>[1],
    namespace,
  );
}
const [program, ...args] = command;
if (program !== undefined) await new Deno.Command(program, { args }).output();
try {
  place.expect?.();
  await place.attach(Number(fresh));
} catch (error) {
  console.log((error as Error).message);
}
// What each has, while the place is taken.
for (const pid of [old, fresh]) {
  const args = ["-t", `${pid}`, "-n", "ip", "-d", "-o", "link", "show"];
  const { stdout } = await new Deno.Command("nsenter", { args }).output();
  const [line] = / eth0.*/.exec(new TextDecoder().decode(stdout)) ?? [];
  const hasOneQueue = / numtxqueues 1 numrxqueues 1 /.test(line ?? "");
  console.log(line === undefined ? "not connected" : hasOneQueue ? "connected" : "connected by many queues");
}
