import { deepEqual, throws } from "node:assert/strict";
import { cgroupWrites, type Hierarchy } from "../../../../runtime/cgroup/files.ts";
import { UnsupportedError } from "../../../../runtime/errors.ts";
import type { Resources } from "../../../../runtime/spec/linux.ts";

const V1 = [
  "cpu,cpuacct",
  "cpuset",
  "memory",
  "pids",
  "blkio",
  "hugetlb",
  "rdma",
  "net_cls,net_prio",
  "name=x",
]
  .map((controllers): Hierarchy => (
    { version: 1, controllers, mountPoint: `/${controllers.split(",")[0]}`, own: "/" }
  ));
const UNIFIED = { version: 2, mountPoint: "/v2", own: "/" } as const;
const V2: readonly Hierarchy[] = [
  { ...UNIFIED, controllers: "cpuset,cpu,io,memory,hugetlb,pids,rdma" },
];
/** Version 1 has left only this one to version 2. */
const HYBRID: readonly Hierarchy[] = [
  ...V1.filter(({ controllers }) => !["hugetlb", "rdma"].includes(controllers)),
  { ...UNIFIED, controllers: "hugetlb" },
];
const [AT, NUMBERS] = ["/linux/resources", { major: 8, minor: 16 }];

/** Each write as `mount/file=value`, with what is written to a kernel without that file after `|`. */
function lines(resources: Resources, mounted: readonly Hierarchy[]): string[] {
  return cgroupWrites(resources, mounted).map(({ mountPoint, file, value, otherwise }) =>
    `${mountPoint}/${file}=${value}${otherwise ? `|${otherwise.file}=${otherwise.value}` : ""}`
  );
}

for (
  const [name, resources, v1, v2] of [
    ["nothing", {}, [], []],
    ["what is 0", { cpu: { shares: 0, quota: 0, period: 0 }, memory: { limit: 0, swap: 0 } }, [], []],
    ["cpu shares", { cpu: { shares: 1024 } }, ["/cpu/cpu.shares=1024"], ["/v2/cpu.weight=100"]],
    ["fewer cpu shares", { cpu: { shares: 100 } }, ["/cpu/cpu.shares=100"], ["/v2/cpu.weight=17"]],
    ["least shares", { cpu: { shares: 2 } }, ["/cpu/cpu.shares=2"], ["/v2/cpu.weight=1"]],
    ["most shares", { cpu: { shares: 262144n } }, ["/cpu/cpu.shares=262144"], ["/v2/cpu.weight=10000"]],
    [
      "a CPU quota after its period and before its burst",
      { cpu: { burst: 1000, quota: 50_000, period: 200_000 } },
      ["/cpu/cpu.cfs_period_us=200000", "/cpu/cpu.cfs_quota_us=50000", "/cpu/cpu.cfs_burst_us=1000"],
      ["/v2/cpu.max=50000 200000", "/v2/cpu.max.burst=1000"],
    ],
    ["no CPU quota", { cpu: { quota: -1 } }, ["/cpu/cpu.cfs_quota_us=-1"], ["/v2/cpu.max=max 100000"]],
    ["a CPU period", { cpu: { period: 5000 } }, ["/cpu/cpu.cfs_period_us=5000"], ["/v2/cpu.max=max 5000"]],
    [
      "idle after shares",
      { cpu: { idle: 1, shares: 2 } },
      ["/cpu/cpu.shares=2", "/cpu/cpu.idle=1"],
      ["/v2/cpu.weight=1", "/v2/cpu.idle=1"],
    ],
    [
      "processors",
      { cpu: { cpus: "0-1", mems: "0" } },
      ["/cpuset/cpuset.cpus=0-1", "/cpuset/cpuset.mems=0"],
      ["/v2/cpuset.cpus=0-1", "/v2/cpuset.mems=0"],
    ],
    [
      "memory before memory and swap",
      { memory: { swap: 300, limit: 200, reservation: 100 } },
      [
        "/memory/memory.limit_in_bytes=200",
        "/memory/memory.memsw.limit_in_bytes=300",
        "/memory/memory.soft_limit_in_bytes=100",
      ],
      ["/v2/memory.swap.max=100", "/v2/memory.max=200", "/v2/memory.low=100"],
    ],
    [
      "memory without swap",
      { memory: { swap: 200n, limit: 200 } },
      ["/memory/memory.limit_in_bytes=200", "/memory/memory.memsw.limit_in_bytes=200"],
      ["/v2/memory.swap.max=0", "/v2/memory.max=200"],
    ],
    [
      "no memory limits",
      { memory: { limit: -1, swap: -1, kernel: 5 } },
      ["/memory/memory.limit_in_bytes=-1", "/memory/memory.memsw.limit_in_bytes=-1"],
      ["/v2/memory.swap.max=max", "/v2/memory.max=max"],
    ],
    ["pids", { pids: { limit: 7 } }, ["/pids/pids.max=7"], ["/v2/pids.max=7"]],
    ["no pids", { pids: { limit: 0 } }, ["/pids/pids.max=0"], ["/v2/pids.max=0"]],
    ["any pids", { pids: { limit: -1 } }, ["/pids/pids.max=max"], ["/v2/pids.max=max"]],
    [
      "block weights",
      { blockIO: { weight: 500, weightDevice: [{ ...NUMBERS, weight: 1000 }] } },
      [
        "/blkio/blkio.weight=500|blkio.bfq.weight=500",
        "/blkio/blkio.weight_device=8:16 1000|blkio.bfq.weight_device=8:16 1000",
      ],
      [
        "/v2/io.bfq.weight=500|io.weight=4950",
        "/v2/io.bfq.weight=8:16 1000|io.weight=8:16 10000",
      ],
    ],
    [
      "block rates",
      {
        blockIO: {
          throttleReadBpsDevice: [{ ...NUMBERS, rate: 600 }],
          throttleWriteIOPSDevice: [{ ...NUMBERS, rate: 0 }],
        },
      },
      [
        "/blkio/blkio.throttle.read_bps_device=8:16 600",
        "/blkio/blkio.throttle.write_iops_device=8:16 0",
      ],
      ["/v2/io.max=8:16 rbps=600", "/v2/io.max=8:16 wiops=max"],
    ],
    [
      "huge pages",
      { hugepageLimits: [{ pageSize: "2MB", limit: 2n ** 60n }] },
      [
        "/hugetlb/hugetlb.2MB.limit_in_bytes=1152921504606846976",
        "/hugetlb/hugetlb.2MB.rsvd.limit_in_bytes=1152921504606846976",
      ],
      ["/v2/hugetlb.2MB.max=1152921504606846976", "/v2/hugetlb.2MB.rsvd.max=1152921504606846976"],
    ],
    [
      "rdma",
      { rdma: { mlx5_1: { hcaHandles: 3, hcaObjects: 10 }, rxe3: { hcaObjects: 1 } } },
      ["/rdma/rdma.max=mlx5_1 hca_handle=3 hca_object=10", "/rdma/rdma.max=rxe3 hca_object=1"],
      ["/v2/rdma.max=mlx5_1 hca_handle=3 hca_object=10", "/v2/rdma.max=rxe3 hca_object=1"],
    ],
  ] as readonly (readonly [string, Resources, readonly string[], readonly string[]])[]
) {
  Deno.test(`cgroupWrites() on v1: ${name}`, () => deepEqual(lines(resources, V1), v1));
  Deno.test(`cgroupWrites() on v2: ${name}`, () => deepEqual(lines(resources, V2), v2));
}

