import { probeHost } from "../../runtime/host/probe.ts";
import { testSystemdContainers } from "../helpers/systemd_containers.ts";

testSystemdContainers(probeHost().cgroups.some(({ version }) => version === 1) ? 1 : 2);
