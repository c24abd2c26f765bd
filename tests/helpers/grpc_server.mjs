// Speaks as gRPC does, by Node's HTTP/2: `grpc_server.mjs CERTIFICATE KEY PORT`. What comes goes back at once.
import { readFileSync } from "node:fs";
import { createSecureServer } from "node:http2";

const [certificate, key, port] = process.argv.slice(2);
const server = createSecureServer({ cert: readFileSync(certificate), key: readFileSync(key) });
server.on("stream", (stream, headers) => {
  const asked = `${headers[":method"]} ${headers[":path"]} te=${headers.te} ${headers.authorization ?? ""}`;
  if (headers[":path"] === "/demo.Echo/Fail") {
    stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "5" }, {
      endStream: true,
    });
    return;
  }
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0", "grpc-message": asked.trim() }));
  stream.on("data", (data) => stream.write(`echo:${data}`));
  stream.on("end", () => stream.end());
  stream.on("error", () => {});
});
server.listen(Number(port), "::", () => console.log("ready"));
