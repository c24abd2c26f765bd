/** How a proxy is watched: by a shell, which needs next to nothing. */

/** A proxy ends with this if there is another one already. */
export const THERE_IS_ONE = 75;
/** The descriptor at which a proxy finds the file that outlives it. */
export const KEPT_DESCRIPTOR = 3;
/** After how many ends in a row nobody tries any more, and how long a proxy has to live to begin a new row. */
const [MOST_ENDS, LONG_S] = [10, 60];

/**
 * Functions that go into a cgroup of the proxy's own in each hierarchy, which is made, and out of it again, which removes
 * it unless somebody else is in it. Where that cannot be, the proxy is where it was started. A new cpuset of version 1 is
 * empty, and no process can join it so (cpuset(7)).
 */
const GROUPS = `each_group() {
  before=$IFS
  IFS='
'
  set -f
  for root in $roots; do "$1"; done
  set +f
  IFS=$before
}
join_group() {
  [ -d "$root/$group" ] || mkdir "$root/$group"
  for file in cpuset.cpus cpuset.mems; do
    [ -f "$root/$file" ] && read -r value <"$root/$file" && echo "$value" >"$root/$group/$file"
  done
  echo $$ >"$root/$group/cgroup.procs" || rmdir "$root/$group"
}
leave_group() {
  echo $$ >"$root/cgroup.procs" && rmdir "$root/$group"
}`;

/**
 * Runs the proxy `"$@"`, and runs it anew if it was there and did not end by itself. The file in memory `$KEPT`, in which
 * it keeps what must not be on disk, is open here all the time. The first time is at once, each later one a second later.
 * Both are in cgroups of their own where that can be, which go with them.
 */
export const WATCH = `exec ${KEPT_DESCRIPTOR}<>"$KEPT" || exit 1
roots=$ROOTS group=$GROUP
unset KEPT WATCH LOG ROOTS GROUP
${GROUPS}
each_group join_group 2>/dev/null
trap 'each_group leave_group 2>/dev/null' EXIT
ends=0
while :; do
  began=$(date +%s)
  "$@"
  code=$?
  [ $code = 0 ] && exit 0
  [ $code = ${THERE_IS_ONE} ] && exit $code
  [ -s /proc/self/fd/${KEPT_DESCRIPTOR} ] || exit $code
  [ $(($(date +%s) - began)) -ge ${LONG_S} ] && ends=0
  ends=$((ends + 1))
  if [ $ends -gt ${MOST_ENDS} ]; then
    echo "The proxy has ended $ends times with $code: it is not started again" >&2
    exit $code
  fi
  echo "The proxy has ended with $code: it is started again" >&2
  sleep $((ends - 1))
done`;
