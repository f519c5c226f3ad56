/**
 * How long a reply may be waited for: `totalMs` in all, and `silenceMs` for the next byte. Only time spent
 * waiting for the server counts, so that a slow consumer does not make a good server late.
 */
export class Deadline {
  readonly silenceMs: number;
  #leftMs: number;

  constructor(totalMs: number, silenceMs = totalMs) {
    this.#leftMs = totalMs;
    this.silenceMs = Math.min(silenceMs, totalMs);
  }

  /** How long the next wait may last. */
  get waitMs(): number {
    return Math.max(0, Math.min(this.#leftMs, this.silenceMs));
  }

  spend(ms: number): void {
    this.#leftMs -= ms;
  }

  /** What was received adds the time that the slowest of good servers would have taken for it. */
  earn(receivedBytes: number): void {
    this.#leftMs += (receivedBytes / slowestBytesPerSilence) * this.silenceMs;
  }
}

/** What a server has to send, on average, in each `silenceMs`. */
const slowestBytesPerSilence = 64 * 1024;

/** For a command with an answer of bounded size: `commandMs` for all of it. */
export function commandDeadline(commandMs: number): Deadline {
  return new Deadline(commandMs);
}

/** For a mail of any size: `commandMs` for each silence, and an end even for a server that trickles for ever. */
export function mailDeadline(commandMs: number): Deadline {
  return new Deadline(2 * commandMs, commandMs);
}
