export {
  /** Whether a descriptor is open and was inherited: all that a process opens itself are close-on-exec. */
  isInherited,
} from "../ffi/fd.ts";
