import type { Framing, Header, ResponseHead } from "./head.ts";
import type { Side } from "./websocket.ts";

/** A request, however it came. */
export interface Request {
  readonly method: string;
  readonly target: string;
  readonly path: string;
  readonly host: string;
  readonly port: number | undefined;
  readonly headers: readonly Header[];
  readonly framing: Framing;
  readonly upgrade: string | undefined;
  readonly minor: 0 | 1;
  /** How many bytes came behind a head that asks to go over to another protocol. */
  readonly early: number;
  /** Whether headers behind the body of the response are wanted. */
  readonly takesTrailers?: boolean;
  readonly body: AsyncIterable<Uint8Array>;
}

/** Who is answered, however. */
export interface Responder {
  /** A response of the class 1xx. */
  informational(head: ResponseHead): Promise<void>;
  /** Sends the head, and the body piece by piece; `framing` says how much there is. */
  respond(
    head: ResponseHead,
    framing: Framing,
    pieces: AsyncIterable<Uint8Array>,
    /** What follows the body, once it has ended. */
    trailers?: () => readonly Header[],
  ): Promise<void>;
  /** Sends a head with which both go over to WebSocket; what is not there cannot. */
  goOver?(head: ResponseHead): Promise<Side>;
}

/** The connection that a request came on. */
export interface Place {
  readonly scheme: "http" | "https";
  readonly address: string;
  readonly port: number;
  /** The names that a request may be for, now. */
  readonly names: () => readonly string[];
  /** What says which server is meant on a connection with TLS. */
  readonly tlsName: string | undefined;
  /** Says that something happened, so that the connection is not taken for idle. */
  readonly touch: (withinMs?: number) => void;
  /** Says that nothing is decided over any more, and how to see whether another policy would let that be. */
  readonly goesOver: (isStillAllowed: () => boolean) => void;
  /** Says that nobody waits for an answer any more. */
  readonly ended: AbortSignal;
}
