/** What stays open under `default` and `strict`, by the name of the probe, and why. */
export const SURFACE: Readonly<Record<string, string>> = {
  "internet-sockets":
    "programs use TCP and UDP, and tests of programs use the loopback device. The network namespace has no other device",
  "mount-table":
    "`/proc/self/mountinfo` names the directory of the host that a bind mount comes from; programs look their mounts up there",
  "cpuinfo": "the CPU answers `cpuid` without the kernel; libraries choose their code by it",
  "load": "how busy the machine is shows in the time that anything takes, whoever hides the files",
  "boot-id": "programs tell machines apart by it; it names nobody",
  "kernel-version": "`uname` is how C libraries find out what the kernel can do",
};
