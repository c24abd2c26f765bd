import { type AttackClass, attackClass } from "./attack.ts";

/** Users, neighbours, the runtime, and what a program gets to know. */
export const PROCESSES: readonly AttackClass[] = [
  attackClass(
    "Users and groups",
    `
  host-root: be uid 0 of the host
  foreign-user: become a user of the host or of another sandbox
  foreign-group: get such a group
  foreign-groups: get such a supplementary group
  foreign-owner: give a file to such a user
  foreign-file: read such a user's file
  more-capabilities: get CAP_SYS_ADMIN
  inheritable-capability: make it inheritable
  ambient-capability: make it ambient (CVE-2022-29162)
  bounding-set: find it in the bounding set
  securebits: keep capabilities over a change of user
  new-privileges: get rights by execve
  no-filter: run without a filter`,
  ),
  attackClass(
    "Neighbours: a process of the host and one of another sandbox",
    `
  signal: send a signal
  queue-signal: queue a signal
  thread-signal: send a signal to a thread
  pidfd: open a descriptor for it
  trace-neighbour: trace it
  memory-of-neighbour: open its memory
  root-of-neighbour: open its root
  cwd-of-neighbour: open its working directory
  descriptors-of-neighbour: open its descriptors
  environment-of-neighbour: read its environment
  program-of-neighbour: open its program
  overwrite-program: open its program for writing (CVE-2019-5736)
  oom-score-of-neighbour: make it the one that is killed
  namespace-of-neighbour: open its namespaces
  renice-neighbour: change its priority
  affinity-of-neighbour: change its CPUs
  limits-of-neighbour: read its limits
  session-of-neighbour: ask for its session
  process-list: find it in /proc
  abstract-socket: connect to its abstract socket
  socket-file: connect to its socket
  loopback: connect to its TCP port
  sysv-memory: attach its System V memory
  sysv-queue: open its System V queue
  sysv-semaphores: open its System V semaphores
  posix-memory: open its POSIX memory
  posix-queue: open its POSIX queue
  key-of-neighbour: find its key`,
  ),
  attackClass(
    "The runtime",
    `
  write-to-programs: open any other program that runs for writing (CVE-2019-5736)
  trace-others: trace any process that is not its own (CVE-2016-9962)
  image-in-sight: see an image that sandboxes are started from
  parents: see who started it
  descriptors: find a descriptor that was not closed (CVE-2024-21626)`,
  ),
  attackClass(
    "What a program gets to know",
    `
  host-environment: find the environment of whoever started it
  host-name: learn the host's name
  host-interfaces: list the host's network devices
  mount-table: learn paths of the host from /proc/self/mountinfo
  cpuinfo: learn the CPU
  load: learn how busy the machine is
  boot-id: tell one machine from another
  kernel-version: learn the kernel's version
  internet-sockets: make sockets of the internet`,
  ),
];
