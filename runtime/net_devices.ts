import type { Fd } from "../ffi/fd.ts";
import { openNetwork, ownNetwork, RouteSocket, routesOf } from "../ffi/netlink.ts";
import { LifecycleError } from "./errors.ts";
import type { Linux } from "./spec/config.ts";

/** A device that is to be moved, and its name inside. */
interface Move {
  readonly index: number;
  readonly from: string;
  readonly to: string;
}

/**
 * Moves network devices of this namespace to the one of a process, with their permanent addresses, and brings them up.
 * If one cannot be moved, those that were come back: with a namespace that ends, virtual devices would end too.
 *
 * @throws {LifecycleError} if there is no such device, or its name is taken inside.
 */
export function moveDevices(devices: NonNullable<Linux["netDevices"]>, pid: number): void {
  using routes = new RouteSocket();
  using network = openNetwork(`/proc/${pid}/ns/net`);
  using inside = routesOf(network);
  using own = ownNetwork();
  const moves = planned(devices, routes, inside);
  const moved: Move[] = [];
  try {
    for (const move of moves) moved.push(moveOne(move, routes, inside, network));
  } catch (error) {
    for (const { index, from } of moved) inside.move(index, own, from);
    throw error;
  }
}

/** Everything that can be known beforehand. */
function planned(
  devices: NonNullable<Linux["netDevices"]>,
  routes: RouteSocket,
  inside: RouteSocket,
): Move[] {
  const here = routes.devices();
  const taken = new Set(inside.devices().map(({ name }) => name));
  return Object.entries(devices).map(([from, { name: to = from }]) => {
    const device = here.find(({ name }) => name === from);
    if (!device) throw new LifecycleError(`Cannot move network device "${from}": there is no such device`);
    if (taken.has(to)) {
      throw new LifecycleError(`Cannot move network device "${from}": the sandbox has a "${to}" already`);
    }
    if (!to.includes("%")) taken.add(to);
    return { index: device.index, from, to };
  });
}

function moveOne({ index, from, to }: Move, routes: RouteSocket, inside: RouteSocket, network: Fd): Move {
  const addresses = routes.addresses(index);
  const before = new Set(inside.devices().map(({ index }) => index));
  routes.move(index, network, to);
  const found = inside.devices().find((each) => !before.has(each.index));
  if (!found) throw new LifecycleError(`Cannot find network device "${from}" where it was moved to`);
  for (const address of addresses) inside.addAddress(found.index, address);
  inside.bringUp(found.index);
  return { index: found.index, from, to: found.name };
}
