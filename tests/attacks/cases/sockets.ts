import { type AttackClass, attackClass } from "./attack.ts";

/** Sockets and terminals. */
export const SOCKETS: readonly AttackClass[] = [
  attackClass(
    "Kernel surface: sockets",
    `
  af-packet: raw packets
  af-packet-datagram: packets of a protocol
  af-alg: the kernel's ciphers
  af-vsock: the hypervisor
  af-key: IPsec keys
  af-rxrpc: AFS
  af-xdp: packets past the network stack
  af-can: CAN
  af-bluetooth: Bluetooth
  af-tipc: TIPC
  af-rds: RDS
  af-smc: SMC
  af-llc: LLC
  af-x25: X.25
  af-ax25: AX.25
  af-appletalk: AppleTalk
  af-pppox: PPP
  af-qipcrtr: Qualcomm's router
  af-kcm: multiplexed messages
  af-nfc: NFC
  raw-icmp: raw ICMP
  raw-ip: raw IP
  sctp: SCTP
  sctp-packets: SCTP by the type of the socket
  dccp: DCCP
  mptcp: multipath TCP
  udp-lite: UDP-Lite
  netlink-sock-diag: list the sockets of the namespace
  netlink-xfrm: IPsec
  netlink-audit: the audit log
  netlink-fib-lookup: routes
  netlink-connector: events of processes
  netlink-netfilter: packet filters
  netlink-uevent: events of devices
  netlink-generic: hundreds of drivers
  netlink-crypto: the kernel's ciphers
  socketpair: a pair of a family that is not for pairs
  wide-family: raw packets, by a family with bits above 32
  tcp-ulp: put another protocol over TCP
  tcp-repair: take a connection over
  so-mark: mark packets for the host's routing
  so-rcvbufforce: buffers beyond the limit
  iptables: packet filters by a socket option
  new-device: make a network device`,
  ),
  attackClass(
    "Kernel surface: terminals",
    `
  tiocsti: type into the terminal
  tiocsti-wide: the same, by a request with bits above 32
  tiocsti-signed: the same, by a request whose upper half is ones
  tioclinux: paste into the console
  tiocsetd: load a line discipline
  tioccons: take the console's output`,
  ),
];
