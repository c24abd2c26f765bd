import { equal, ok } from "node:assert/strict";
import { Ajv } from "ajv";
import { parse } from "@std/yaml/parse";
import { decodeNetworkPolicy } from "../../../../network/policy/read.ts";
import { ROOT } from "../../../helpers/cli.ts";

const validate = new Ajv({ allErrors: true, strict: false }).compile(
  JSON.parse(Deno.readTextFileSync(`${ROOT}/docs/network-policy.schema.json`)),
);

function isRead(value: unknown): boolean {
  try {
    decodeNetworkPolicy(value, "net.yaml");
    return true;
  } catch {
    return false;
  }
}

Deno.test("the example in docs/network.md is a policy, for the schema and the reader", () => {
  const [, text] = /```yaml\n(.*?)```/s.exec(Deno.readTextFileSync(`${ROOT}/docs/network.md`))!;
  const value = parse(text!, { schema: "core" });
  ok(validate(value), JSON.stringify(validate.errors));
  decodeNetworkPolicy(value, "docs/network.md");
});

const RIGHT = [
  "[]",
  "{}",
  "[a.example, '*', '192.0.2.0/24:53/udp', '[2001:db8::1]:443']",
  "[{ host: '*.a.example', ports: [1, '2-3'], protocols: [tcp] }, { cidr: '2001:db8::/32' }]",
  "[{ host: a.example, websocket: true }, { host: b.example, inspect: true, methods: [GET], websocket: true }]",
  "deny: [a.example, { cidr: 10.0.0.0/8, ports: [25] }]",
  "limits: { connections: 1, uploadBytes: 10 MiB, downloadBytesPerSecond: 5 }",
  "{ allow: [{ host: a.example, inspect: true }], credentials: [{ id: a, from: { file: /x }, hosts: [a.example] }] }",
];
const WRONG = [
  "7",
  "[7]",
  "[{}]",
  "alow: []",
  "[{ host: a.example, cidr: 10.0.0.0/8 }]",
  "[{ host: 10.0.0.1 }]",
  "[{ host: '0x7f000001' }]",
  "[{ host: a.example, port: 1 }]",
  "[{ host: a.example, ports: [] }]",
  "[{ host: a.example, ports: [0] }]",
  "[{ host: a.example, methods: [get] }]",
  "[{ host: a.example, paths: [a] }]",
  "[{ host: a.example, paths: ['/a%2f'] }]",
  "[{ host: a.example, protocols: [ftp], ports: [21] }]",
  "[{ host: a.example, headers: { 'a b': c } }]",
  "deny: [{ host: a.example, inspect: true }]",
  "deny: [{ host: a.example, websocket: true }]",
  "[{ host: a.example, websocket: 1 }]",
  "limits: { uploadBytes: 1XB }",
  "credentials: [{ id: a, from: { file: x }, hosts: [a.example] }]",
];

for (const text of RIGHT) {
  Deno.test(`schema and reader take ${text}`, () => {
    const value = parse(text, { schema: "core" });
    ok(validate(value), JSON.stringify(validate.errors));
    equal(isRead(value), true);
  });
}

for (const text of WRONG) {
  Deno.test(`schema and reader refuse ${text}`, () => {
    const value = parse(text, { schema: "core" });
    equal(validate(value), false);
    equal(isRead(value), false);
  });
}
