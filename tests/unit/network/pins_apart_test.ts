import { deepEqual, equal, ok } from "node:assert/strict";
import type { Pin } from "../../../network/firewall_elements.ts";
import { apart } from "../../../network/pins_apart.ts";

const pin = (address: string, first: number, last = first, more: Partial<Pin> = {}): Pin => {
  return { sandbox: "10.209.0.2", address, first, last, protocol: "tcp", ...more };
};

Deno.test("apart() leaves out what a wider block covers, and keeps the rest of a range", () => {
  const all = [pin("10.1.2.3", 80), pin("10.1.0.0/16", 80, 90), pin("10.1.2.0/24", 85, 95)];
  deepEqual(apart(all), [pin("10.1.0.0/16", 80, 90), pin("10.1.2.0/24", 91, 95)]);
});

Deno.test("apart() splits ranges of one address, and says nothing twice", () => {
  const all = [pin("192.0.2.1", 80, 100), pin("192.0.2.1", 90, 110), pin("192.0.2.1", 80, 100)];
  deepEqual(apart(all), [pin("192.0.2.1", 80, 100), pin("192.0.2.1", 101, 110)]);
});

Deno.test("apart() keeps what lasts longer, and what is there already is not said again", () => {
  const short = pin("192.0.2.1", 80, 80, { ttlS: 5 });
  const long = pin("192.0.2.1", 80, 80, { ttlS: 50 });
  deepEqual(apart([short, long]), [long]);
  deepEqual(apart([short], [pin("192.0.2.0/24", 1, 65535)]), []);
});

Deno.test("apart() does not mix sandboxes, protocols and families", () => {
  const all = [
    pin("192.0.2.0/24", 80),
    pin("192.0.2.1", 80, 80, { sandbox: "10.209.0.3" }),
    pin("192.0.2.1", 80, 80, { protocol: "udp" }),
    pin("2001:db8::1", 80, 80, { sandbox: "fd00::2" }),
  ];
  deepEqual(new Set(apart(all)), new Set(all));
});

Deno.test("apart() looks at each way a few times, however many there are", () => {
  const count = 1000;
  let looks = 0;
  const all = Array.from({ length: count }, (_, index): Pin => ({
    ...pin(`10.0.${index >> 8}.${index & 255}`, 443),
    get sandbox(): string {
      looks++;
      return "10.209.0.2";
    },
  }));
  equal(apart(all).length, count);
  ok(looks < 20 * count, `${looks} times`);
});
