const carriageReturn = 0x0d;
const lineFeed = 0x0a;
const dot = 0x2e;
const lineStartWithDot = Buffer.from('\r\n.');
const withheldCarriageReturn = Buffer.from('\r');

/** What the bytes seen last could become a part of. */
type State = 'text' | 'cr' | 'lineStart' | 'dot' | 'dotCr';

/**
 * Undoes the dot-stuffing of a POP3 multi-line reply (RFC 1939, section 3) and finds its end, whatever
 * pieces the bytes come in. Only CRLF ends a line; bare CR, bare LF and NUL are content.
 */
export class DotDecoder {
  #state: State = 'lineStart';

  /**
   * Takes the next bytes and appends what they decode to, as views on `chunk`, to `pieces`. Returns the index
   * after the terminator, or -1 when the reply goes on. The CRLF before the terminator is content.
   */
  decode(chunk: Buffer, pieces: Buffer[]): number {
    let from = 0;
    let at = 0;
    const keepUntil = (end: number) => {
      if (end > from) pieces.push(chunk.subarray(from, end));
    };
    while (at < chunk.length) {
      if (this.#state === 'text') {
        const hit = chunk.indexOf(lineStartWithDot, at);
        if (hit === -1) {
          this.#state = stateAtEndOf(chunk, at);
          break;
        }
        keepUntil(hit + 2);
        at = hit + 3;
        from = at;
        this.#state = 'dot';
        continue;
      }
      const byte = chunk[at];
      if (this.#state === 'dotCr') {
        if (byte === lineFeed) return at + 1;
        pieces.push(withheldCarriageReturn);
        this.#state = 'cr';
        continue;
      }
      if (this.#state === 'lineStart' && byte === dot) {
        keepUntil(at);
        from = at + 1;
        this.#state = 'dot';
      } else if (this.#state === 'dot' && byte === carriageReturn) {
        from = at + 1;
        this.#state = 'dotCr';
      } else if (byte === carriageReturn) {
        this.#state = 'cr';
      } else {
        this.#state = this.#state === 'cr' && byte === lineFeed ? 'lineStart' : 'text';
      }
      at += 1;
    }
    keepUntil(chunk.length);
    return -1;
  }
}

function stateAtEndOf(chunk: Buffer, from: number): State {
  const last = chunk[chunk.length - 1];
  if (last === carriageReturn) return 'cr';
  const hasTwo = chunk.length - from >= 2;
  return hasTwo && last === lineFeed && chunk[chunk.length - 2] === carriageReturn ? 'lineStart' : 'text';
}
