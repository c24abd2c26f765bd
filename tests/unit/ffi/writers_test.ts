import { equal } from "node:assert/strict";
import { open } from "../../../ffi/fd.ts";
import { hasNoWriter } from "../../../ffi/writers.ts";

const [O_RDONLY, O_RDWR] = [0, 2];

Deno.test("hasNoWriter() says whether a file is open for writing, and leaves no lease", () => {
  const path = Deno.makeTempFileSync();
  try {
    using read = open(path, O_RDONLY);
    using _other = open(path, O_RDONLY);
    equal(hasNoWriter(read), true);
    {
      using _writer = open(path, O_RDWR); // would wait for a lease
      equal(hasNoWriter(read), false);
    }
    equal(hasNoWriter(read), true);
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("hasNoWriter() cannot tell of what is no file", () => {
  using zero = open("/dev/null", O_RDONLY);
  equal(hasNoWriter(zero), false);
});
