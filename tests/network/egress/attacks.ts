import { ADDRESSES } from "./addresses.ts";
import type { Probe } from "./probe.ts";
import { REQUESTS } from "./requests.ts";
import { TLS } from "./tls.ts";

/** Every attack, by what it does, each with a mark of its own. The policy is that of tests/network/egress_test.ts. */
export function probes(): Probe[] {
  return Object.entries({ ...REQUESTS, ...TLS, ...ADDRESSES }).map(([name, made], index) => {
    const mark = `mark${index}z`;
    return { name, arrives: new RegExp(mark), ...made(mark) };
  });
}
