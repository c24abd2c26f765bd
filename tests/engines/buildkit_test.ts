import { equal, match } from "node:assert/strict";
import { waitUntil } from "../helpers/eventually.ts";
import { engineTest, RUNTIME_PATH } from "../helpers/engines/engine_test.ts";
import { IMAGE } from "../helpers/engines/image.ts";

const BUILDKIT = {
  section: "Docker",
  name: "Docker's BuildKit",
  programs: { "/usr/sbin/dockerd": "docker.io", "/usr/bin/docker": "docker.io" },
  cgroups: /^(docker|buildkit)$/,
};
/** Debian's: others need BuildKit's own command beside them. */
const DOCKER = "/usr/bin/docker";
/** What BuildKit finds in its PATH, and what says that it has. */
const CALLS = "/run/calls";
const RUNC = `#!/bin/sh\necho "$@" >>${CALLS}\nexec ${RUNTIME_PATH} "$@"\n`;
const DOCKERFILE = `FROM ${IMAGE}
RUN echo built >/note && id -u >>/note
RUN --mount=type=bind,source=given,target=/given cat /given/file >>/note
RUN --mount=type=cache,target=/cache,uid=1000 stat -c %u /cache >>/note
RUN --mount=type=secret,id=word cat /run/secrets/word >>/note
RUN --mount=type=tmpfs,target=/empty ls -A /empty >>/note
RUN cat /sys/class/net/*/address >>/note
USER guest
WORKDIR /tmp/new
RUN id -u >/tmp/guest && pwd >>/tmp/guest
`;

engineTest(BUILDKIT, async ({ machine, image, step }) => {
  await machine.write("/usr/local/sbin/runc", RUNC);
  await machine.output(["chmod", "755", "/usr/local/sbin/runc"]);
  await using _dockerd = await machine.daemon("dockerd", ["dockerd"], [DOCKER, "version"]);
  await machine.output([DOCKER, "load", "--quiet", "--input", image]);
  const build = async (text: string, ...flags: readonly string[]) => {
    await machine.write("/srv/context/Dockerfile", text);
    const words = [DOCKER, "build", "--progress=plain", "--no-cache", ...flags, "/srv/context"];
    return await machine.run(words, { env: { DOCKER_BUILDKIT: "1" } });
  };
  await machine.write("/srv/context/given/file", "given\n");
  await machine.write("/srv/secret", "secret\n");

  await step("build runs every step of a Dockerfile", async () => {
    const { code, stderr } = await build(
      DOCKERFILE,
      "--network=none",
      "--tag=built",
      "--secret=id=word,src=/srv/secret",
    );
    equal(code, 0, stderr);
    const shown = [DOCKER, "run", "--rm", "--network=none", "built", "cat", "/note", "/tmp/guest"];
    equal(
      await machine.output(shown),
      ["built", "0", "given", "1000", "secret", "00:00:00:00:00:00", "1000", "/tmp/new"].join("\n"),
    );
    match(await machine.output(["cat", CALLS]), /run --bundle \S+/);
  });

  await step("build has a network by itself", async () => {
    const { code, stderr } = await build(`FROM ${IMAGE}\nRUN ip addr show eth0\n`);
    equal(code, 0, stderr);
    match(stderr, /inet 172\./);
  });

  await step("build ends where a step fails, and says how", async () => {
    for (
      const [line, says] of [
        ["RUN echo wrong >&2; exit 9", /wrong[^]*exit code: 9/],
        ['RUN ["/nosuch"]', /"\/nosuch": stat \/nosuch: no such file or directory[^]*exit code: 1$/m],
        ['RUN ["/etc/passwd"]', /"\/etc\/passwd": permission denied[^]*exit code: 1$/m],
      ] as const
    ) {
      const { code, stderr } = await build(`FROM ${IMAGE}\n${line}\n`);
      equal(code, 1);
      match(stderr, says);
    }
  });

  await step("a build that is given up leaves nothing", async () => {
    await machine.write("/srv/context/Dockerfile", `FROM ${IMAGE}\nRUN echo begun; sleep 987\n`);
    const words = ["timeout", "--signal=INT", "5", DOCKER, "build", "--progress=plain", "/srv/context"];
    const { stderr } = await machine.run(words, { env: { DOCKER_BUILDKIT: "1" } });
    match(stderr, /begun/);
    await waitUntil(async () => (await machine.run(["pgrep", "-f", "sleep 987"])).code !== 0, "it is ended");
  });

  const kept = ["find", "/run/ai-sandbox/containers", "/run/runc", "-mindepth", "1"];
  equal((await machine.run(kept)).stdout, "");
});
