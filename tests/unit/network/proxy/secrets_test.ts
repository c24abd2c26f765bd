import { deepEqual, equal, rejects, throws } from "node:assert/strict";
import { bodyWithoutSecrets, DETECTORS, Secrets, withoutSecrets } from "../../../../network/proxy/secrets.ts";
import { Refusal } from "../../../../network/proxy/refusal.ts";
import type { NetworkPolicy } from "../../../../network/policy/policy.ts";

const POLICY: NetworkPolicy = {
  allow: [],
  deny: [],
  credentials: [{
    id: "token",
    placeholder: "PLACEHOLDER",
    env: undefined,
    from: { env: "X" },
    hosts: ["a.test", "*.b.test"],
    headers: ["authorization"],
  }],
  secrets: { detectors: Object.keys(DETECTORS), patterns: { own: "internal-[0-9]{4}" } },
  limits: {},
  nameServers: [],
};
const VALUES = { token: "the secret" };
const x = (count: number): string => "x1Y2".repeat(count / 4);

/** What each detector finds; each is put together here so that no file has a key in it. */
const FOUND: readonly [rule: string, text: string][] = [
  ["aws", `AKIA${"ABCD".repeat(4)}`],
  ["aws", `aws_secret_access_key = ${x(40)}`],
  ["github", `ghp_${x(36)}`],
  ["github", `github_pat_${x(60)}`],
  ["slack", `xoxb-${x(20)}`],
  ["stripe", `sk_live_${x(20)}`],
  ["google", `AIza${x(36)}`],
  ["openai", `sk-proj-${x(40)}`],
  ["anthropic", `sk-ant-api03-${x(32)}`],
  ["private-key", "-----BEGIN RSA PRIVATE KEY-----"],
  ["private-key", "-----BEGIN PRIVATE KEY-----"],
  ["jwt", `eyJ${x(20)}.eyJ${x(20)}.${x(20)}`],
  ["own", "internal-1234"],
];
for (const [rule, text] of FOUND) {
  Deno.test(`Secrets.found() finds ${rule} in ${text.slice(0, 24)}…`, () => {
    equal(new Secrets(POLICY, VALUES).found(`a=${text}&b`), `secret:${rule}`);
  });
}

Deno.test("Secrets.found() lets usual text through", () => {
  const secrets = new Secrets(POLICY, VALUES);
  for (
    const text of ["/index.html", "AKIA", "Bearer abc", "-----BEGIN CERTIFICATE-----", "eyJhbGciOi", "sk-"]
  ) {
    equal(secrets.found(text), undefined);
  }
});

Deno.test("Secrets refuses a detector that there is not", () => {
  throws(() => new Secrets({ ...POLICY, secrets: { detectors: ["x"], patterns: {} } }, {}), TypeError);
});

Deno.test("Secrets.fill() puts a credential in where it belongs, and refuses its placeholder elsewhere", () => {
  const secrets = new Secrets(POLICY, VALUES);
  const at = { scheme: "https", name: "a.test", target: "/" } as const;
  const bearer = [["authorization", "Bearer PLACEHOLDER"]] as const;
  const basic = [["authorization", `Basic ${btoa("me:PLACEHOLDER")}`]] as const;
  deepEqual(secrets.fill({ ...at, headers: bearer }), {
    headers: [["authorization", "Bearer the secret"]],
    used: [{ placeholder: "PLACEHOLDER", secret: "the secret" }],
  });
  deepEqual(secrets.fill({ ...at, name: "c.b.test", headers: basic }).headers, [[
    "authorization",
    `Basic ${btoa("me:the secret")}`,
  ]]);
  for (
    const wrong of [
      { ...at, name: "other.test", headers: bearer },
      { ...at, name: "b.test", headers: bearer },
      { ...at, scheme: "http" as const, headers: bearer },
      { ...at, headers: [["x-other", "PLACEHOLDER"]] as const },
      { ...at, target: "/?a=PLACEHOLDER", headers: [] },
      { ...at, target: "/?a=%50LACEHOLDER", headers: [] },
      { ...at, headers: [["x-other", "the secret"]] as const },
      { ...at, name: "other.test", headers: basic },
    ]
  ) {
    throws(
      () => secrets.fill(wrong),
      (error) => error instanceof Refusal && error.rule === "credential:token",
    );
  }
  // A proxy that was started anew has no secrets.
  throws(() => new Secrets(POLICY, {}).fill({ ...at, headers: bearer }), Refusal);
});

Deno.test("Secrets.fill() tells how a credential looks where it is packed, too", () => {
  const [sent, packed] = ["me:PLACEHOLDER", "me:the secret"].map(btoa) as [string, string];
  const headers = [["authorization", `Basic ${sent}`]] as const;
  const { used } = new Secrets(POLICY, VALUES).fill({
    scheme: "https",
    name: "a.test",
    target: "/",
    headers,
  });
  equal(
    withoutSecrets(`it was Basic ${packed}, so: the secret`, used),
    `it was Basic ${sent}, so: PLACEHOLDER`,
  );
});

async function* pieces(text: string, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < text.length; at += size) yield new TextEncoder().encode(text.slice(at, at + size));
}

async function textOf(all: AsyncIterable<Uint8Array>): Promise<string> {
  let text = "";
  for await (const each of all) text += new TextDecoder().decode(each);
  return text;
}

Deno.test("Secrets.checked() finds a secret however the body is cut, and lets nothing of it out", async () => {
  const secrets = new Secrets(POLICY, VALUES);
  for (const size of [1, 7, 100, 5000]) {
    const filler = " ".repeat(6000);
    equal(await textOf(secrets.checked(pieces(filler, size))), filler);
    let out = "";
    await rejects(async () => {
      for await (const each of secrets.checked(pieces(`${filler}internal-1234${filler}`, size))) {
        out += new TextDecoder().decode(each);
      }
    }, Refusal);
    equal(out.trim(), "");
  }
});

Deno.test("bodyWithoutSecrets() puts the placeholder back however the body is cut", async () => {
  const used = [{ placeholder: "PLACEHOLDER", secret: "the secret" }];
  for (const size of [1, 3, 100]) {
    const body = await textOf(bodyWithoutSecrets(pieces("a the secret b the secre", size), used));
    equal(body, "a PLACEHOLDER b the secre");
  }
});
