import { equal, match } from "node:assert/strict";
import { engineTest, RUNTIME_PATH } from "../helpers/engines/engine_test.ts";
import { IMAGE } from "../helpers/engines/image.ts";

const BUILDAH = {
  section: "Podman", // they have one configuration
  name: "Buildah",
  programs: { "/usr/bin/buildah": "buildah" },
  cgroups: /^(buildah-|libpod_parent$)/,
};
const CONTAINERFILE = `FROM ${IMAGE}
RUN echo built >/note && id -u >>/note
RUN --mount=type=bind,source=given,target=/given cat /given/file >>/note
USER guest
RUN id -u >/tmp/guest
CMD ["/bin/cat", "/note", "/tmp/guest"]
`;

engineTest(BUILDAH, async ({ machine, image, step }) => {
  const flags = ["--runtime", RUNTIME_PATH, "--isolation=oci"];
  const out = (...args: readonly string[]): Promise<string> => machine.output(["buildah", ...args]);
  await out("pull", "--quiet", `docker-archive:${image}`);
  const box = await out("from", "--pull-never", IMAGE);

  await step("run shows the output, passes the exit code on, and leaves what was written", async () => {
    equal(await out("run", ...flags, "--network=none", box, "sh", "-c", "echo $PATH; echo x >/made"), "/bin");
    equal(await out("run", ...flags, "--network=host", "--user=guest", box, "id", "-u"), "1000");
    const words = ["buildah", "run", ...flags, box, "sh", "-c", "cat /made; echo wrong >&2; exit 7"];
    const { code, stdout, stderr } = await machine.run(words);
    match(stderr, /^wrong$/m); // beside what buildah and warnings say
    equal(`${code} ${stdout}`, "7 x\n");
  });

  await step("run says what cannot be run", async () => {
    const { code, stderr } = await machine.run(["buildah", "run", ...flags, box, "/nosuch"]);
    equal(code !== 0, true);
    match(stderr, /nosuch/);
  });

  await step("run --terminal has one", async () => {
    const words = ["buildah", "run", ...flags, "--terminal", box, "sh", "-c", "tty; exit 3"];
    const { code, stdout } = await machine.run(words, { terminal: true });
    match(stdout, /\/dev\/pts\/\d+\r\n/);
    equal(code, 3);
  });

  await step("bud runs every step of a Containerfile", async () => {
    await machine.write("/srv/context/Containerfile", CONTAINERFILE);
    await machine.write("/srv/context/given/file", "given\n");
    await out("bud", ...flags, "--network=none", "--pull-never", "--tag=localhost/built", "/srv/context");
    const built = await out("from", "--pull-never", "localhost/built");
    equal(await out("run", ...flags, built, "cat", "/note", "/tmp/guest"), "built\n0\ngiven\n1000");
    await machine.write("/srv/bad/Containerfile", `FROM ${IMAGE}\nRUN exit 9\n`);
    const failed = await machine.run(["buildah", "bud", ...flags, "--pull-never", "/srv/bad"]);
    equal(failed.code !== 0, true);
    match(failed.stderr, /exit status 9/);
  });

  const kept = ["find", "/run/ai-sandbox/containers", "/run/runc", "-mindepth", "1"];
  equal((await machine.run(kept)).stdout, "");
});
