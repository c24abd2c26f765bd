import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { fromFileUrl } from "@std/path";

/** How long a call may take on a busy machine. */
const CALL_MS = 60_000;
const FIELDS = { longs: Number, enums: String, defaults: true };

/** Says to an engine what a kubelet says, by Kubernetes' Container Runtime Interface. */
export class Cri implements Disposable {
  readonly #client: grpc.Client;
  readonly #service: grpc.ServiceDefinition;

  /** @param socket The socket that the engine listens at. */
  constructor(socket: string) {
    const definition = loadSync(fromFileUrl(import.meta.resolve("./cri.proto")), FIELDS);
    this.#service = definition["runtime.v1.RuntimeService"] as grpc.ServiceDefinition;
    this.#client = new grpc.Client(`unix:${socket}`, grpc.credentials.createInsecure());
  }

  /**
   * Calls one of its functions, which cri.proto tells, with what it is asked.
   *
   * @throws {Error} with what the engine says if it does not do that.
   */
  call<Answer>(name: string, question: object): Promise<Answer> {
    const { path, requestSerialize, responseDeserialize } = this.#service[name]!;
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    this.#client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      question,
      { deadline: Date.now() + CALL_MS },
      (error, answer) => error ? reject(error) : resolve(answer),
    );
    return promise;
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}
