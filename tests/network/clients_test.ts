import { equal, match, ok } from "node:assert/strict";
import { containerTest } from "../helpers/container_test.ts";
import type { Spoken } from "../helpers/network_world.ts";
import { policyOf, ProxyWorld, rule } from "../helpers/proxy_world.ts";

/** A program with which people get things: a script with `$HOST` and `$URL`, and what it says. */
interface Client {
  /** A command that succeeds where the program is. */
  readonly needs: string;
  readonly script: string;
  readonly says: RegExp;
}

/** Programs that get a page. */
const PAGES: Readonly<Record<string, Client>> = {
  "curl": { needs: "curl --version", script: "curl -sSf --max-time 40 $URL/", says: /^hello$/m },
  "curl by HTTP/1.1 with a body": {
    needs: "curl --version",
    script: "head -c 100000 /dev/zero | curl -sSf --http1.1 --max-time 40 --data-binary @- $URL/",
    says: /^hello$/m,
  },
  "wget": {
    needs: "wget --version",
    script: "wget -q -T 40 -t 1 -O - --ca-certificate=$CA $URL/",
    says: /^hello$/m,
  },
  "Python's urllib": {
    needs: "python3 --version",
    script: `python3 -c "import urllib.request as r; print(r.urlopen('$URL/', timeout=40).read().decode())"`,
    says: /^hello$/m,
  },
  "Python's requests": {
    needs: 'python3 -c "from pip._vendor import requests"',
    script: `python3 -c "from pip._vendor import requests; print(requests.get('$URL/', timeout=40).text)"`,
    says: /^hello$/m,
  },
  "Node's fetch": {
    needs: "node --version",
    script: `node -e "fetch('$URL/').then((r) => r.text()).then(console.log)"`,
    says: /^hello$/m,
  },
};

/** Programs that get files, from a server of files at port 8000. */
const FILES: Readonly<Record<string, Client>> = {
  "git clone": {
    needs: "git --version",
    script: "git clone -q $URL:8000/repository.git clone && cat clone/file",
    says: /^in the repository$/m,
  },
  "pip": {
    needs: "python3 -m pip --version",
    script: "python3 -m pip install -q --disable-pip-version-check --no-cache-dir --target packages " +
      "--index-url $URL:8000/simple --trusted-host $HOST demo && cat packages/demo.py",
    says: /in the package/,
  },
  "apt-get": {
    needs: "apt-get --version && dpkg-deb --version",
    script: "mkdir -p apt/lists/partial apt/archives/partial && touch apt/status && " +
      'echo "deb [trusted=yes] $URL:8000/debian ./" > apt/sources && ' +
      "set -- -q -o Dir::Etc::sourcelist=$PWD/apt/sources -o Dir::Etc::sourceparts=- -o Dir::Etc::parts=- " +
      "-o Dir::State::lists=$PWD/apt/lists -o Dir::State::status=$PWD/apt/status -o Dir::Cache=$PWD/apt " +
      "-o Acquire::http::Proxy=false -o APT::Sandbox::User=root -o Acquire::Languages=none && " +
      'apt-get "$@" update >/dev/null && apt-get "$@" download demo >/dev/null && ls *.deb',
    says: /^demo_1\.0_all\.deb$/m,
  },
};

