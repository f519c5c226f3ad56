import { Failure } from '../../failure/failure.ts';
import type { Deadline, Pop3Wire } from './wire.ts';

/** The rest of a multi-line reply, from behind its status line to its terminator, decoded. */
export class Pop3Body {
  readonly #wire: Pop3Wire;
  readonly #deadline: Deadline;
  readonly #maxBytes: number;
  readonly #tooLong: () => Failure;
  readonly #decoder: DotDecoder;
  #readBytes = 0;
  ended = false;
  #isDiscarded = false;

  /** To be made when its status line was read. More than `maxBytes` end the connection, for what `tooLong` makes. */
  constructor(
    wire: Pop3Wire,
    deadline: Deadline,
    maxBytes: number,
    tooLong: () => Failure,
    decoder = new DotDecoder(wire.endsWithOddDot),
  ) {
    this.#wire = wire;
    this.#deadline = deadline;
    this.#maxBytes = maxBytes;
    this.#tooLong = tooLong;
    this.#decoder = decoder;
  }

  /** The next bytes, maybe none, as views on what came; undefined at the end. Rejects once it was discarded. */
  next(): Promise<readonly Buffer[] | undefined> {
    if (!this.#isDiscarded) return this.#read();
    const sentence = 'A mail was read on after it was opened anew or the next one was fetched.';
    return Promise.reject(new Failure('internal', sentence));
  }

  async #read(): Promise<readonly Buffer[] | undefined> {
    if (this.ended) return undefined;
    const chunk = await this.#wire.piece(this.#deadline);
    const pieces: Buffer[] = [];
    const end = this.#decoder.decode(chunk, pieces);
    this.#readBytes += end === -1 ? chunk.length : end;
    this.#deadline.earn(chunk.length);
    if (this.#readBytes > this.#maxBytes) throw this.#wire.fail(this.#tooLong());
    if (end !== -1) {
      const next = chunk.subarray(end);
      if (!/^([+-]|\+o|-e)?$/i.test(next.toString('latin1', 0, 2))) {
        const sentence = `${this.#wire.server} went on behind the end of an answer with what is none: it leaves dots at the start of lines as they are, or mixes up its answers. Ask its operator.`;
        throw this.#wire.fail(new Failure('protocol', sentence));
      }
      this.ended = true;
      this.#wire.putBack(next);
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

/** Reads the lines of a list reply. Too many or too long ones end the connection with a `Failure` (protocol). */
export async function readLines(
  wire: Pop3Wire,
  deadline: Deadline,
  { maxLines, command }: { readonly maxLines: number; readonly command: string },
  take: (line: string) => void,
): Promise<void> {
  const tooLong = () =>
    new Failure('protocol', `${wire.server} gave an endless answer to ${command}. Check the server.`);
  const decoder = new DotDecoder(true);
  const body = new Pop3Body(wire, deadline, maxLines * meanLineBytes, tooLong, decoder);
  let begun = '';
  let count = 0;
  for (let pieces = await body.next(); pieces !== undefined; pieces = await body.next()) {
    const lines = (begun + Buffer.concat(pieces).toString('latin1')).split('\n');
    count += lines.length - 1;
    if (count > maxLines || lines.some(({ length }) => length > maxLineCharacters))
      throw wire.fail(tooLong());
    begun = lines.pop() ?? '';
    for (const line of lines) take(line.replace(/\r$/, ''));
  }
  wire.endsWithOddDot ||= decoder.endedOddly;
}

const carriageReturn = 0x0d;
const lineFeed = 0x0a;
const dot = 0x2e;
const mostBlanks = 64;
/** `mayEnd`: what a dot at the start of a line may be followed by, up to the LF, where it ends the reply. */
const strictly = { lineStart: '\r\n.', bytes: Buffer.from('\r\n.'), mayEnd: /^\r?$|^\r\n$/ };
const leniently = { lineStart: '\n.', bytes: Buffer.from('\n.'), mayEnd: /^[ \t\r]*\n?$/ };

/**
 * Undoes the dot-stuffing of a POP3 multi-line reply (RFC 1939, 3) and finds its end. Only CRLF ends a line.
 *
 * The lenient one is for servers seen to end lines in LF alone, or to put blanks behind the dot that ends a reply: in a
 * mail of a better server that would be content. A mail whose first line ends so is read leniently too: that line is the
 * server's own mostly, and so are the ends of the others.
 */
export class DotDecoder {
  #way: typeof strictly;
  #isFirstLine = true;
  endedOddly = false;
  /** What the text ends in so far, as far as a line's end may begin there. */
  #tail = '\r\n';
  /** What came since a dot at the start of a line, as long as that may be the end of the reply. */
  #afterDot: string | undefined;

  constructor(isLenient = false) {
    this.#way = isLenient ? leniently : strictly;
  }

  /** Appends views on what is decoded to `pieces`. Returns the index behind the reply's end, -1 when it goes on. */
  decode(chunk: Buffer, pieces: Buffer[]): number {
    let from = 0;
    if (this.#isFirstLine) this.#lookForLineEnd(chunk);
    for (;;) {
      for (; this.#afterDot !== undefined; from += 1) {
        if (from === chunk.length) return -1;
        const line = this.#afterDot + String.fromCharCode(chunk[from] ?? 0);
        const mayEnd = line.length < mostBlanks && this.#way.mayEnd.test(line);
        if (mayEnd && line.endsWith('\n')) {
          this.endedOddly = line !== '\r\n';
          return from + 1;
        }
        if (!mayEnd) break;
        this.#afterDot = line;
      }
      if (this.#afterDot) pieces.push(Buffer.from(this.#afterDot));
      this.#afterDot = undefined;
      const dotAt = this.#findDot(chunk, from);
      const end = dotAt === -1 ? chunk.length : dotAt;
      if (end > from) pieces.push(chunk.subarray(from, end));
      if (dotAt === -1) {
        this.#tail = (this.#tail + chunk.toString('latin1', Math.max(from, end - 2))).slice(-2);
        return -1;
      }
      from = dotAt + 1;
      // Nearly each reply ends so.
      if (chunk[from] === carriageReturn && chunk[from + 1] === lineFeed) return from + 2;
      this.#tail = '';
      this.#afterDot = '';
    }
  }

  #lookForLineEnd(chunk: Buffer): void {
    const end = chunk.indexOf(lineFeed);
    if (end === -1) return;
    this.#isFirstLine = false;
    const before = end === 0 ? this.#tail.charCodeAt(1) : chunk[end - 1];
    if (before !== carriageReturn) this.#way = leniently;
  }

  /** The place of the next dot at the start of a line; -1 when there is none. */
  #findDot(chunk: Buffer, from: number): number {
    const { lineStart, bytes } = this.#way;
    if (from === 0 && (chunk[0] === dot || chunk[0] === lineFeed)) {
      const hit = (this.#tail + chunk.toString('latin1', 0, 2)).indexOf(lineStart);
      if (hit !== -1) return hit + lineStart.length - 1 - this.#tail.length;
    }
    const hit = chunk.indexOf(bytes, from);
    return hit === -1 ? -1 : hit + lineStart.length - 1;
  }
}
