import { decideName, permittedAddresses } from "../policy/decide.ts";
import { Refusal } from "../proxy/refusal.ts";
import type { SandboxTraffic } from "../proxy/sandbox.ts";
import { type Answer, answerBytes } from "./answer.ts";
import { idOf, type Question, RCODE, readQuestion, TYPE } from "./question.ts";
import { askUpstream } from "./upstream.ts";

/** How long a name may be remembered by whoever asks. */
const TTL_S = { least: 5, most: 300, none: 10 } as const;
/** How long an address stays open after that: a connection may be made with the last of a name's time. */
const GRACE_S = 30;
const CACHED = 1024;
const ASKED_AT_ONCE = 64;

interface Cached {
  readonly answer: Answer;
  readonly untilMs: number;
}

/** Answers one sandbox's questions for names. A name that its policy does not allow is never asked upstream. */
export class Resolver {
  readonly #cache = new Map<string, Cached>();
  #asking = 0;

  constructor(readonly traffic: SandboxTraffic) {}

  /** The answer to a message; nothing if it is none that can be answered, or there are too many. */
  async answer(bytes: Uint8Array, transport: "udp" | "tcp"): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const { traffic } = this;
    const nowMs = traffic.around.nowMs();
    if (!traffic.names.take(1, nowMs)) {
      traffic.record({
        kind: "dns",
        verdict: "deny",
        rule: "limit:names",
        reason: "there are too many questions",
      });
      return undefined;
    }
    let question: Question;
    try {
      question = readQuestion(bytes);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      traffic.record({ kind: "dns", verdict: "deny", rule: error.rule, reason: error.message });
      const id = idOf(bytes);
      return id === undefined
        ? undefined
        : Uint8Array.from([id >> 8, id & 0xff, 0x80, RCODE.malformed, ...Array(8).fill(0)]);
    }
    const answer = await this.#decide(question, nowMs);
    return answerBytes(question, answer, transport === "tcp" ? 65535 : question.udpBytes);
  }

  async #decide(question: Question, startMs: number): Promise<Answer> {
    const { traffic } = this;
    const { name, type } = question;
    const none = { addresses: [], ttlS: TTL_S.none };
    const verdict = decideName(traffic.policy, name);
    if (verdict.verdict === "deny") {
      traffic.record({ kind: "dns", ...verdict, name });
      return { rcode: RCODE.noName, ...none };
    }
    if (type === TYPE.HTTPS || type === TYPE.SVCB) return { rcode: RCODE.ok, ...none }; // would tell keys of ECH
    if (type !== TYPE.A && type !== TYPE.AAAA) {
      const reason = `records of the type ${type} are not answered`;
      traffic.record({ kind: "dns", verdict: "deny", rule: "builtin:dns-type", reason, name });
      return { rcode: RCODE.refused, ...none };
    }
    const cached = this.#fresh(`${type} ${name}`, startMs);
    const answer = cached ?? await this.#ask(name, type);
    return this.#pinned(name, answer, { rule: verdict.rule, reason: verdict.reason, startMs });
  }

  #fresh(key: string, nowMs: number): Answer | undefined {
    const found = this.#cache.get(key);
    if (found === undefined || found.untilMs <= nowMs) return undefined;
    return { ...found.answer, ttlS: Math.max(1, Math.ceil((found.untilMs - nowMs) / 1000)) };
  }

  async #ask(name: string, type: number): Promise<Answer> {
    const failed = { rcode: RCODE.failed, addresses: [], ttlS: 0 };
    if (this.#asking >= ASKED_AT_ONCE) return failed;
    this.#asking++;
    try {
      const answer = await askUpstream(this.traffic.servers, name, type);
      const ttlS = answer.addresses.length === 0
        ? TTL_S.none
        : Math.min(Math.max(answer.ttlS, TTL_S.least), TTL_S.most);
      if (answer.rcode !== RCODE.failed) this.#keep(`${type} ${name}`, { ...answer, ttlS });
      return { ...answer, ttlS };
    } catch {
      return failed;
    } finally {
      this.#asking--;
    }
  }

  #keep(key: string, answer: Answer): void {
    this.#cache.delete(key);
    this.#cache.set(key, { answer, untilMs: this.traffic.around.nowMs() + answer.ttlS * 1000 });
    if (this.#cache.size > CACHED) this.#cache.delete(this.#cache.keys().next().value!);
  }

  /** Opens what may be told, by the policy of now, before it is told. */
  #pinned(name: string, answer: Answer, why: { rule: string; reason: string; startMs: number }): Answer {
    const { traffic } = this;
    const nowMs = traffic.around.nowMs();
    const durationMs = Math.round(nowMs - why.startMs);
    const { pinned, refused } = permittedAddresses(traffic.policy, name, answer.addresses);
    for (const each of refused) traffic.record({ kind: "dns", ...each, name });
    const again = decideName(traffic.policy, name);
    if (again.verdict === "deny") {
      traffic.record({ kind: "dns", ...again, name });
      return { rcode: RCODE.noName, addresses: [], ttlS: TTL_S.none };
    }
    if (refused.length === 0 || pinned.length > 0) {
      const reason = answer.rcode === RCODE.ok
        ? why.reason
        : `the name server's answer has the code ${answer.rcode}`;
      const address = pinned.length === 0 ? {} : { address: pinned.join(" ") };
      traffic.record({ kind: "dns", verdict: "allow", rule: why.rule, reason, name, ...address, durationMs });
    }
    const ttlS = answer.ttlS + GRACE_S;
    traffic.pin(name, pinned, ttlS);
    traffic.pins.add(name, pinned, nowMs + ttlS * 1000);
    return { ...answer, addresses: pinned };
  }
}
