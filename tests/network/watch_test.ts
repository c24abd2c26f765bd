import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import { containerTest } from "../helpers/container_test.ts";
import { TextLineStream } from "../helpers/lines.ts";
import { makeCertificates, NAMES } from "../helpers/proxy_world.ts";
import { NetworkWorld } from "../helpers/network_world.ts";
import { remains } from "../helpers/network_remains.ts";

/** Asks again and again, and says since when, and what came: what a server outside was sent has the credential in it. */
const ASK = `
import time, urllib.request
def ask():
    request = urllib.request.Request("https://inspected.test/echo", headers={"Authorization": "Bearer placeholder-1"})
    try: return urllib.request.urlopen(request, timeout=10).status
    except urllib.error.HTTPError as error: return error.code
    except OSError: return "closed"
while True:
    print(time.time(), ask(), flush=True); time.sleep(0.2)
`;
const POLICY = {
  allow: [{ host: "inspected.test", ports: [443], protocols: ["https"], inspect: true }],
  credentials: [{
    id: "token",
    placeholder: "placeholder-1",
    from: { env: "REAL_TOKEN" },
    hosts: ["inspected.test"],
  }],
  nameServers: ["192.0.2.53"],
};
const MOST_MS = 60_000;

async function until(isSo: () => boolean, what: string, told: () => string = () => ""): Promise<void> {
  for (const end = Date.now() + MOST_MS; !isSo();) {
    if (Date.now() > end) throw new Error(`Cannot see that ${what}: ${told()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function hasEnded(pid: number): boolean {
  try {
    return /^\d+ \(.*\) [ZX]/s.test(Deno.readTextFileSync(`/proc/${pid}/stat`));
  } catch {
    return true;
  }
}

/** Everything that is in the files of a directory. */
function texts(directory: string): string {
  return [...Deno.readDirSync(directory)].map(({ name, isFile, isDirectory }) => {
    const path = `${directory}/${name}`;
    return isDirectory ? texts(path) : isFile ? Deno.readTextFileSync(path) : "";
  }).join("");
}

containerTest("a proxy that is killed comes back by itself, with the credentials of sandboxes", async () => {
  await using world = await NetworkWorld.create();
  await makeCertificates(world.path);
  const helper = fromFileUrl(new URL("../helpers/proxy_outside.py", import.meta.url));
  const files = ["outside.jsonl", "outside.pem", "outside.key"].map((name) => `${world.path}/${name}`);
  const server = world.outside.start(["python3", helper, ...files, JSON.stringify(NAMES)], {
    stderr: "inherit",
  });
  const ready = server.stdout.getReader();
  ok((await ready.read()).value);
  await ready.cancel();
  const policy = `${world.path}/policy.json`;
  Deno.writeTextFileSync(policy, JSON.stringify(POLICY));
  const authority = `${world.path}/outside-ca.pem`;
  const words = ["run", "--id", "watched", "--network-policy", policy, "--", "python3", "-c", ASK];
  const box = world.startRuntime(words, {
    stdout: "piped",
    stderr: "inherit",
    env: {
      DENO_CERT: authority,
      SSL_CERT_FILE: authority,

      REAL_TOKEN: "the-real-secret",
    },
  });
  const heard: string[] = [];
  const begunMs: number[] = [];
  const hear = (line: string): void => {
    const [begunS, what] = line.split(" ");
    heard.push(what!);
    begunMs.push(Number(begunS) * 1000);
  };
  const hearing = box.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
    .pipeTo(new WritableStream({ write: hear }));
  await until(() => heard.includes("200"), "a request gets through", () => heard.slice(-3).join(" "));
  const [watcher, proxy, ...others] = world.proxies() as [number, number, ...number[]];
  deepEqual(others, []);

  Deno.kill(watcher, "SIGSTOP");
  Deno.kill(proxy, "SIGKILL");
  await until(() => hasEnded(proxy), "the proxy ends");
  // What is heard next may have been said before, or of a request that was under way.
  const endMs = Date.now();
  const since = (): string[] => heard.filter((_, index) => begunMs[index]! > endMs);
  await until(() => since().length > 2, "requests are made");
  deepEqual(new Set(since()), new Set(["closed"]));

  Deno.kill(watcher, "SIGCONT");
  const startMs = performance.now();
  await until(() => heard.at(-1) === "200", "it is there again");
  ok(performance.now() - startMs < MOST_MS);
  const [same, next] = world.proxies();
  equal(same, watcher);
  notEqual(next, proxy);
  ok(!heard.includes("403"), "the credential is missing");
  // Twice, at once. What is asked meanwhile may be refused, or wait for the resolver and get through in the end.
  Deno.kill(next!, "SIGKILL");
  await until(() => hasEnded(next!), "the second proxy ends");
  const secondEndMs = Date.now();
  await until(() => begunMs.at(-1)! > secondEndMs && heard.at(-1) === "200", "it is there once more");
  const [still, last] = world.proxies();
  equal(still, watcher);
  notEqual(last, next);
  ok(!heard.includes("403"), "the credential is missing");

  const sent = Deno.readTextFileSync(files[0]!);
  match(sent, /authorization: Bearer the-real-secret/);
  ok(!sent.includes("placeholder-1"));
  ok(!texts(world.network).includes("the-real-secret"));
  box.kill("SIGTERM");
  await hearing;
  await box.status;
  deepEqual(await remains(world), []);
});
