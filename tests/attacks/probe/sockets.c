// Sockets where most flaws of the kernel's networks were. A family that this kernel lacks is still looked for by whoever
// gets so far, and its module loaded: EAFNOSUPPORT and EPROTONOSUPPORT mean that nothing held the caller back.
#include "probe.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pty.h>
#include <sys/ioctl.h>

#define FAMILY(name, family, type)                                                                                    \
  static void name(void) { judge(socket(family, type, 0), REACHED(EAFNOSUPPORT, ESOCKTNOSUPPORT, EPROTONOSUPPORT)); }
FAMILY(packet, AF_PACKET, SOCK_RAW)
FAMILY(packet_datagram, AF_PACKET, SOCK_DGRAM)
FAMILY(algorithm, AF_ALG, SOCK_SEQPACKET)
FAMILY(vsock, AF_VSOCK, SOCK_STREAM)
FAMILY(key, AF_KEY, SOCK_RAW)
FAMILY(rxrpc, AF_RXRPC, SOCK_DGRAM)
FAMILY(xdp, AF_XDP, SOCK_RAW)
FAMILY(can, AF_CAN, SOCK_RAW)
FAMILY(bluetooth, AF_BLUETOOTH, SOCK_RAW)
FAMILY(tipc, AF_TIPC, SOCK_RDM)
FAMILY(rds, AF_RDS, SOCK_SEQPACKET)
FAMILY(smc, AF_SMC, SOCK_STREAM)
FAMILY(llc, AF_LLC, SOCK_DGRAM)
FAMILY(x25, AF_X25, SOCK_SEQPACKET)
FAMILY(ax25, AF_AX25, SOCK_DGRAM)
FAMILY(appletalk, AF_APPLETALK, SOCK_DGRAM)
FAMILY(ppp, AF_PPPOX, SOCK_STREAM)
FAMILY(qrtr, AF_QIPCRTR, SOCK_DGRAM)
FAMILY(kcm, AF_KCM, SOCK_DGRAM)
FAMILY(nfc, AF_NFC, SOCK_SEQPACKET)

#define NETLINK(name, protocol)                                                                                       \
  static void name(void) { judge(socket(AF_NETLINK, SOCK_RAW, protocol), REACHED(EPROTONOSUPPORT)); }
NETLINK(netlink_diag, 4)
NETLINK(netlink_xfrm, 6)
NETLINK(netlink_audit, 9)
NETLINK(netlink_fib, 10)
NETLINK(netlink_connector, 11)
NETLINK(netlink_netfilter, 12)
NETLINK(netlink_uevent, 15)
NETLINK(netlink_generic, 16)
NETLINK(netlink_crypto, 21)

#define INTERNET(name, type, protocol)                                                                                \
  static void name(void) { judge(socket(AF_INET, type, protocol), REACHED(EPROTONOSUPPORT, ESOCKTNOSUPPORT)); }
INTERNET(raw_icmp, SOCK_RAW, IPPROTO_ICMP)
INTERNET(raw_ip, SOCK_RAW, IPPROTO_RAW)
INTERNET(sctp, SOCK_STREAM, IPPROTO_SCTP)
INTERNET(dccp, 6 /* SOCK_DCCP */, IPPROTO_DCCP)
INTERNET(sctp_packets, SOCK_SEQPACKET, 0)
INTERNET(multipath, SOCK_STREAM, 262 /* IPPROTO_MPTCP */)
INTERNET(udp_lite, SOCK_DGRAM, IPPROTO_UDPLITE)

static void vsock_pair(void) {
  int pair[2];
  judge(socketpair(AF_TIPC, SOCK_STREAM, 0, pair), REACHED(EAFNOSUPPORT, EOPNOTSUPP, ESOCKTNOSUPPORT));
}

// The kernel looks at the lower half of the family only.
static void wide_family(void) {
  judge(syscall(SYS_socket, 0x100000000L | AF_PACKET, SOCK_RAW, 0), NULL);
}

static void option(int type, int level, int name, const void *value, socklen_t size, const int *reached) {
  int fd = socket(AF_INET, type, 0);
  if (fd < 0) refused();
  judge(setsockopt(fd, level, name, value, size), reached);
}
static void upper_layer(void) { option(SOCK_STREAM, IPPROTO_TCP, TCP_ULP, "tls", 4, REACHED(ENOENT, ENOTCONN)); }
static void repair(void) { option(SOCK_STREAM, IPPROTO_TCP, TCP_REPAIR, &(int){1}, sizeof(int), NULL); }
static void mark(void) { option(SOCK_DGRAM, SOL_SOCKET, SO_MARK, &(int){1}, sizeof(int), NULL); }
static void big_buffer(void) { option(SOCK_DGRAM, SOL_SOCKET, SO_RCVBUFFORCE, &(int){1 << 20}, sizeof(int), NULL); }
// The way in of many flaws of netfilter: its tables by way of a socket option.
static void ip_tables(void) {
  char table[84] = "filter";
  socklen_t size = sizeof table;
  int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  if (fd < 0) fd = socket(AF_INET, SOCK_DGRAM, 0);
  judge(getsockopt(fd, IPPROTO_IP, 64 /* IPT_SO_GET_INFO */, table, &size), REACHED(ENOENT));
}

