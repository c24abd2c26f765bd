import { join } from "@std/path";
import { starterSpec } from "../mod.ts";

/**
 * Imports what an agent's Python often has, and waits for its stdin: one that is restored finds the end of /dev/null there,
 * says so, and does nothing more.
 */
const PROGRAM = `
import asyncio, argparse, ctypes, csv, dataclasses, datetime, decimal, email, hashlib, http.client, json, logging
import multiprocessing, os, re, socket, sqlite3, ssl, subprocess, sys, tempfile, threading, time, typing, unittest
import urllib.request, uuid, xml.dom.minidom, zipfile
import signal
os.write(1, b"all is imported\\n")
os.read(0, 1)
os.write(1, b"goes on\\n")
while True:
    signal.pause()
`;

/** Writes a bundle with the host's `/usr` whose program is a Python that has imported much; its path. */
export function pythonBundle(path: string): string {
  const rootfs = join(path, "rootfs");
  for (const name of ["usr", "proc", "dev", "sys", "tmp", "etc"]) {
    Deno.mkdirSync(join(rootfs, name), { recursive: true });
  }
  for (const name of ["bin", "sbin", "lib", "lib64"]) Deno.symlinkSync(`usr/${name}`, join(rootfs, name));
  Deno.writeTextFileSync(join(rootfs, "program.py"), PROGRAM);
  const spec = starterSpec();
  const mounts = spec.mounts!.filter(({ type }) => type !== "cgroup");
  const usr = { destination: "/usr", type: "bind", source: "/usr", options: ["rbind", "ro", "nosuid"] };
  const tmp = {
    destination: "/tmp",
    type: "tmpfs",
    source: "tmpfs",
    options: ["nosuid", "nodev", "size=8m"],
  };
  const config = {
    ...spec,
    ociVersion: "1.0.2", // older peers take no later one
    root: { path: "rootfs" },
    mounts: [...mounts, usr, tmp],
    // runc calls masks otherwise, and could not restore our images.
    linux: { ...spec.linux, maskedPaths: [], readonlyPaths: [] },
    process: {
      ...spec.process!,
      terminal: false,
      args: ["python3", "/program.py"],
      env: ["PATH=/usr/bin:/bin"],
      rlimits: [],
    },
  };
  Deno.writeTextFileSync(join(path, "config.json"), JSON.stringify(config));
  return path;
}
