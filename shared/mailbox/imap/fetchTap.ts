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
const literalMark = /\{(\d{1,15})\}\r?\n$/;
const longestMark = 20;

/**
 * Reads FETCH responses out of what comes from the server before imapflow does, which makes most of what a mail costs.
 * All else, and any response that is not quite as expected, goes on to imapflow as it came, and so in order. See
 * docs/decisions/0003-fetch-tap.md.
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
    const nothingHeld = this.#heldBytes === 0 && this.#response === undefined;
    if (nothingHeld && (this.#sink === undefined || !this.#isParserIdle())) {
      this.#pass([chunk.subarray(start)], next);
      return;
    }
    let at = start;
    while (at < chunk.length) {
      if (this.#response?.isInLiteral === true) {
        const bytes = this.#response.fill(chunk.subarray(at));
        this.#parser.readBytesCounter += bytes;
        at += bytes;
        continue;
      }
      const lineEnd = chunk.indexOf(LF, at) + 1;
      this.#hold(chunk.subarray(at, lineEnd === 0 ? chunk.length : lineEnd));
      at = lineEnd === 0 ? chunk.length : lineEnd;
      if (lineEnd === 0 && this.#heldBytes <= maxTextBytes) break;
      const taken = lineEnd === 0 ? 'not ours' : this.#takeLine();
      if (taken === 'not ours' && this.#response?.isPartlyUnread === true) {
        // imapflow can't be given what was read away, so nothing behind it could be read either.
        this.#sink?.fail(Object.assign(new Error('A response is too long'), { code: 'ResponseTooLarge' }));
        return;
      }
      if (taken === 'not ours') {
        this.#pass(this.#takeAll(), () => this.#consume(chunk, at, next));
        return;
      }
      if (taken === 'complete') continue;
      const sink = this.#sink;
      this.#beginLiteral(taken.response, taken.literalBytes)
        .then(() => this.#consume(chunk, at, next))
        .catch((error: unknown) => sink?.fail(error));
      return;
    }
    const sink = this.#sink;
    if (sink?.isFull === true) sink.whenRoom(() => next());
    else next();
  }

  #hold(piece: Buffer): void {
    this.#held.push(piece);
    this.#heldBytes += piece.length;
  }

  /** Adds the line that is held to the response, which is complete with it or goes on with a literal. */
  #takeLine(): 'not ours' | 'complete' | { readonly response: OpenResponse; readonly literalBytes: number } {
    const [only, second] = this.#held;
    const line = only !== undefined && second === undefined ? only : Buffer.concat(this.#held);
    this.#held = [line];
    const text = line.toString('latin1');
    if (this.#response === undefined && !(this.#sink !== undefined && beginsFetchResponse(text)))
      return 'not ours';
    const response = this.#response ?? new OpenResponse();
    const mark = literalMark.exec(text.slice(-longestMark));
    const literalBytes = mark === null ? undefined : Number(mark[1]);
    if (!this.#mayTake(response, line.length, literalBytes ?? 0)) return 'not ours';
    this.#response = response;
    response.addLine(line, text);
    this.#parser.readBytesCounter += line.length;
    this.#held = [];
    this.#heldBytes = 0;
    if (literalBytes !== undefined) return { response, literalBytes };
    return this.#endResponse(response) ? 'complete' : 'not ours';
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

  #endResponse(response: OpenResponse): boolean {
    const data = parseFetchResponse(response.text, response.literals);
    // What was read away can't go on to imapflow: then it is as if the server had said nothing.
    if (data === undefined && !response.isPartlyUnread) return false;
    this.#response = undefined;
    if (data === undefined) this.#giveBack(response);
    else {
      const { holding } = response;
      this.#sink?.add(holding === undefined ? data : { ...data, holding }, response.sizeBytes);
    }
    return true;
  }

  /** All that was kept from imapflow so far. */
  #takeAll(): readonly Buffer[] {
    const pieces = [...(this.#response?.pieces ?? []), Buffer.concat(this.#held)];
    if (this.#response !== undefined) this.#giveBack(this.#response);
    this.#response = undefined;
    this.#held = [];
    this.#heldBytes = 0;
    return pieces;
  }

  #giveBack({ holding }: OpenResponse): void {
    if (holding !== undefined) this.#sink?.giveBack(holding);
  }

  #pass(pieces: readonly Buffer[], done: TransformCallback): void {
    const [first, ...rest] = pieces;
    if (first === undefined) done();
    else if (this.#mayPass(first)) this.#passOn(first, 'latin1', () => this.#pass(rest, done));
  }

  /** Between two responses: what comes next begins one. */
  #isParserIdle(): boolean {
    const { state, lineBytes, inputBuffer, literals } = this.#parser;
    return state === 1 && lineBytes === 0 && inputBuffer.length === 0 && literals.length === 0;
  }
}

/** A FETCH response that has begun. */
class OpenResponse {
  text = '';
  sizeBytes = 0;
  readonly literals: Buffer[] = [];
  /** As it came. */
  readonly pieces: Buffer[] = [];
  /** What its literals hold of the memory budget. */
  holding: Holding | undefined;
  /** Whether a literal of it was read away. */
  isPartlyUnread = false;
  isInLiteral = false;
  #literal: Buffer | undefined;
  #unfilledBytes = 0;

  addLine(line: Buffer, text: string): void {
    this.text += text;
    this.pieces.push(line);
    this.sizeBytes += line.length;
  }

  /** The next bytes go into `literal`, or are read away where there is none. */
  beginLiteral(sizeBytes: number, literal: Buffer | undefined): void {
    if (literal === undefined) this.isPartlyUnread = true;
    this.#literal = literal;
    this.sizeBytes += sizeBytes;
    this.#unfilledBytes = sizeBytes;
    this.isInLiteral = true;
    if (sizeBytes === 0) this.#endLiteral();
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
    const literal = this.#literal ?? unreadBody;
    this.literals.push(literal);
    this.pieces.push(literal);
    this.#literal = undefined;
  }
}
