import { isUtf8 } from 'node:buffer';
import { chooseCharset } from './charset.ts';
import { decodePieces } from './charsetDecoder.ts';
import { ContentSink } from './contentSink.ts';
import type { Entity } from './entity.ts';
import { giveWay } from './eventLoop.ts';
import { isInvisible, isInvisibleHtml } from './html.ts';
import type { Content, ContentStore } from './mail.ts';

/** So much text goes to the store at a time, and as a whole where there is no more. */
const chunkLength = 64 * 1024;

/** A text that stands in the mail, its transfer encoding undone and its charset not yet. */
export interface MailText {
  /** Its place among all leaves of the mail. */
  readonly order: number;
  readonly form: 'plain' | 'html' | 'other';
  readonly entity: Entity;
  readonly bytes: Buffer;
  /** It is not in the charset that it declares. */
  readonly misdeclared: boolean;
  /** Somebody encoded bytes that are in no text. */
  readonly isBinary: boolean;
  /** In Unicode, with LF line ends, flowed lines joined; in pieces, made anew each time. */
  pieces(): Iterable<string>;
}

export function readText(order: number, entity: Entity, bytes: Buffer): MailText {
  const { mediaType } = entity;
  const form = mediaType === 'text/html' ? 'html' : mediaType === 'text/plain' ? 'plain' : 'other';
  const { charset, misdeclared } = chooseCharset(bytes, entity.charset, form === 'html');
  const isWide = charset.kind === 'utf-16' || charset.kind === 'utf-32';
  return {
    order,
    form,
    entity,
    bytes,
    misdeclared,
    isBinary: !isWide && entity.encoding === 'base64' && bytes.includes(0) && !isUtf8(bytes),
    pieces: () => {
      const text = withLfLineEnds(decodePieces(bytes, charset));
      return entity.flowed ? joinFlowedLines(text, entity.flowed.delSp) : text;
    },
  };
}

/** Whether it shows a reader nothing at all. */
export async function showsNothing(text: MailText): Promise<boolean> {
  if (text.form === 'html') return isInvisibleHtml(text.pieces());
  for (const piece of text.pieces()) {
    if (!isInvisible(piece)) return false;
    await giveWay();
  }
  return true;
}

/** Puts a text that comes in pieces into the store, as UTF-8. */
export async function storeText(store: ContentStore, pieces: Iterable<string>): Promise<Content> {
  const sink = new ContentSink(store, 'identity');
  for (const chunk of inChunks(pieces)) {
    await sink.write(Buffer.from(chunk));
    await giveWay();
  }
  return sink.end();
}

/** Pieces of at least 64 KiB, the last one excepted, none of which ends within a surrogate pair. */
function* inChunks(pieces: Iterable<string>): Generator<string, undefined> {
  let held = '';
  for (const piece of pieces) {
    held += piece;
    if (held.length < chunkLength) continue;
    const last = held.charCodeAt(held.length - 1);
    const end = last >= 0xd800 && last <= 0xdbff ? held.length - 1 : held.length;
    yield held.slice(0, end);
    held = held.slice(end);
  }
  if (held !== '') yield held;
}

/** CRLF, also with a CR too many, and a CR alone become LF. */
function* withLfLineEnds(pieces: Iterable<string>): Generator<string> {
  let held = '';
  for (const piece of pieces) {
    const text = held + piece;
    const end = text.endsWith('\r')
      ? text.length - (/\r+$/.exec(text.slice(-64))?.[0].length ?? 0)
      : text.length;
    held = text.slice(end);
    const whole = text.slice(0, end);
    if (whole !== '') yield toLf(whole);
  }
  if (held !== '') yield held.replaceAll('\r', '\n');
}

function toLf(text: string): string {
  if (!text.includes('\r')) return text;
  const usual = text.includes('\r\r') ? text : text.replaceAll('\r\n', '\n');
  return usual.includes('\r') ? usual.replace(/(?<!\r)\r*\n|\r/g, '\n') : usual;
}

/** RFC 3676, 4: joins lines of the same depth of quoting, but never an empty one or a signature separator. */
function* joinFlowedLines(pieces: Iterable<string>, delSp: boolean): Generator<string> {
  const signature = '-- ';
  let unfinished = '';
  let isOpen = false;
  let depth = 0;
  const join = (line: string): string => {
    let quotes = 0;
    while (line.charCodeAt(quotes) === 0x3e) quotes++;
    const content = line.charCodeAt(quotes) === 0x20 ? line.slice(quotes + 1) : line.slice(quotes);
    const joins = isOpen && quotes === depth && content !== signature && content !== '';
    const shown = joins || quotes === 0 ? content : line;
    const flows = content.endsWith(' ') && content !== signature;
    const before = joins ? (delSp ? '' : ' ') : isOpen ? ' \n' : '';
    isOpen = flows;
    depth = quotes;
    return before + (flows ? shown.slice(0, -1) : `${shown}\n`);
  };
  for (const piece of pieces) {
    const lines = piece.split('\n');
    lines[0] = unfinished + lines[0];
    unfinished = lines.pop() ?? '';
    const joined = lines.map(join).join('');
    if (joined !== '') yield joined;
  }
  if (unfinished !== '') yield join(unfinished).replace(/\n$/, '');
  if (isOpen) yield unfinished === '' ? ' \n' : ' ';
}
