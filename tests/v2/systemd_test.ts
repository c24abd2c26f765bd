import { testSystemdContainers } from "../helpers/systemd_containers.ts";

testSystemdContainers(2);
