/** Bytes that the proxy does not pass on: they could be read in more than one way, or are too many. */
export class Refusal extends Error {
  override readonly name = "Refusal";

  /**
   * @param rule Which of the proxy's own rules, as `http:…`, `tls:…` or `limit:…`.
   * @param message Why, for a person.
   * @param status What an HTTP client is answered.
   */
  constructor(readonly rule: string, message: string, readonly status = 400) {
    super(message);
  }
}
