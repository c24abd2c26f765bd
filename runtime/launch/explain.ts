import { ERRNO } from "../plan/abi.ts";
import type { StepWords } from "./image.ts";

/** What a person can do about a step that failed so; empty if nothing is known. */
export function explain({ call, does }: StepWords, errno: number): string {
  const is = (...names: (keyof typeof ERRNO)[]): boolean => names.some((name) => ERRNO[name] === errno);
  if (call.startsWith("landlock_")) return explainLandlock(errno);
  if (is("ENOSYS")) return "this kernel is too old: Linux 5.12 or later is needed";
  switch (call) {
    case "chdir":
      if (does.startsWith("map ids with ")) {
        return "it is missing, or does not let this user have these ids: see its message, /etc/subuid and /etc/subgid, or map the own id only";
      }
      break;
    case "capset":
      if (does.startsWith("change flags that a user namespace locks to ")) {
        const what = does.slice(does.indexOf(" to mount ") + " to mount ".length);
        return `in runc's words: runc run failed: unable to start container process: error during container init: error mounting ${what}: operation not permitted; leave out the option that clears what the source has`;
      }
      break;
    case "clone3":
      if (is("EPERM")) {
        return "this user may not make namespaces: run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0); in a chroot nobody may make user namespaces: enter it by pivot_root";
      }
      if (is("ENOSPC")) return "too many namespaces: raise the sysctls user.max_*_namespaces";
      if (is("EINVAL")) {
        return "this kernel lacks one of the namespaces, or a launcher that is pid 1 of its own pid namespace started it";
      }
      if (is("EAGAIN")) return "too many processes: raise RLIMIT_NPROC or pids.max";
      break;
    case "faccessat2":
    case "execve":
      if (is("ENOENT")) {
        return does.startsWith("find ")
          ? "no such file or directory: name a program that is in the sandbox's PATH"
          : "no such file or directory: the program, or the interpreter that it names, is not in the sandbox";
      }
      if (is("EACCES")) {
        return "permission denied: make it executable for the sandbox's user (chmod +x), on a mount without noexec, and named by its policy if that names files";
      }
      if (is("ENOEXEC")) {
        return "not a program for this machine: a script needs a first line such as #!/bin/sh";
      }
      break;
    case "openat2":
      if (is("ELOOP")) {
        return "a symbolic link is in the way: it must be mounted on ordinary directory, let the rootfs have one there";
      }
      if (is("ENOTDIR")) return "the rootfs has something else there";
      if (is("EACCES")) return "permission denied: a directory on the way is closed to the sandbox's user";
      break;
    case "mkdirat":
    case "openat":
    case "mknodat":
      if (is("EISDIR") && does.startsWith("run ")) return "is a directory: name a program";
      if (is("EEXIST")) return "the rootfs has something else there, such as a dangling link";
      if (is("EROFS")) return "the root is read-only: let the rootfs have it beforehand";
      if (is("ENOENT")) return "no such file or directory";
      break;
    case "prctl":
      if (does.startsWith("join user namespace ")) {
        return "write those of the namespace in their order, or none: they are in /proc/PID/uid_map and gid_map of who is in it";
      }
      break;
    case "mount_setattr":
      if (is("EINVAL") && does.startsWith("keep mounts inside")) {
        return "the root of this process is no mount point, as in a chroot: mount --rbind it on itself before, and enter it by pivot_root";
      }
      break;
    case "open_tree":
      if (is("ENOENT")) return "no such file or directory on the host";
      if (is("EACCES")) return "permission denied: a directory on the way to it is closed to this user";
      if (is("EINVAL")) return "only whole trees can be copied here: use rbind instead of bind";
      break;
    case "move_mount":
      if (is("EINVAL", "ENOTDIR")) return "a directory can only be mounted on a directory, a file on a file";
      break;
    case "fsconfig":
    case "fsopen":
      if (is("EINVAL")) return "the file system does not know the option or its value (dmesg may say more)";
      if (is("ENODEV")) return "this kernel has no such file system";
      if (is("EPERM")) return "not allowed in this user namespace: mount the host's by bind instead";
      break;
    case "prlimit64":
      if (is("EPERM")) return "only CAP_SYS_RESOURCE may raise a hard limit: ask for no more than the host's";
      break;
    case "sched_setattr":
      if (is("EPERM")) {
        return "process scheduler can't be used together with AllowedCPUs (resources.cpu.cpus): its deadlines are for all CPUs; or permission denied";
      }
      break;
    case "seccomp":
      if (is("EINVAL", "EFAULT")) {
        return "the kernel refuses the filter: it is too long, or one of its flags is unknown here";
      }
      break;
  }
  if (is("ENOSPC")) return "no space is left: give the upper layer more (--overlay tmpfs:size=…)";
  if (is("ENOMEM")) return "the host is out of memory";
  if (is("EPERM", "EACCES")) return "permission denied: run as root, or ask for less";
  return "";
}

function explainLandlock(errno: number): string {
  if (errno === ERRNO.ENOSYS || errno === ERRNO.EOPNOTSUPP) {
    return "this kernel has no Landlock, or did not enable it: add landlock to the kernel parameter lsm=";
  }
  if (errno === ERRNO.E2BIG) {
    return "this process is under too many Landlock rules already: sixteen is the most";
  }
  if (errno === ERRNO.EINVAL) return "this kernel's Landlock is older than the one that this was made for";
  return "";
}
