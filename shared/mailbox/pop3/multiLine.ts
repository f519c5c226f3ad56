import { Failure } from '../../failure/failure.ts';
import type { Deadline } from './deadline.ts';
import type { Pop3Wire } from './wire.ts';

/** The rest of a multi-line reply, from behind its status line to its terminator, decoded. */
export class Pop3Body {
  readonly #wire: Pop3Wire;
  readonly #deadline: Deadline;
  readonly #maxBytes: number;
  readonly #tooLong: () => Failure;
  readonly #decoder = new DotDecoder();
  #readBytes = 0;
  #ended = false;

  /** `tooLong` makes the failure for a body of more than `maxBytes`, at which the connection ends. */
  constructor(wire: Pop3Wire, deadline: Deadline, maxBytes: number, tooLong: () => Failure) {
    this.#wire = wire;
    this.#deadline = deadline;
    this.#maxBytes = maxBytes;
    this.#tooLong = tooLong;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** The next bytes, as views on what came from the network; they may be none. Undefined at the end. */
  async next(): Promise<readonly Buffer[] | undefined> {
    if (this.#ended) return undefined;
    const chunk = await this.#wire.piece(this.#deadline);
    const pieces: Buffer[] = [];
    const end = this.#decoder.decode(chunk, pieces);
    this.#readBytes += end === -1 ? chunk.length : end;
    this.#deadline.earn(chunk.length);
    if (this.#readBytes > this.#maxBytes) throw this.#wire.fail(this.#tooLong());
    if (end !== -1) {
      this.#ended = true;
      this.#wire.putBack(chunk.subarray(end));
    }
    return pieces;
  }

  /** Reads to the end and forgets. */
  async discard(): Promise<void> {
    while ((await this.next()) !== undefined);
  }
}

const maxLineCharacters = 4 * 1024;
const meanLineBytes = 512;

/** Reads the lines of a list reply. A list or a line that is too long ends the connection with a `Failure` (protocol). */
export async function readLines(
  wire: Pop3Wire,
  deadline: Deadline,
  { maxLines, command }: { readonly maxLines: number; readonly command: string },
  take: (line: string) => void,
): Promise<void> {
  const tooLong = () =>
    new Failure('protocol', `${wire.server} gave an endless answer to ${command}. Check the server.`);
  const body = new Pop3Body(wire, deadline, maxLines * meanLineBytes, tooLong);
  let begun = '';
  let count = 0;
  const takeLine = (line: string) => {
    count += 1;
    if (count > maxLines || line.length > maxLineCharacters) throw wire.fail(tooLong());
    take(line.endsWith('\r') ? line.slice(0, -1) : line);
  };
  for (let pieces = await body.next(); pieces !== undefined; pieces = await body.next()) {
    for (const piece of pieces) {
      const lines = (begun + piece.toString('latin1')).split('\n');
      begun = lines.pop() ?? '';
      for (const line of lines) takeLine(line);
      if (begun.length > maxLineCharacters) throw wire.fail(tooLong());
    }
  }
  if (begun !== '') takeLine(begun);
}

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
