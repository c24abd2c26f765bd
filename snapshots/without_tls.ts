import type { Fd } from "../ffi/fd.ts";
import { memoryFile } from "../ffi/memfd.ts";
import type { Arch } from "../runtime/plan/abi.ts";
import { type StandIn, standInLibrary } from "./stand_in_library.ts";

/** The versions of CRIU that ask their library for TLS for nothing else than what is listed here. */
const KNOWN = /^4\.2(\.\d+)?$/;

/** What CRIU asks for of the library for TLS. */
export const GNUTLS: StandIn = {
  name: "libgnutls.so.30",
  version: "GNUTLS_3_4",
  functions: [
    "bye",
    "certificate_allocate_credentials",
    "certificate_free_credentials",
    "certificate_send_x509_rdn_sequence",
    "certificate_server_set_request",
    "certificate_set_x509_crl_file",
    "certificate_set_x509_key_file",
    "certificate_set_x509_system_trust",
    "certificate_set_x509_trust_file",
    "certificate_type_get",
    "certificate_verification_status_print",
    "certificate_verify_peers3",
    "credentials_set",
    "deinit",
    "error_is_fatal",
    "handshake",
    "init",
    "packet_deinit",
    "packet_get",
    "record_check_pending",
    "record_recv",
    "record_recv_packet",
    "record_send",
    "set_default_priority",
    "strerror",
    "transport_set_ptr",
    "transport_set_pull_function",
    "transport_set_push_function",
  ].map((name) => `gnutls_${name}`),
  pointers: ["gnutls_free"],
};

const made = new Map<Uint8Array | undefined, Uint8Array<ArrayBuffer>>();

/**
 * What takes the place of the library for TLS, that CRIU is linked with and is never told to use: loading it, and eight
 * others that it needs, is half of CRIU's start.
 *
 * @param init Machine code that runs in CRIU when all has been loaded.
 * @returns A file to be loaded before all others, or nothing for a CRIU that may need more of it.
 */
export function withoutTls(arch: Arch, version: string, init?: Uint8Array): Fd | undefined {
  if (!KNOWN.test(version)) return undefined;
  const library = made.get(init) ?? standInLibrary(arch, { ...GNUTLS, init });
  made.set(init, library);
  return memoryFile("without-tls", library);
}
