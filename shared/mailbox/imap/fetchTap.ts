import type { Transform, TransformCallback } from 'node:stream';
import type { ImapFlow } from 'imapflow';
import type { MailBuffers } from '../mailBuffers.ts';
import { beginsFetchResponse, parseFetchResponse, type Row } from './fetchResponse.ts';

/** Where the rows of a FETCH go. */
export interface RowSink {
  /** `sizeBytes` is what the row took on the wire. */
  add(row: Row, sizeBytes: number): void;
  readonly isFull: boolean;
  /** Calls once there is room again. */
  whenRoom(resume: () => void): void;
}

const LF = 0x0a;
/** The lines of a FETCH response, without its literals; more is left to imapflow and its limits. */
const maxTextBytes = 64 * 1024;
/** A larger literal is left to imapflow and its limits: here its memory is taken at its announcement. */
const maxLiteralBytes = 8 * 1024 * 1024;
/** A mail is one literal. Small ones take far more memory than they have on the wire. */
const maxLiterals = 16;
const literalMark = /\{(\d{1,15})\}\r?\n$/;
const longestMark = 20;

/** What is used here of imapflow's parser stream. */
interface Parser extends Transform {
  /** 1 between and in lines, 2 in a literal. */
  readonly state: number;
  readonly lineBytes: number;
  readonly inputBuffer: readonly unknown[];
  readonly literals: readonly unknown[];
  readonly maxLiteralSize: number;
  readonly maxResponseSize: number;
  readBytesCounter: number;
}

/**
 * Reads FETCH responses out of what comes from the server, before imapflow does: it collects each 64 KiB of a
 * mail with promises of its own, and parses each response into a tree, which together are most of what it
 * costs per mail. Everything else, and any response that is not quite as expected, goes on to imapflow as it
 * came, so the order of responses stays what it was.
 */
export class FetchTap {
  readonly #parser: Parser;
  readonly #transform: Transform['_transform'];
  readonly #buffers: MailBuffers;
  #sink: RowSink | undefined;
  /** A line's beginning, until its end comes. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  #response: OpenResponse | undefined;

  private constructor(parser: Parser, buffers: MailBuffers) {
    this.#parser = parser;
    this.#buffers = buffers;
    this.#transform = parser._transform;
    const transform: Transform['_transform'] = (chunk, encoding, next) => {
      if (Buffer.isBuffer(chunk)) this.#consume(chunk, 0, next);
      else this.#transform.call(parser, chunk, encoding, next);
    };
    Object.assign(parser, { _transform: transform });
  }

  /** Undefined for a version of imapflow that can't be tapped; it works without, only slower. */
  static onto(client: ImapFlow, buffers: MailBuffers): FetchTap | undefined {
    const parser: unknown = Reflect.get(client, 'streamer');
    return isParser(parser) ? new FetchTap(parser, buffers) : undefined;
  }

  /** Gives the rows of the coming responses to `sink` until the function that is answered is called. */
  attach(sink: RowSink): () => void {
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
      if (lineEnd === 0 || !this.#takeLine()) {
        this.#pass(this.#takeAll(), () => this.#consume(chunk, at, next));
        return;
      }
    }
    const sink = this.#sink;
    if (sink?.isFull === true) sink.whenRoom(() => next());
    else next();
  }

  #hold(piece: Buffer): void {
    this.#held.push(piece);
    this.#heldBytes += piece.length;
  }

  /** Adds the line that is held to the response; false when this is not for the tap to read. */
  #takeLine(): boolean {
    const [only, second] = this.#held;
    const line = only !== undefined && second === undefined ? only : Buffer.concat(this.#held);
    this.#held = [line];
    const text = line.toString('latin1');
    if (this.#response === undefined && !(this.#sink !== undefined && beginsFetchResponse(text)))
      return false;
    const response = this.#response ?? new OpenResponse();
    const mark = literalMark.exec(text.slice(-longestMark));
    const literalBytes = mark === null ? undefined : Number(mark[1]);
    if (!this.#mayTake(response, line.length, literalBytes ?? 0)) return false;
    this.#response = response;
    response.addLine(line, text);
    if (literalBytes !== undefined) response.beginLiteral(this.#buffers.take(literalBytes));
    this.#parser.readBytesCounter += line.length;
    this.#held = [];
    this.#heldBytes = 0;
    return literalBytes !== undefined || this.#endResponse(response);
  }

  #mayTake(response: OpenResponse, lineBytes: number, literalBytes: number): boolean {
    const { maxLiteralSize, maxResponseSize } = this.#parser;
    return (
      response.text.length + lineBytes <= maxTextBytes &&
      response.literals.length < maxLiterals &&
      literalBytes <= Math.min(maxLiteralBytes, maxLiteralSize) &&
      response.sizeBytes + lineBytes + literalBytes <= maxResponseSize
    );
  }

  #endResponse(response: OpenResponse): boolean {
    const row = parseFetchResponse(response.text, response.literals);
    if (row === undefined) return false;
    this.#response = undefined;
    this.#sink?.add(row, response.sizeBytes);
    return true;
  }

  /** All that was kept from imapflow so far. */
  #takeAll(): readonly Buffer[] {
    const pieces = [...(this.#response?.pieces ?? []), Buffer.concat(this.#held)];
    this.#response = undefined;
    this.#held = [];
    this.#heldBytes = 0;
    return pieces;
  }

  #pass(pieces: readonly Buffer[], done: TransformCallback): void {
    const [first, ...rest] = pieces;
    if (first === undefined) done();
    else this.#transform.call(this.#parser, first, 'latin1', () => this.#pass(rest, done));
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
  #literal: Buffer | undefined;
  #filledBytes = 0;

  get isInLiteral(): boolean {
    return this.#literal !== undefined;
  }

  addLine(line: Buffer, text: string): void {
    this.text += text;
    this.pieces.push(line);
    this.sizeBytes += line.length;
  }

  /** The next bytes go there until it is full. */
  beginLiteral(literal: Buffer): void {
    this.sizeBytes += literal.length;
    this.#literal = literal;
    this.#filledBytes = 0;
    if (literal.length === 0) this.#endLiteral(literal);
  }

  /** Takes what belongs to the literal; gives the bytes taken. */
  fill(chunk: Buffer): number {
    const literal = this.#literal;
    if (literal === undefined) return 0;
    const copied = chunk.copy(literal, this.#filledBytes);
    this.#filledBytes += copied;
    if (this.#filledBytes === literal.length) this.#endLiteral(literal);
    return copied;
  }

  #endLiteral(literal: Buffer): void {
    this.literals.push(literal);
    this.pieces.push(literal);
    this.#literal = undefined;
  }
}

function isParser(value: unknown): value is Parser {
  return (
    typeof value === 'object' &&
    value !== null &&
    '_transform' in value &&
    ['state', 'lineBytes', 'maxLiteralSize', 'maxResponseSize', 'readBytesCounter'].every(
      (name) => typeof Reflect.get(value, name) === 'number',
    ) &&
    ['inputBuffer', 'literals'].every((name) => Array.isArray(Reflect.get(value, name)))
  );
}
