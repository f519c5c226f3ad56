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
  async next(): Promise<readonly Buffer[] | undefined> {
    if (!this.#isDiscarded) return await this.#read();
    throw new Failure('internal', 'A mail was read on after it was opened anew or the next one was fetched.');
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
const blank = 0x20;
const mostBlanks = 64;
/** What a dot stands behind at the start of a line, and what may follow it where it ends the reply. */
const strictly = { lineStart: Buffer.from('\r\n.'), end: /^\r\n/, mayEnd: /^\r?$/ };
const leniently = { lineStart: Buffer.from('\n.'), end: /^[ \t\r]*\n/, mayEnd: /^[ \t\r]*$/ };

/**
 * Undoes the dot-stuffing of a POP3 multi-line reply (RFC 1939, 3) and finds its end. Only CRLF ends a line.
 *
 * The lenient one is for servers seen to end lines in LF alone, or to put blanks behind the dot that ends a reply: in a
 * mail of a better server that would be content. A mail whose first line ends so is read leniently too: that line is the
 * server's own mostly, and so are the ends of the others.
 */
export class DotDecoder {
  /** Whether the reply ended in more, or less, than a dot, CR and LF. */
  endedOddly = false;
  #way: typeof strictly;
  #isFirstLine = true;
  #isStart = true;
  /** What came last, as far as what follows decides whether a line starts or the reply ends there. */
  #undecided: Buffer = Buffer.alloc(0);

  constructor(isLenient = false) {
    this.#way = isLenient ? leniently : strictly;
  }

  /** Appends views on what is decoded to `pieces`. Returns the index behind the reply's end, -1 when it goes on. */
  decode(chunk: Buffer, pieces: Buffer[]): number {
    const data = this.#undecided.length === 0 ? chunk : Buffer.concat([this.#undecided, chunk]);
    if (this.#isFirstLine) this.#lookForLineEnd(data);
    const { lineStart, end, mayEnd } = this.#way;
    let from = 0;
    const take = (to: number): void => {
      if (to > from) pieces.push(data.subarray(from, to));
    };
    for (;;) {
      const lineAt = this.#isStart && data[0] === dot ? 0 : data.indexOf(lineStart, from);
      if (lineAt === -1) break;
      const dotAt = data[lineAt] === dot ? lineAt : lineAt + lineStart.length - 1;
      const isText = (data[dotAt + 1] ?? blank) > blank;
      const behind = isText ? 'text' : data.toString('latin1', dotAt + 1, dotAt + 1 + mostBlanks);
      const ended = end.exec(behind)?.[0];
      if (ended === undefined && behind.length < mostBlanks && mayEnd.test(behind)) {
        take(lineAt);
        this.#undecided = data.subarray(lineAt);
        return -1;
      }
      take(dotAt);
      from = dotAt + 1;
      this.#isStart = false;
      if (ended === undefined) continue;
      this.endedOddly = ended !== '\r\n';
      return from + ended.length - this.#undecided.length;
    }
    this.#isStart &&= data.length === 0;
    let open = Math.min(lineStart.length - 1, data.length - from);
    while (open > 0 && !data.subarray(-open).equals(lineStart.subarray(0, open))) open -= 1;
    take(data.length - open);
    this.#undecided = data.subarray(data.length - open);
    return -1;
  }

  #lookForLineEnd(data: Buffer): void {
    const end = data.indexOf(lineFeed);
    if (end === -1) return;
    this.#isFirstLine = false;
    if (data[end - 1] !== carriageReturn) this.#way = leniently;
  }
}
