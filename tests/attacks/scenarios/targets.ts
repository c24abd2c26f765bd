import type { Mount } from "../../../runtime/spec/config.ts";
import { MOUNTS } from "../../helpers/launch_bundle.ts";
import type { Verdict } from "../verdict.ts";
import {
  carelessly,
  judgeOutside,
  judgeText,
  type Place,
  runBundle,
  type Scenario,
  type ScenarioClass,
} from "./scenario.ts";

const UP = "../".repeat(30);
const WITHOUT_DEV = MOUNTS.filter(({ destination }) => !/^\/dev(\/|$)/.test(destination));
type Plant = (place: Place) => void;

function link({ bundle }: Place, name: string, to: string): void {
  Deno.symlinkSync(to, `${bundle.rootfs}/${name}`);
}

/** A link, or many, where something is to be mounted. */
const TARGETS: readonly (readonly [name: string, tries: string, plant: Plant, target: string])[] = [
  [
    "target-link",
    "mount outside by an absolute link",
    (place) => link(place, "target", `${place.outside.path}/dir`),
    "target",
  ],
  [
    "target-climbs",
    "mount outside by a link of dots",
    (place) => link(place, "target", `${UP}${place.outside.path}/dir`),
    "target",
  ],
  [
    "target-chain",
    "mount outside by a chain of 12 links",
    (place) => {
      for (let index = 1; index < 12; index++) link(place, `link${index}`, `link${index + 1}`);
      link(place, "link12", `${place.outside.path}/dir`);
      link(place, "target", "link1");
    },
    "target",
  ],
  [
    "target-below-link",
    "mount below a directory that is a link",
    (place) => link(place, "target", place.outside.path),
    "target/dir",
  ],
  ...["dev", "proc", "sys"].map((name): (typeof TARGETS)[number] => [
    `${name}-link`,
    `have /${name} mounted outside (CVE-2019-19921, CVE-2026-41579)`,
    (place) => {
      Deno.removeSync(`${place.bundle.rootfs}/${name}`);
      link(place, name, `${place.outside.path}/${name}`);
    },
    name,
  ]),
];

const targets = TARGETS.map(([name, tries, plant, target]): Scenario => ({
  name,
  tries,
  control: async (place) => {
    plant(place);
    const script = `mkdir -p "$ROOTFS/${target}"; mount -t tmpfs none "$ROOTFS/${target}/"
grep "$OUTSIDE" /proc/self/mountinfo`;
    return judgeText(await carelessly(place, script), /outside/, "not mounted outside");
  },
  attack: async (place, policy) => {
    plant(place);
    const given: Mount = { destination: `/${target}`, type: "tmpfs" };
    const mounts = MOUNTS.some(({ destination }) => destination === `/${target}`)
      ? MOUNTS
      : [...MOUNTS, given];
    const command = `echo x > /${target}/made; mkdir /${target}/made.d; true`;
    const ran = [];
    for (const overlay of ["none", "tmpfs"] as const) {
      ran.push(await runBundle(place, policy, { command, part: { mounts }, overlay }));
    }
    return judgeOutside(place, ran.every((one) => one === undefined) ? "refused" : "inside");
  },
}));

const fileTarget: Scenario = {
  name: "target-file",
  tries: "have a file mounted over one outside",
  control: async (place) => {
    link(place, "target", place.outside.marker);
    const script = `touch "$ROOTFS/target"; mount --bind "$GIVEN" "$ROOTFS/target"; cat "$OUTSIDE/marker"`;
    place.bundle.write("true");
    return judgeText(await carelessly(place, script), /ociVersion/, "not mounted outside");
  },
  attack: async (place, policy) => {
    link(place, "target", place.outside.marker);
    const source = `${place.bundle.path}/config.json`;
    const mounts: Mount[] = [...MOUNTS, { destination: "/target", source, options: ["bind"] }];
    const ran = await runBundle(place, policy, { command: "echo x > /target; true", part: { mounts } });
    return judgeOutside(place, ran === undefined ? "refused" : "inside");
  },
};

