import type { Mount } from "./spec/config.ts";

/** Where programs are looked for that are named without a directory. */
export const SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const SHUT = ["nosuid", "noexec", "nodev"] as const;

/** The kernel's file systems and the devices of a sandbox, in the order in which they are mounted, as shut as can be. */
export const USUAL_MOUNTS: readonly Required<Pick<Mount, "destination" | "type" | "options">>[] = [
  { destination: "/proc", type: "proc", options: SHUT },
  { destination: "/dev", type: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=65536k"] },
  {
    destination: "/dev/pts",
    type: "devpts",
    options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
  },
  { destination: "/dev/shm", type: "tmpfs", options: [...SHUT, "mode=1777", "size=65536k"] },
  { destination: "/dev/mqueue", type: "mqueue", options: SHUT },
  { destination: "/sys", type: "sysfs", options: [...SHUT, "ro"] },
];

/** Files of the kernel that tell of the host or reach it: nothing in a sandbox may read them. */
export const MASKED_PATHS: readonly string[] = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/sys/firmware",
];

/** Files of the kernel that change the host when they are written. */
export const READONLY_PATHS: readonly string[] = [
  "/proc/bus",
  "/proc/fs",
  "/proc/irq",
  "/proc/sys",
  "/proc/sysrq-trigger",
];
