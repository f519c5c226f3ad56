import { Failure } from '../../failure/failure.ts';
import type { Deadline } from './deadline.ts';
import { DotDecoder } from './dotDecoder.ts';
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
  #overflowed = false;

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

  /** Whether it was longer than allowed. */
  get overflowed(): boolean {
    return this.#overflowed;
  }

  /** The next bytes, as views on what came from the network; they may be none. Undefined at the end. */
  async next(): Promise<readonly Buffer[] | undefined> {
    if (this.#ended) return undefined;
    const chunk = await this.#wire.piece(this.#deadline);
    const pieces: Buffer[] = [];
    const end = this.#decoder.decode(chunk, pieces);
    this.#readBytes += end === -1 ? chunk.length : end;
    if (this.#readBytes > this.#maxBytes) {
      this.#overflowed = true;
      throw this.#wire.fail(this.#tooLong());
    }
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
