import { equal } from "node:assert/strict";
import { isComparable, plainNumbers } from "../../../../runtime/plan/reports.ts";

for (
  const [key, value, comparable] of [
    ["net.ipv4.ip_forward", "1", true],
    ["net/ipv4/ping_group_range", " 0 0x7fffffff ", true],
    ["kernel.msgmax", "-1", true],
    ["net.ipv4.tcp_congestion_control", "reno", false],
    ["net.ipv4.ip_forward", "", false],
    ["net.ipv4.route.flush", "1", false],
    ["net.ipv4.neigh.default.locktime", "1", false],
    ["net.ipv4.ip_local_reserved_ports", "1", false],
    ["net.ipv6.neigh.lo.base_reachable_time_ms", "1", false],
  ] as const
) {
  Deno.test(`isComparable() says ${comparable} of ${key} with ${JSON.stringify(value)}`, () =>
    equal(isComparable(key, value), comparable));
}

for (
  const [value, plain] of [
    ["1\t 2\n", "1 2"],
    ["0x10 010 -0 -5 +7", "16 8 0 -5 7"],
    ["0", "0"],
    ["18446744073692774399", "18446744073692774399"],
    ["08", "8"],
    ["word", "word"],
  ] as const
) {
  Deno.test(`plainNumbers() makes ${plain} of ${JSON.stringify(value)}`, () =>
    equal(plainNumbers(value), plain));
}
