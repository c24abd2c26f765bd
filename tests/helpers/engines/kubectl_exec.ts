// Types a line at a program in a container, as `kubectl exec -it` does, and shows what it answers:
// `deno run -N kubectl_exec.ts URL COLUMNS LINE`, where the engine has given the URL.
const [url, columns, line] = Deno.args;
/** The first byte of each message says what it is of. */
const STREAM = { stdin: 0, stdout: 1, status: 3, resize: 4 } as const;
const socket = new WebSocket(url!.replace(/^http/, "ws"), ["v4.channel.k8s.io"]);
socket.binaryType = "arraybuffer";

function send(stream: keyof typeof STREAM, text: string): void {
  socket.send(Uint8Array.of(STREAM[stream], ...new TextEncoder().encode(text)));
}

socket.onopen = () => {
  send("resize", JSON.stringify({ Width: Number(columns), Height: 33 }));
  send("stdin", `${line}\n`);
};
socket.onmessage = ({ data }) => {
  const [stream, ...bytes] = new Uint8Array(data);
  if (stream === STREAM.stdout) Deno.stdout.writeSync(Uint8Array.from(bytes));
  if (stream === STREAM.status) console.log(`\nstatus ${new TextDecoder().decode(Uint8Array.from(bytes))}`);
};
socket.onerror = (event) => {
  console.error(event instanceof ErrorEvent ? event.message : "the connection failed");
  Deno.exit(1);
};
