import { ipv4Text, ipv6Text, type NetworkSettings } from "./settings.ts";

/** The rules of a network as the text that nftables takes. Nothing here does anything. */

/** How many pins there may be: what a sandbox could fill is bounded. */
const MOST_PINS = 65_535;
/** How many refused packets of one sandbox are told of. */
const TOLD = "limit rate 20/second burst 50 packets";

/** How many connections and questions to the proxy a sandbox may begin: more are dropped before the proxy hears of them. */
const BEGUN = "limit rate over 400/second burst 1000 packets";

/** All tables, in place of those that are there. */
export function tables(settings: NetworkSettings): string {
  const { table } = settings;
  return [
    `table inet ${table}`,
    `delete table inet ${table}`,
    `table bridge ${table}`,
    `delete table bridge ${table}`,
    routed(settings),
    bridged(settings),
  ].join("\n");
}

/** Removes all tables. */
export function noTables({ table }: Pick<NetworkSettings, "table">): string {
  return `table inet ${table}\ndelete table inet ${table}\ntable bridge ${table}\ndelete table bridge ${table}`;
}

function routed({ table, bridge, ipv4, ipv6, logGroup }: NetworkSettings): string {
  const pool4 = `${ipv4Text(ipv4.network)}/${ipv4.prefixLength}`;
  const pool6 = ipv6 && `${ipv6Text(ipv6.network)}/${ipv6.prefixLength}`;
  const pins = (family: string): string =>
    `type ${family}_addr . ${family}_addr . inet_proto . inet_service; flags interval,timeout; size ${MOST_PINS};`;
  const published = (family: string): string =>
    `type ${family}_addr . inet_proto . inet_service : ${family}_addr . inet_service; flags interval;`;
  const exact = (family: string): string =>
    `type ${family}_addr . ${family}_addr . inet_proto . inet_service; flags timeout; size ${MOST_PINS};`;
  // Most pins are for one address and one port, which are found, added and taken away much faster.
  const pinned = (which: string, ip: "ip" | "ip6", then: string): string =>
    ["exact", "pins"].map((set) =>
      `${which} ${ip} saddr . ${ip} daddr . meta l4proto . th dport @${set}${ip === "ip" ? 4 : 6} ${then}`
    ).join(`\n    `);
  const told = (set: string, ip: string): string =>
    `add @${set} { ${ip} saddr ${TOLD} } log prefix "refused" group ${logGroup} snaplen 128 queue-threshold 1`;
  return `
table inet ${table} {
  set exact4 { ${exact("ipv4")} }
  set exact6 { ${exact("ipv6")} }
  set pins4 { ${pins("ipv4")} }
  set pins6 { ${pins("ipv6")} }
  set open4 { type ipv4_addr; }
  set open6 { type ipv6_addr; }
  set told4 { type ipv4_addr; flags dynamic,timeout; timeout 1m; size 65535; }
  set told6 { type ipv6_addr; flags dynamic,timeout; timeout 1m; size 65535; }
  set begun4 { type ipv4_addr; flags dynamic,timeout; timeout 1m; size 65535; }
  set begun6 { type ipv6_addr; flags dynamic,timeout; timeout 1m; size 65535; }
  map published4 { ${published("ipv4")} }
  map published6 { ${published("ipv6")} }
  chain names { }
  chain streams { }
  chain aim { type nat hook prerouting priority -100; policy accept;
    iifname "${bridge}" ip saddr @open4 accept
    iifname "${bridge}" ip6 saddr @open6 accept
    iifname "${bridge}" meta l4proto { tcp, udp } th dport 53 jump names
    ${pinned(`iifname "${bridge}" meta l4proto tcp`, "ip", "jump streams")}
    ${pinned(`iifname "${bridge}" meta l4proto tcp`, "ip6", "jump streams")}
    iifname "${bridge}" accept
    fib daddr type local meta l4proto { tcp, udp } dnat ip to ip daddr . meta l4proto . th dport map @published4
    fib daddr type local meta l4proto { tcp, udp } dnat ip6 to ip6 daddr . meta l4proto . th dport map @published6
  }
  chain aim_own { type nat hook output priority -100; policy accept;
    fib daddr type local meta l4proto { tcp, udp } dnat ip to ip daddr . meta l4proto . th dport map @published4
    fib daddr type local meta l4proto { tcp, udp } dnat ip6 to ip6 daddr . meta l4proto . th dport map @published6
  }
  chain hide { type nat hook postrouting priority 100; policy accept;
    oifname "${bridge}" ip saddr 127.0.0.0/8 masquerade
    oifname != "${bridge}" ip saddr ${pool4} masquerade
    ${pool6 ? `oifname != "${bridge}" ip6 saddr ${pool6} masquerade` : ""}
  }
  chain screen { type filter hook prerouting priority -90; policy accept;
    iifname != "${bridge}" accept
    ct state established,related accept
    ct state invalid drop
    ct status dnat add @begun4 { ip saddr ${BEGUN} } jump flood
    ct status dnat add @begun6 { ip6 saddr ${BEGUN} } jump flood
    ct status dnat accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept
    fib daddr type != local jump outward
    ${told("told4", "ip")}
    ${told("told6", "ip6")}
    meta l4proto tcp reject with tcp reset
    reject with icmpx admin-prohibited
  }
  chain flood {
    ${told("told4", "ip")}
    ${told("told6", "ip6")}
    drop
  }
  chain outward {
    ip daddr { 0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/4, 255.255.255.255, ${pool4} } return
    ip6 daddr { ::/128, ::1/128, fe80::/10, ff00::/8, fd00:ec2::254/128${pool6 ? `, ${pool6}` : ""} } return
    ip saddr @open4 accept
    ip6 saddr @open6 accept
    ${pinned("meta l4proto udp", "ip", "accept")}
    ${pinned("meta l4proto udp", "ip6", "accept")}
  }
  chain input { type filter hook input priority 0; policy accept;
    iifname != "${bridge}" accept
    ct state established,related accept
    ct status dnat accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept
    drop
  }
  chain forward { type filter hook forward priority 0; policy accept;
    iifname "${bridge}" oifname "${bridge}" drop
    iifname "${bridge}" ct state established,related accept
    iifname "${bridge}" jump outward
    iifname "${bridge}" drop
    oifname "${bridge}" ct state established,related accept
    oifname "${bridge}" ct status dnat accept
    oifname "${bridge}" drop
  }
}`;
}