for (
  const [name, resources, mounted, expected] of [
    [
      "real time",
      { cpu: { realtimeRuntime: 1, realtimePeriod: 2 } },
      V1,
      ["/cpu/cpu.rt_period_us=2", "/cpu/cpu.rt_runtime_us=1"],
    ],
    [
      "the rest of memory",
      { memory: { kernelTCP: 5, disableOOMKiller: true, useHierarchy: true, swappiness: 0 } },
      V1,
      [
        "/memory/memory.use_hierarchy=1",
        "/memory/memory.kmem.tcp.limit_in_bytes=5",
        "/memory/memory.oom_control=1",
        "/memory/memory.swappiness=0",
      ],
    ],
    ["leaf weights", { blockIO: { leafWeight: 10 } }, V1, ["/blkio/blkio.leaf_weight=10"]],
    [
      "marks of traffic",
      { network: { classID: 1048577, priorities: [{ name: "eth0", priority: 5 }] } },
      V1,
      ["/net_cls/net_cls.classid=1048577", "/net_cls/net_prio.ifpriomap=eth0 5"],
    ],
    [
      "unified, last and line by line",
      { unified: { "io.max": "8:0 rbps=1\n8:16 wbps=2\n", "cgroup.max.depth": "2" }, pids: { limit: 1 } },
      V2,
      ["/v2/pids.max=1", "/v2/io.max=8:0 rbps=1", "/v2/io.max=8:16 wbps=2", "/v2/cgroup.max.depth=2"],
    ],
    [
      "each controller where it is",
      {
        hugepageLimits: [{ pageSize: "1GB", limit: 0 }],
        memory: { limit: 1 },
        unified: { "hugetlb.1GB.max": "1" },
      },
      HYBRID,
      [
        "/memory/memory.limit_in_bytes=1",
        "/v2/hugetlb.1GB.max=0",
        "/v2/hugetlb.1GB.rsvd.max=0",
        "/v2/hugetlb.1GB.max=1",
      ],
    ],
    ["nothing where none is mounted", { memory: { disableOOMKiller: false }, devices: [], cpu: {} }, [], []],
  ] as readonly (readonly [string, Resources, readonly Hierarchy[], readonly string[]])[]
) {
  Deno.test(`cgroupWrites() writes ${name}`, () => deepEqual(lines(resources, mounted), expected));
}

