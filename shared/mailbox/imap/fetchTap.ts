import type { TransformCallback } from 'node:stream';
import type { ImapFlow } from 'imapflow';
import type { MailBuffers } from '../mailBuffers.ts';
import type { Holding } from '../mailbox.ts';
import type { FetchCommand } from './fetchCommand.ts';
import { beginsFetchResponse, parseFetchResponse, unreadBody } from './fetchResponse.ts';
import { type ImapParser, interceptChunks, parserOf, type TakeChunk } from './imapflowInside.ts';

/** Where the FETCH responses go. */
export type FetchSink = Pick<
  FetchCommand,
  'add' | 'isFull' | 'whenRoom' | 'holdLiteral' | 'giveBack' | 'fail'
>;

const LF = 0x0a;
/** The lines of a FETCH response, without its literals; more is left to imapflow and its limits. */
const maxTextBytes = 64 * 1024;
/** A mail is one literal. Small ones take far more memory than they have on the wire. */
const maxLiterals = 16;
const literalMark = /\{(\d+)\+?\}\r?\n$/;
/** Behind a literal, a line end that is the mail's own: Domino does not count it. */
const uncountedEnd = /\}\r?\n\r?\n$/;

/**
 * Reads FETCH responses out of what comes from the server before imapflow does, which makes most of what a mail costs.
 * All else goes on to imapflow as it came, and so in order. See docs/decisions/0003-fetch-tap.md.
 */
