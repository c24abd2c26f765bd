import { deepEqual, equal, throws } from "node:assert/strict";
import { answerBytes, loadPackets, queryBytes, readAnswer } from "../../../../network/dns/answer.ts";
import { readQuestion, TYPE } from "../../../../network/dns/question.ts";
import { Refusal } from "../../../../network/proxy/refusal.ts";

/** A message: a header of the flags and counts, then bytes given as text. */
function message(rest: string, { flags = 0x100, counts = [1, 0, 0, 0] } = {}): Uint8Array {
  const words = [0x1234, flags, ...counts];
  return Uint8Array.from([
    ...words.flatMap((word) => [word >> 8, word & 0xff]),
    ...[...rest].map((each) => each.charCodeAt(0)),
  ]);
}

const A = "\0\x01\0\x01";

Deno.test("readQuestion() reads one question, in lower case", () => {
  const question = readQuestion(message(`\x01A\x04Test\0${A}`));
  deepEqual([question.id, question.name, question.type, question.udpBytes], [0x1234, "a.test", TYPE.A, 512]);
  const edns = readQuestion(
    message(`\x01a\0\0\x1c\0\x01\0\0\x29\x10\0\0\0\0\0\0\0`, { counts: [1, 0, 0, 1] }),
  );
  deepEqual([edns.name, edns.type, edns.udpBytes], ["a", TYPE.AAAA, 1232]);
});

const REFUSED: readonly [what: string, bytes: Uint8Array][] = [
  ["nothing", new Uint8Array()],
  ["an answer", message(`\x01a\0${A}`, { flags: 0x8100 })],
  ["another operation", message(`\x01a\0${A}`, { flags: 0x2800 })],
  ["a message that is cut", message(`\x01a\0${A}`, { flags: 0x300 })],
  ["no question", message("", { counts: [0, 0, 0, 0] })],
  ["two questions", message(`\x01a\0${A}\x01b\0${A}`, { counts: [2, 0, 0, 0] })],
  ["an answer in it", message(`\x01a\0${A}`, { counts: [1, 1, 0, 0] })],
  ["the root", message(`\0${A}`)],
  ["a compressed name", message(`\xc0\x0c${A}`)],
  ["a name that ends early", message(`\x05a`)],
  ["a name with a dot in a label", message(`\x03a.b\0${A}`)],
  ["a name with NUL", message(`\x02a\0\0${A}`)],
  ["a name with a space", message(`\x02a \0${A}`)],
  ["a name in UTF-8", message(`\x02\xc3\xa4\0${A}`)],
  ["a name that is too long", message(`${"\x3f".padEnd(64, "a").repeat(4)}\0${A}`)],
  ["another class", message(`\x01a\0\0\x01\0\x03`)],
  ["bytes behind it", message(`\x01a\0${A}x`)],
  ["another record than EDNS", message(`\x01a\0${A}\0\0\x01\x10\0\0\0\0\0\0\0`, { counts: [1, 0, 0, 1] })],
  ["EDNS with another length", message(`\x01a\0${A}\0\0\x29\x10\0\0\0\0\0\0\x05`, { counts: [1, 0, 0, 1] })],
];
for (const [what, bytes] of REFUSED) {
  Deno.test(`readQuestion() refuses ${what}`, () => throws(() => readQuestion(bytes), Refusal));
}

Deno.test("answerBytes() and readAnswer() understand each other, for the one who asked only", async () => {
  await loadPackets();
  for (const [type, address] of [[TYPE.A, "192.0.2.1"], [TYPE.AAAA, "2001:db8::1"]] as const) {
    const query = queryBytes(7, "a.test", type);
    const bytes = answerBytes(
      readQuestion(query),
      { rcode: 0, addresses: [address, address], ttlS: 60 },
      512,
    );
    const asked = { id: 7, name: "a.test", type };
    deepEqual(readAnswer(bytes, asked), { rcode: 0, addresses: [address], ttlS: 60 });
    equal(readAnswer(bytes, { ...asked, id: 8 }), undefined);
    equal(readAnswer(bytes, { ...asked, name: "b.test" }), undefined);
    equal(readAnswer(bytes, { ...asked, type: type === TYPE.A ? TYPE.AAAA : TYPE.A }), undefined);
    equal(readAnswer(query, asked), undefined);
    throws(() => readAnswer(bytes.subarray(0, 20), asked), Refusal);
  }
});

Deno.test("answerBytes() says that it is cut where addresses do not fit", async () => {
  await loadPackets();
  const question = readQuestion(queryBytes(7, "a.test", TYPE.A));
  const addresses = Array.from({ length: 32 }, (_, index) => `192.0.2.${index}`);
  const bytes = answerBytes(question, { rcode: 0, addresses, ttlS: 1 }, 512);
  equal(bytes.length <= 512, true);
  equal(readAnswer(bytes, { id: 7, name: "a.test", type: TYPE.A }), "cut");
});
