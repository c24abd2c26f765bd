import type { Mount } from "../runtime/spec/config.ts";
import type { Lease } from "./leases.ts";
import { ipv4Text, ipv6Text, type NetworkSettings } from "./settings.ts";

/** Where certificates of all authorities are that programs of the host trust, on usual systems. */
const AUTHORITIES = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
/** Where the sandbox has its own. */
const INSIDE = "/etc/ai-sandbox-ca.pem";
/** Variables by which programs are told of it. */
const VARIABLES = [
  "SSL_CERT_FILE",
  "CURL_CA_BUNDLE",
  "REQUESTS_CA_BUNDLE",
  "NODE_EXTRA_CA_CERTS",
  "GIT_SSL_CAINFO",
  "PIP_CERT",
  "DENO_CERT",
];

/** What tells this process's directories from others', and which of them are used now. */
const [OWN, used] = [crypto.randomUUID().slice(0, 13), new Set<string>()];

/**
 * A directory for the files of one sandbox, by its name. The next sandbox of this process has the same one when this is
 * given back: its plan names the same paths, so that it is there already.
 */
export function takeFiles(): string {
  for (let number = 0;; number++) {
    const name = `${OWN}.${number}`;
    if (used.has(name)) continue;
    used.add(name);
    return name;
  }
}

/** Gives the name of a directory back, which is removed. */
export function giveFilesBack({ files }: Pick<Lease, "files">): void {
  if (files !== undefined) used.delete(files);
}

/** Writes the files that a sandbox sees of its network. */
export function writeFiles(
  settings: NetworkSettings,
  lease: Lease,
  hostNameServers: readonly string[],
): Mount[] {
  const directory = filesOf(settings, lease);
  Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { ipv4, ipv6 } = settings;
  const own = [ipv4Text(ipv4.gateway), ...(ipv6 ? [ipv6Text(ipv6.gateway)] : [])];
  const servers = lease.mode === "policy" ? own : hostNameServers;
  const names = `sandbox ${lease.id}`;
  const hosts = ["127.0.0.1 localhost", "::1 localhost ip6-localhost", `${lease.address} ${names}`];
  if (lease.ipv6) hosts.push(`${lease.ipv6} ${names}`);
  return [
    file(directory, "/etc/resolv.conf", servers.map((each) => `nameserver ${each}\n`).join("")),
    file(directory, "/etc/hosts", `${hosts.join("\n")}\n`),
  ];
}

/** The certificate of the sandbox's own authority with those that the host trusts, and what tells programs of it. */
export function writeAuthority(
  settings: NetworkSettings,
  lease: Lease,
  certificate: string,
): { readonly mounts: Mount[]; readonly env: string[] } {
  const others = AUTHORITIES.map(read).find((text) => text !== undefined) ?? "";
  return {
    mounts: [file(filesOf(settings, lease), INSIDE, `${certificate.trim()}\n${others}`)],
    env: VARIABLES.map((name) => `${name}=${INSIDE}`),
  };
}

/** Removes them. */
export function removeFiles(settings: NetworkSettings, lease: Pick<Lease, "address" | "files">): void {
  try {
    Deno.removeSync(filesOf(settings, lease), { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** The name servers of the host that a sandbox can reach: not those of its loopback device. */
export function reachableNameServers(): string[] {
  const lines = read("/etc/resolv.conf")?.matchAll(/^\s*nameserver\s+(\S+)/gm) ?? [];
  return [...lines].map(([, address]) => address!).filter((each) => !/^(127\.|::1$)/.test(each));
}

function filesOf(
  { directory }: NetworkSettings,
  { address, files }: Pick<Lease, "address" | "files">,
): string {
  return `${directory}/files/${files ?? address}`;
}

/** Writes a file that a sandbox sees at `destination`. */
export function file(directory: string, destination: string, text: string): Mount {
  const source = `${directory}/${destination.slice(destination.lastIndexOf("/") + 1)}`;
  Deno.writeTextFileSync(source, text, { mode: 0o644 }); // whoever the program is, and whatever the umask
  return { destination, source, type: "bind", options: ["bind", "ro", "nosuid", "nodev", "noexec"] };
}

function read(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}
