// Asks as gRPC does, by Node's HTTP/2: `grpc_client.mjs ADDRESS PORT NAME AUTHORITY`. Each message waits for the answer to the one before.
import { readFileSync } from "node:fs";
import { connect } from "node:http2";
import { connect as connectTls } from "node:tls";

const [host, port, servername, authority] = process.argv.slice(2);
const ca = readFileSync(authority);
const session = connect(`https://${servername}:${port}`, {
  createConnection: () => connectTls({ host, port: Number(port), servername, ca, ALPNProtocols: ["h2"] }),
});
// deno-lint-ignore explicit-function-return-type
function call(path, messages, more = {}) {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      te: "trailers",
      "content-type": "application/grpc",
      ...more,
    });
    const said = { data: [] };
    stream.setTimeout(8000, () => reject(new Error(`no answer to ${path} after ${said.data}`)));
    stream.on("response", (headers) => said.head = [headers[":status"], headers["grpc-status"]]);
    stream.on("trailers", (headers) => said.trailers = [headers["grpc-status"], headers["grpc-message"]]);
    const next = () => messages.length > 0 ? stream.write(messages.shift()) : stream.end();
    stream.on("data", (data) => {
      said.data.push(String(data));
      next();
    });
    stream.on("end", () => resolve(said));
    stream.on("error", reject);
    next();
  });
}
const authorization = "Bearer placeholder-1";
const large = "x".repeat(100_000);
const all = await Promise.all([
  call("/demo.Echo/Stream", ["one", "two", "three"], { authorization }),
  call("/demo.Echo/Stream", ["four"]),
  call("/demo.Echo/Fail", []),
  call("/demo.Other/Stream", ["five"]),
]);
const { data } = await call("/demo.Echo/Large", [large]);
console.log(JSON.stringify([...all, data.join("").replaceAll("echo:", "").length]));
session.destroy();