for (
  const [pointer, resources, mounted] of [
    ["cpu/shares", { cpu: { shares: 2 } }, []],
    ["cpu/shares", { cpu: { shares: 1 } }, V1],
    ["cpu/shares", { cpu: { shares: 262145 } }, V1],
    ["cpu/cpus", { cpu: { cpus: "0" } }, [unified("cpu")]],
    ["cpu/realtimeRuntime", { cpu: { realtimeRuntime: 1 } }, V2],
    ["memory/limit", { memory: { limit: -1 } }, []],
    ["memory/limit", { memory: { limit: 5 } }, [unified("hugetlb")]],
    ["memory/kernelTCP", { memory: { kernelTCP: 5 } }, V2],
    ["memory/swappiness", { memory: { swappiness: 0 } }, V2],
    ["memory/disableOOMKiller", { memory: { disableOOMKiller: true } }, V2],
    ["memory/useHierarchy", { memory: { useHierarchy: false } }, V2],
    ["memory/swap", { memory: { swap: 5 } }, V1],
    ["memory/swap", { memory: { swap: 5, limit: -1 } }, V2],
    ["memory/swap", { memory: { swap: 5, limit: 6 } }, V2],
    ["pids/limit", { pids: { limit: 0 } }, []],
    ["blockIO/weight", { blockIO: { weight: 10 } }, []],
    ["blockIO/leafWeight", { blockIO: { leafWeight: 10 } }, V2],
    [
      "blockIO/weightDevice/0/leafWeight",
      { blockIO: { weightDevice: [{ ...NUMBERS, leafWeight: 10 }] } },
      V2,
    ],
    [
      "blockIO/throttleReadBpsDevice/0",
      { blockIO: { throttleReadBpsDevice: [{ ...NUMBERS, rate: 1 }] } },
      [],
    ],
    ["hugepageLimits/0", { hugepageLimits: [{ pageSize: "2MB", limit: 1 }] }, []],
    ["hugepageLimits/0/pageSize", { hugepageLimits: [{ pageSize: "../2MB", limit: 1 }] }, V2],
    ["rdma/a~1b", { rdma: { "a/b": { hcaHandles: 1 } } }, HYBRID],
    ["network/classID", { network: { classID: 1 } }, V2],
    ["network/priorities/0", { network: { priorities: [{ name: "lo", priority: 1 }] } }, V2],
    ["unified/memory.high", { unified: { "memory.high": "1" } }, V1],
    ["unified/memory.high", { unified: { "memory.high": "1" } }, HYBRID],
    ["unified/cgroup.procs", { unified: { "cgroup.procs": "1" } }, V2],
    ["unified/cgroup.kill", { unified: { "cgroup.kill": "1" } }, V2],
    ["unified/memory...~1max", { unified: { "memory.../max": "1" } }, V2],
  ] as readonly (readonly [string, Resources, readonly Hierarchy[]])[]
) {
  Deno.test(`cgroupWrites() refuses ${pointer}: ${JSON.stringify(resources)}`, () => {
    throws(() => cgroupWrites(resources, mounted), (error) => {
      return error instanceof UnsupportedError && error.feature === `${AT}/${pointer}`;
    });
  });
}

Deno.test("cgroupWrites() calls files of v2 an invalid configuration on v1, as runc does", () => {
  for (const mounted of [V1, HYBRID]) {
    throws(() => cgroupWrites({ unified: { "memory.min": "1" } }, mounted), /invalid configuration: /);
  }
});

Deno.test("cgroupWrites() asks for a look at what may be ignored and what would kill", () => {
  const [sockets] = cgroupWrites({ memory: { kernelTCP: 4096 } }, V1);
  deepEqual([sockets?.mayBeIgnored, sockets?.pointer], [true, `${AT}/memory/kernelTCP`]);
  const [limit] = cgroupWrites({ memory: { limit: 4096, checkBeforeUpdate: true } }, V2);
  deepEqual([limit?.usage?.file, limit?.usage?.most, limit?.pointer], [
    "memory.current",
    4096n,
    `${AT}/memory/limit`,
  ]);
});

function unified(controllers: string): Hierarchy {
  return { ...UNIFIED, controllers };
}
