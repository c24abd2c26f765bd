import { equal, match } from "node:assert/strict";
import { leavesNothing } from "../helpers/census.ts";
import { cli, type Said, Temporary } from "../helpers/cli.ts";

/** What a chroot shows of this host, each a mount or a link of its own. */
const INSIDE = `
  mount -t tmpfs tmpfs "$0" && mkdir "$0/root.d" && cd "$0/root.d"
  for each in /*; do
    if [ -L "$each" ]; then cp -P "$each" .
    elif [ -d "$each" ]; then mkdir ".$each" && mount --rbind "$each" ".$each"; fi
  done
`;

/** Runs the command line with another root, which goes with it. */
async function chrooted(prepare: string, args: readonly string[]): Promise<Said> {
  using place = new Temporary();
  const script = `${INSIDE} ${prepare}; exec chroot "$0/root.d" "$@"`;
  const wrapper = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, place.path];
  return await cli(args, { wrapper });
}

Deno.test("in a chroot that is no mount point, run says how to make it one", () => {
  return leavesNothing([], async () => {
    const { code, stderr } = await chrooted(":", ["run", "--policy", "permissive", "--", "true"]);
    match(
      stderr,
      /from spreading to the host .*EINVAL; the root of this process is no mount point, as in a chroot/,
    );
    equal(code, 1);
  });
});

Deno.test("in a chroot run says that user namespaces need another kind of root", () => {
  return leavesNothing([], async () => {
    const bound = 'mount --rbind "$0/root.d" "$0/root.d"';
    const { code, stderr } = await chrooted(bound, ["run", "--", "true"]);
    match(stderr, /clone3\): EPERM; .*in a chroot nobody may make user namespaces: enter it by pivot_root/);
    equal(code, 1);
  });
});