/** What a port sends is its own: its hardware address, its addresses, and no word of another's. */
function bridged({ table, portPrefix }: NetworkSettings): string {
  return `
table bridge ${table} {
  set own4 { type ifname . ether_addr . ipv4_addr; }
  set own6 { type ifname . ether_addr . ipv6_addr; }
  chain own {
    ether type arp iifname . ether saddr . arp saddr ip @own4 iifname . arp saddr ether . arp saddr ip @own4 accept
    ether type ip iifname . ether saddr . ip saddr @own4 accept
    ether type ip6 icmpv6 type { nd-router-advert, nd-redirect } drop
    ether type ip6 iifname . ether saddr . ip6 saddr @own6 accept
    drop
  }
  chain prerouting { type filter hook prerouting priority -300; policy accept;
    iifname "${portPrefix}*" jump own
  }
}`;
}

/** Where the proxy listens from now on: without this, nothing is redirected anywhere. */
export function proxyPorts(
  { table }: Pick<NetworkSettings, "table">,
  { tcpPort, dnsPort }: { readonly tcpPort: number; readonly dnsPort: number },
): string {
  return [
    `flush chain inet ${table} names`,
    `flush chain inet ${table} streams`,
    `add rule inet ${table} names meta l4proto { tcp, udp } redirect to :${dnsPort}`,
    `add rule inet ${table} streams meta l4proto tcp redirect to :${tcpPort}`,
  ].join("\n");
}