export class FetchTap {
  readonly #parser: ImapParser;
  readonly #passOn: TakeChunk;
  readonly #buffers: MailBuffers;
  readonly #mayPass: (chunk: Buffer) => boolean;
  #sink: FetchSink | undefined;
  /** A response of more bytes is left to imapflow, which ends the connection for it. */
  largestResponseBytes = 0;
  /** A line's beginning, until its end comes. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  #response: OpenResponse | undefined;

  /** `mayPass` is asked about all that goes on to imapflow; after a false nothing more is read. Throws a `Failure`. */
  constructor(client: ImapFlow, buffers: MailBuffers, mayPass: (chunk: Buffer) => boolean = () => true) {
    const parser = parserOf(client);
    this.#parser = parser;
    this.#buffers = buffers;
    this.#mayPass = mayPass;
    this.#passOn = interceptChunks(parser, (chunk, encoding, next) => {
      if (Buffer.isBuffer(chunk)) this.#consume(chunk, 0, next);
      else this.#passOn(chunk, encoding, next);
    });
  }

  /** Gives the coming FETCH responses to `sink` until the function that is answered is called. */
  attach(sink: FetchSink): () => void {
    this.#sink = sink;
    return () => {
      if (this.#sink === sink) this.#sink = undefined;
    };
  }

  /** Goes through `chunk` from `start` on. Every way out calls `next`, or hands it to who will. */
  #consume(chunk: Buffer, start: number, next: TransformCallback): void {
    const begunEnd = start + this.#begunBytes(chunk, start);
    if (begunEnd > start) {
      this.#pass(chunk.subarray(start, begunEnd), () => this.#consume(chunk, begunEnd, next));
      return;
    }
    const sink = this.#sink;
    let at = start;
    while (at < chunk.length) {
      if (this.#response?.isInLiteral === true) {
        const bytes = this.#response.fill(chunk.subarray(at));
        this.#parser.readBytesCounter += bytes;
        at += bytes;
        continue;
      }
      const lineEnd = chunk.indexOf(LF, at) + 1;
      const piece = chunk.subarray(at, lineEnd === 0 ? chunk.length : lineEnd);
      this.#held.push(piece);
      this.#heldBytes += piece.length;
      at += piece.length;
      if (lineEnd === 0 && this.#heldBytes <= maxTextBytes) break;
      const line = this.#takeHeld();
      const taken = this.#takeLine(line.toString('latin1'));
      if (taken === 'complete') continue;
      if (taken === 'too much') {
        sink?.fail(Object.assign(new Error('A response is too long'), { code: 'ResponseTooLarge' }));
      } else if (taken === 'not ours') {
        this.#pass(line, () => this.#consume(chunk, at, next));
      } else {
        this.#beginLiteral(taken.response, taken.literalBytes)
          .then(() => this.#consume(chunk, at, next))
          .catch((error: unknown) => sink?.fail(error));
      }
      return;
    }
    if (sink?.isFull === true) sink.whenRoom(() => next());
    else next();
  }

  /** What belongs to a response that imapflow has begun to read, and without a sink all. */
  #begunBytes(chunk: Buffer, start: number): number {
    if (this.#heldBytes > 0 || this.#response !== undefined) return 0;
    if (this.#sink === undefined) return chunk.length - start;
    const { state, literalWaiting, lineBytes, inputBuffer } = this.#parser;
    if (state === 1 && lineBytes === 0 && inputBuffer.length === 0) return 0;
    const end = literalWaiting > 0 ? start + literalWaiting : chunk.indexOf(LF, start) + 1 || chunk.length;
    return Math.min(end, chunk.length) - start;
  }

  #takeHeld(): Buffer {
    const [only, second] = this.#held;
    const held = only !== undefined && second === undefined ? only : Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    return held;
  }

  /** Adds a line to the response, which is complete with it or goes on with a literal. */
  #takeLine(
    line: string,
  ): 'not ours' | 'too much' | 'complete' | { response: OpenResponse; literalBytes: number } {
    const open = this.#response;
    if (open !== undefined && literalMark.test(open.text) && /^\r?\n$/.test(line)) {
      open.text += line;
      this.#parser.readBytesCounter += line.length;
      return 'complete';
    }
    if (open !== undefined && uncountedEnd.test(open.text) && !/^[ )]/.test(line)) this.#endResponse(open);
    if (this.#response === undefined && !(this.#sink !== undefined && beginsFetchResponse(line)))
      return 'not ours';
    const response = this.#response ?? new OpenResponse();
    const mark = literalMark.exec(line);
    const literalBytes = mark === null ? undefined : Number(mark[1]);
    if (!this.#mayTake(response, line.length, literalBytes ?? 0))
      return this.#response === undefined ? 'not ours' : 'too much';
    this.#response = response;
    response.text += line;
    response.sizeBytes += line.length;
    this.#parser.readBytesCounter += line.length;
    if (literalBytes !== undefined) return { response, literalBytes };
    this.#endResponse(response);
    return 'complete';
  }

  async #beginLiteral(response: OpenResponse, sizeBytes: number): Promise<void> {
    const holding = await this.#sink?.holdLiteral(sizeBytes, response.holding);
    response.holding = holding ?? response.holding;
    response.beginLiteral(sizeBytes, holding && this.#buffers.take(sizeBytes));
  }

  #mayTake(response: OpenResponse, lineBytes: number, literalBytes: number): boolean {
    return (
      response.text.length + lineBytes <= maxTextBytes &&
      response.literals.length < maxLiterals &&
      response.sizeBytes + lineBytes + literalBytes <= this.largestResponseBytes
    );
  }

  /** One that can't be read is as if the server had said nothing. */
  #endResponse({ text, literals, holding, sizeBytes }: OpenResponse): void {
    this.#response = undefined;
    const data = parseFetchResponse(text, literals);
    if (data !== undefined) this.#sink?.add(holding === undefined ? data : { ...data, holding }, sizeBytes);
    else if (holding !== undefined) this.#sink?.giveBack(holding);
  }

  #pass(chunk: Buffer, done: TransformCallback): void {
    if (this.#mayPass(chunk)) this.#passOn(chunk, 'latin1', done);
  }
}

/** A FETCH response that has begun. */
class OpenResponse {
  text = '';
  sizeBytes = 0;
  readonly literals: Buffer[] = [];
  /** What its literals hold of the memory budget. */
  holding: Holding | undefined;
  isInLiteral = false;
  #literal: Buffer | undefined;
  #unfilledBytes = 0;

  /** The next bytes go into `literal`, or are read away where there is none. */
  beginLiteral(sizeBytes: number, literal: Buffer | undefined): void {
    this.#literal = literal;
    this.sizeBytes += sizeBytes;
    this.#unfilledBytes = sizeBytes;
    this.isInLiteral = true;
  }

  /** Takes what belongs to the literal; gives the bytes taken. */
  fill(chunk: Buffer): number {
    const taken = Math.min(chunk.length, this.#unfilledBytes);
    const literal = this.#literal;
    if (literal !== undefined) chunk.copy(literal, literal.length - this.#unfilledBytes, 0, taken);
    this.#unfilledBytes -= taken;
    if (this.#unfilledBytes === 0) this.#endLiteral();
    return taken;
  }

  #endLiteral(): void {
    this.isInLiteral = false;
    this.literals.push(this.#literal ?? unreadBody);
    this.#literal = undefined;
  }
}
