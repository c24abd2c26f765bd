import { check, SyscallError } from "./errno.ts";
import { libc } from "./libc.ts";
import { attribute, joined, text } from "./netlink_message.ts";
import { nftSequence, nftSocket } from "./nft_socket.ts";

/** Whether chains of nftables are there, by nfnetlink (linux/netfilter/nf_tables.h): a listing takes 50 times as long. */

const [NLM_F_REQUEST, NLMSG_ERROR, ENOENT] = [1, 2, 2];
const GET_CHAIN = 10 << 8 | 4; // NFNL_SUBSYS_NFTABLES, NFT_MSG_GETCHAIN
const [TABLE, NAME] = [1, 3];
const FAMILY = { inet: 1, bridge: 7 } as const;
const [HEADER, FAMILY_BYTES, BUFFER_BYTES] = [16, 4, 8192];

/** Whether a chain is there, in the network namespace that this process was in when it first asked. */
export function isChain(family: keyof typeof FAMILY, table: string, name: string): boolean {
  const does = `look for chain "${name}" of the firewall`;
  const [socket, sequence] = [nftSocket(), nftSequence()];
  const head = new Uint8Array(HEADER + FAMILY_BYTES);
  const message = joined([head, attribute(TABLE, text(table)), attribute(NAME, text(name))]);
  const view = new DataView(message.buffer);
  view.setUint32(0, message.length, true);
  view.setUint16(4, GET_CHAIN, true);
  view.setUint16(6, NLM_F_REQUEST, true);
  view.setUint32(8, sequence, true);
  message[HEADER] = FAMILY[family];
  check(libc.write(socket.raw, message, BigInt(message.length)), does);
  const buffer = new Uint8Array(BUFFER_BYTES);
  for (;;) {
    check(libc.read(socket.raw, buffer, BigInt(BUFFER_BYTES)), does);
    const answer = new DataView(buffer.buffer);
    if (answer.getUint32(8, true) !== sequence) continue; // of a question that failed
    if (answer.getUint16(4, true) !== NLMSG_ERROR) return true;
    const error = -answer.getInt32(HEADER, true);
    if (error === ENOENT) return false;
    throw new SyscallError(does, error);
  }
}
