/** How much of something may happen: so much at once, and so much a second after that. */
export class Rate {
  #left: number;
  #atMs: number;

  constructor(readonly perSecond: number, readonly atOnce: number, nowMs: number) {
    this.#left = atOnce;
    this.#atMs = nowMs;
  }

  /** Takes so much, if it is there. */
  take(amount: number, nowMs: number): boolean {
    this.#refill(nowMs);
    if (this.#left < amount) return false;
    this.#left -= amount;
    return true;
  }

  /** Takes so much whatever is there, and returns how long to wait then. */
  owe(amount: number, nowMs: number): number {
    this.#refill(nowMs);
    this.#left -= amount;
    return this.#left >= 0 ? 0 : -this.#left / this.perSecond * 1000;
  }

  #refill(nowMs: number): void {
    const gained = Math.max(0, nowMs - this.#atMs) / 1000 * this.perSecond;
    this.#left = Math.min(this.atOnce, this.#left + gained);
    this.#atMs = nowMs;
  }
}
