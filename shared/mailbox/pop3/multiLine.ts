import { Failure } from '../../failure/failure.ts';
import type { Deadline, Pop3Wire } from './wire.ts';

/** The rest of a multi-line reply, from behind its status line to its terminator, decoded. */
export class Pop3Body {
  readonly #wire: Pop3Wire;
  readonly #deadline: Deadline;
  readonly #maxBytes: number;
  readonly #tooLong: () => Failure;
  readonly #decoder: Pick<DotDecoder, 'decode'>;
  #readBytes = 0;
  #ended = false;
  #isDiscarded = false;

  /** To be made when its status line was read. `tooLong` makes the failure for a body of more than `maxBytes`, at which the connection ends. */
  constructor(wire: Pop3Wire, deadline: Deadline, maxBytes: number, tooLong: () => Failure) {
    this.#wire = wire;
    this.#deadline = deadline;
    this.#maxBytes = maxBytes;
    this.#tooLong = tooLong;
    this.#decoder = wire.isLenient ? new LenientDotDecoder() : new DotDecoder();
  }

  get ended(): boolean {
    return this.#ended;
  }

  /**
   * The next bytes, as views on what came from the network; they may be none. Undefined at the end. Rejects once it was
   * discarded.
   */
  async next(): Promise<readonly Buffer[] | undefined> {
    if (this.#isDiscarded) {
      throw new Failure(
        'internal',
        'A mail was read on after it was opened anew or the next one was fetched.',
      );
    }
    return await this.#read();
  }

  async #read(): Promise<readonly Buffer[] | undefined> {
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
    this.#isDiscarded = true;
    while ((await this.#read()) !== undefined);
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
    wire.fail(
      new Failure('protocol', `${wire.server} gave an endless answer to ${command}. Check the server.`),
    );
  let begun = '';
  let count = 0;
  let readBytes = 0;
  for (;;) {
    const piece = await wire.piece(deadline);
    deadline.earn(piece.length);
    readBytes += piece.length;
    let at = 0;
    for (let end = piece.indexOf(lineFeed); end !== -1; end = piece.indexOf(lineFeed, at)) {
      const line = begun + piece.toString('latin1', at, end);
      begun = '';
      at = end + 1;
      if (/^\.[ \t]*\r?$/.test(line)) {
        if (line !== '.\r') wire.endsWithOddDot = true;
        wire.putBack(piece.subarray(at));
        return;
      }
      count += 1;
      if (count > maxLines || line.length > maxLineCharacters) throw tooLong();
      take(line.replace(/^\.|\r$/g, ''));
    }
    begun += piece.toString('latin1', at);
    if (begun.length > maxLineCharacters || readBytes > maxLines * meanLineBytes) throw tooLong();
  }
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

const mostBlanks = 64;

/**
 * As `DotDecoder`, for servers that end lines in LF alone, or put blanks behind the dot that ends a reply. What ends a
 * line here may stand in a mail of a better server, so it is used only where one was seen to do so.
 */
export class LenientDotDecoder {
  #atLineStart = true;
  /** A line that begins with a dot and may be the end. */
  #dotLine: number[] | undefined;

  decode(chunk: Buffer, pieces: Buffer[]): number {
    for (let at = 0; at < chunk.length; ) {
      const byte = chunk[at] ?? 0;
      if (this.#dotLine !== undefined) {
        at += 1;
        this.#dotLine.push(byte);
        if (byte === lineFeed && isEnd(this.#dotLine)) return at;
        const mayEnd = byte !== lineFeed && isBlank(byte) && this.#dotLine.length < mostBlanks;
        if (mayEnd) continue;
        pieces.push(Buffer.from(this.#dotLine.slice(1)));
        this.#dotLine = undefined;
        this.#atLineStart = byte === lineFeed;
      } else if (this.#atLineStart && byte === dot) {
        this.#dotLine = [dot];
        at += 1;
      } else {
        const end = chunk.indexOf(lineFeed, at) + 1;
        pieces.push(chunk.subarray(at, end === 0 ? chunk.length : end));
        this.#atLineStart = end !== 0;
        at = end === 0 ? chunk.length : end;
      }
    }
    return -1;
  }
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === carriageReturn;
}

function isEnd(line: readonly number[]): boolean {
  return line.slice(1, -1).every(isBlank);
}