/** Makes what the server of files has. */
const MAKE = `
cd "$1"; mkdir -p work/debian/DEBIAN files/debian files/simple/demo; git init -q work/git
echo in the repository > work/git/file
git -C work/git add file; git -C work/git -c user.name=a -c user.email=a@a.test commit -qm one
git clone -q --bare work/git files/repository.git; git -C files/repository.git update-server-info
printf 'Package: demo\\nVersion: 1.0\\nArchitecture: all\\nMaintainer: a <a@a.test>\\nDescription: demo\\n' > work/debian/DEBIAN/control
dpkg-deb -b work/debian files/debian/demo_1.0_all.deb >/dev/null
{ cat work/debian/DEBIAN/control; echo "Filename: ./demo_1.0_all.deb"; echo "Size: $(stat -c %s files/debian/demo_1.0_all.deb)"
  echo "SHA256: $(sha256sum files/debian/demo_1.0_all.deb | cut -d' ' -f1)"; } > files/debian/Packages
python3 - <<'END'
import zipfile
with zipfile.ZipFile("files/simple/demo/demo-1.0-py3-none-any.whl", "w") as z:
    z.writestr("demo.py", "# in the package\\n")
    z.writestr("demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: demo\\nVersion: 1.0\\n")
    z.writestr("demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    z.writestr("demo-1.0.dist-info/RECORD", "demo.py,,\\ndemo-1.0.dist-info/METADATA,,\\ndemo-1.0.dist-info/WHEEL,,\\ndemo-1.0.dist-info/RECORD,,\\n")
open("files/simple/demo/index.html", "w").write('<a href="demo-1.0-py3-none-any.whl">demo-1.0-py3-none-any.whl</a>')
END
`;

/** How many clients run at once. */
const AT_ONCE = 3;

/** Runs a client's script in the sandbox, which has a name server of its own to ask, in an empty directory. */
async function run(
  world: ProxyWorld,
  script: string,
  env: Readonly<Record<string, string>>,
): Promise<Spoken> {
  const id = crypto.randomUUID();
  const [resolv, directory] = [`${world.path}/resolv-${id}.conf`, `${world.path}/${id}`]; // others read theirs now
  Deno.writeTextFileSync(resolv, "nameserver 192.0.2.53\noptions timeout:10 attempts:2\n");
  Deno.mkdirSync(directory);
  const all =
    `mount --bind ${resolv} /etc/resolv.conf && cd ${directory} && HOME=$PWD && export HOME && ${script}`;
  const bundle = Object.fromEntries(
    ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "CA"]
      .map((name) => [name, env.CA!]),
  );
  return await world.box.run(["unshare", "-m", "sh", "-c", all], { env: { ...bundle, ...env } });
}

containerTest(
  "programs that people use get what is allowed and no more, in clear, in TLS and in TLS that is opened",
  async () => {
    await using world = await ProxyWorld.create(policyOf([
      rule("web", "allowed.test"),
      rule("files", "allowed.test", { port: 8000 }),
      rule("tls", "allowed.test", { port: 443 }),
      rule("opened", "inspected.test", { port: 443, inspect: true }),
    ]));
    const made = await world.host.run(["sh", "-ec", MAKE, "sh", world.path]);
    equal(made.code, 0, made.stderr);
    await world.serveFiles(`${world.path}/files`);
    const ways = [
      { url: "http://allowed.test", ca: world.authority },
      { url: "https://allowed.test", ca: world.authority },
      { url: "https://inspected.test", ca: `${world.path}/box-ca.pem` },
    ];
    const all = [
      ...Object.entries(PAGES).flatMap(([name, client]) => ways.map((way) => ({ name, client, ...way }))),
      ...Object.entries(FILES).map(([name, client]) => ({ name, client, ...ways[0]! })),
    ];
    const missing = new Set<string>();
    const one = async ({ name, client, url, ca }: typeof all[number]): Promise<void> => {
      if ((await world.host.run(["sh", "-c", client.needs])).code !== 0) return void missing.add(name);
      const host = new URL(url).hostname;
      const { stdout, stderr } = await run(world, client.script, { URL: url, HOST: host, CA: ca });
      match(stdout, client.says, `${name} of ${url}: ${stderr}`);
      const denied = await run(world, client.script, {
        URL: url.replace(host, "denied.test"),
        HOST: "denied.test",
        CA: ca,
      });
      ok(denied.code !== 0 && !client.says.test(denied.stdout), `${name} of denied.test: ${denied.stdout}`);
    };
    const left = all[Symbol.iterator]();
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      for (const each of left) await one(each);
    }));
    ok(!world.seen().some(({ kind, to }) => kind === "accepted" && to === "198.51.100.2"));
    if (missing.size > 0) console.log(`SKIP clients that are not here: ${[...missing].join(", ")}`);
  },
);