/** What a runtime makes in a rootfs without a /dev of its own, and what lies there already. */
const written = ["null", "zero", "full", "tty", "ptmx", "fd", "stdout"].flatMap((device) =>
  (["link", "hard-link"] as const).map((kind): Scenario => {
    const plant: Plant = ({ bundle, outside }) => {
      const path = `${bundle.rootfs}/dev/${device}`;
      if (kind === "link") Deno.symlinkSync(outside.marker, path);
      else Deno.linkSync(outside.marker, path);
    };
    return {
      name: `dev-${device}-${kind}`,
      tries: `have /dev/${device} made over a ${kind.replace("-", " ")} to a file outside`,
      control: async (place) => {
        plant(place);
        const before = markerOf(place);
        await carelessly(place, `chmod 666 "$ROOTFS/dev/${device}"; echo made > "$ROOTFS/dev/${device}"`);
        return judgeMarker(place, before, "unchanged");
      },
      attack: async (place, policy) => {
        plant(place);
        const before = markerOf(place);
        const ran = await runBundle(place, policy, { command: "true", part: { mounts: WITHOUT_DEV } });
        return judgeMarker(place, before, ran === undefined ? "refused" : "inside");
      },
    };
  })
);

/** Everything about the marker but its links, which planting one changes. */
function markerOf({ outside }: Place): string {
  const { mode, uid, gid, size, mtime } = Deno.statSync(outside.marker);
  return [mode, uid, gid, size, mtime?.getTime(), Deno.readTextFileSync(outside.marker)].join();
}

function judgeMarker(place: Place, before: string, closed: string): Verdict {
  return markerOf(place) === before
    ? { state: "closed", why: closed }
    : { state: "open", why: "what is outside has changed" };
}

/** A mask is only as good as what it is made of. */
const masks = (["link", "file"] as const).map((kind): Scenario => {
  const plant: Plant = ({ bundle }) => {
    bundle.file("etc/secret", "hidden");
    bundle.file("forged", "forged");
    if (kind === "link") Deno.symlinkSync("../forged", `${bundle.rootfs}/dev/null`);
    else bundle.file("dev/null", "forged");
  };
  return {
    name: `mask-by-${kind}`,
    tries: `have files masked by a /dev/null that is a ${kind} (CVE-2025-31133)`,
    control: async (place) => {
      plant(place);
      const script = `mount --bind "$ROOTFS/dev/null" "$ROOTFS/etc/secret"; cat "$ROOTFS/etc/secret"`;
      return judgeText(await carelessly(place, script), /forged/, "masked");
    },
    attack: async (place, policy) => {
      plant(place);
      const part = { mounts: WITHOUT_DEV, linux: { maskedPaths: ["/etc/secret"] } };
      const text = await runBundle(place, policy, { command: "cat /etc/secret; echo end", part });
      return judgeText(text, /forged|hidden/, "masked");
    },
  };
});

const hidden = ([["mask-of-link", "maskedPaths"], ["readonly-of-link", "readonlyPaths"]] as const).map(
  ([name, property]): Scenario => ({
    name,
    tries: `have a file outside covered by one of ${property} that is a link`,
    control: async (place) => {
      link(place, "target", place.outside.marker);
      const script = `mount --bind /dev/null "$ROOTFS/target"; grep "$OUTSIDE" /proc/self/mountinfo`;
      return judgeText(await carelessly(place, script), /outside/, "not covered");
    },
    attack: async (place, policy) => {
      link(place, "target", place.outside.marker);
      const part = { linux: { [property]: ["/target", "/target/marker"] } };
      const ran = await runBundle(place, policy, { command: "true", part });
      return judgeOutside(place, ran === undefined ? "refused" : "inside");
    },
  }),
);

/** Links and forged files in the rootfs. */
export const TARGET_CLASSES: readonly ScenarioClass[] = [
  { title: "Mount targets", attacks: [...targets, fileTarget] },
  { title: "Files that the runtime makes", attacks: written },
  { title: "Masks", attacks: [...masks, ...hidden] },
];
