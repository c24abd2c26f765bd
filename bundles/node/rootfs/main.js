// Shows that Node.js with its threads is at home in a sandbox.
const { hostname } = require("node:os");
const { Worker } = require("node:worker_threads");

console.log(`Node.js ${process.version}, process ${process.pid} on host ${hostname()}`);
new Worker(`require("node:worker_threads").parentPort.postMessage("hello")`, { eval: true })
  .once("message", (word) => console.log(`a thread says: ${word}`));