// Traffic control and new devices: what root of a network namespace may ask for.
static void new_device(void) {
  struct {
    unsigned length;
    unsigned short type, flags;
    unsigned sequence, pid;
    unsigned char family, padding;
    unsigned short device;
    int index;
    unsigned bits, change;
    unsigned short name_length, name_type;
    char name[8];
    unsigned short info_length, info_type, kind_length, kind_type;
    char kind[8];
  } request = {sizeof request, 16 /* RTM_NEWLINK */, 0x605 /* REQUEST | ACK | CREATE | EXCL */, 1, 0, 0, 0, 0, 0, 0, 0,
               12, 3 /* IFLA_IFNAME */, "probe0", 16, 18 /* IFLA_LINKINFO */, 12, 1 /* IFLA_INFO_KIND */, "dummy"};
  struct {
    unsigned length;
    unsigned short type, flags;
    unsigned sequence, pid;
    int error;
    char rest[500];
  } answer;
  int fd = socket(AF_NETLINK, SOCK_RAW, 0);
  if (fd < 0 || send(fd, &request, sizeof request, 0) < 0 || recv(fd, &answer, sizeof answer, 0) < 20) refused();
  errno = -answer.error;
  judge(answer.error == 0 ? 0 : -1, REACHED(EOPNOTSUPP, EEXIST));
}

// --- terminals ----------------------------------------------------------------------------------

static int terminal(void) {
  int outer, inner;
  if (openpty(&outer, &inner, NULL, NULL, NULL) < 0) refused();
  setsid();
  if (ioctl(inner, TIOCSCTTY, 0) < 0) refused();
  return inner;
}

static void type_into(unsigned long request) {
  int fd = terminal();
  // The C library's ioctl would cut the request.
  if (syscall(SYS_ioctl, fd, request, "\n") < 0) refused();
  effect("a character was typed");
}
static void inject(void) { type_into(TIOCSTI); }
static void inject_wide(void) { type_into(0x100000000UL | TIOCSTI); }
static void inject_sign(void) { type_into(0xffffffff00000000UL | TIOCSTI); }
static void paste(void) { judge(ioctl(terminal(), TIOCLINUX, &(char){3}), REACHED(ENOTTY, EINVAL)); }
static void discipline(void) { judge(ioctl(terminal(), TIOCSETD, &(int){13 /* N_HDLC */}), REACHED(EINVAL)); }
static void console(void) { judge(ioctl(terminal(), TIOCCONS, 0), REACHED(EBUSY)); }

const struct probe SOCKETS[] = {
    {"af-packet", packet},
    {"af-packet-datagram", packet_datagram},
    {"af-alg", algorithm},
    {"af-vsock", vsock},
    {"af-key", key},
    {"af-rxrpc", rxrpc},
    {"af-xdp", xdp},
    {"af-can", can},
    {"af-bluetooth", bluetooth},
    {"af-tipc", tipc},
    {"af-rds", rds},
    {"af-smc", smc},
    {"af-llc", llc},
    {"af-x25", x25},
    {"af-ax25", ax25},
    {"af-appletalk", appletalk},
    {"af-pppox", ppp},
    {"af-qipcrtr", qrtr},
    {"af-kcm", kcm},
    {"af-nfc", nfc},
    {"raw-icmp", raw_icmp},
    {"raw-ip", raw_ip},
    {"sctp", sctp},
    {"sctp-packets", sctp_packets},
    {"dccp", dccp},
    {"mptcp", multipath},
    {"udp-lite", udp_lite},
    {"netlink-sock-diag", netlink_diag},
    {"netlink-xfrm", netlink_xfrm},
    {"netlink-audit", netlink_audit},
    {"netlink-fib-lookup", netlink_fib},
    {"netlink-connector", netlink_connector},
    {"netlink-netfilter", netlink_netfilter},
    {"netlink-uevent", netlink_uevent},
    {"netlink-generic", netlink_generic},
    {"netlink-crypto", netlink_crypto},
    {"socketpair", vsock_pair},
    {"wide-family", wide_family},
    {"tcp-ulp", upper_layer},
    {"tcp-repair", repair},
    {"so-mark", mark},
    {"so-rcvbufforce", big_buffer},
    {"iptables", ip_tables},
    {"new-device", new_device},
    {"tiocsti", inject},
    {"tiocsti-wide", inject_wide},
    {"tiocsti-signed", inject_sign},
    {"tioclinux", paste},
    {"tiocsetd", discipline},
    {"tioccons", console},
    {0},
};
