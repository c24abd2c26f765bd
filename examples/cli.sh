#!/bin/sh
# What the command line can do, one thing after the other.
set -eu
cd "$(dirname "$0")/.."

runtime() { # with `deno task build`, bin/runtime does the same and starts sooner
  deno run --quiet -A cli/main.ts "$@"
}
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT

# A bundle: a directory with a config.json.
runtime run bundles/hello

# Any program of this host. It sees /usr and, read-only, the working directory: no other file, and no network.
runtime run -- python3 -c 'print("Python says", 6 * 7)'

# A directory that it may write to, and a variable.
runtime run --mount "$scratch:/out:rw" --env WHO=you -- sh -c 'echo "for $WHO" > /out/note'
cat "$scratch/note"

# A limit of time. The exit code is 124, and everything that the program started is gone.
runtime run --timeout 300ms -- sleep 60 || echo "ended with $?"

# What is known of a run, as JSON.
runtime run --result "$scratch/result.json" -- true
grep '"exitCode"' "$scratch/result.json"

# Every system call that a run makes, before it is made.
runtime plan bundles/hello | grep 'execve(' | cut -c1-66

# An executable that is the sandbox, and needs neither Deno nor this project.
runtime compile bundles/hello -o "$scratch/box" > "$scratch/log"
"$scratch/box"
