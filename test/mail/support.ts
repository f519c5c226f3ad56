import fc from 'fast-check';
import type { ContentStore, MailSource, SplitMail, SplitRules } from '../../shared/mail/mail.ts';
import { splitMail } from '../../shared/mail/splitMail.ts';
import { memoryStore } from './memoryStore.ts';

export const defaultRules: SplitRules = {
  sendBody: true,
  sendAttachments: true,
  inlineAttachments: false,
  bodyFormat: 'text',
  maxMailBytes: 157_286_400,
};

/** A mail that comes in these pieces, each time it is opened. */
export function sourceOf(...pieces: (Buffer | string)[]): MailSource {
  const buffers = pieces.map((piece) => Buffer.from(piece));
  return {
    sizeBytes: buffers.reduce((sum, buffer) => sum + buffer.length, 0),
    open: async () =>
      (async function* () {
        yield* buffers;
      })(),
  };
}

export function split(mail: Buffer | string, rules: Partial<SplitRules> = {}): Promise<SplitMail> {
  return splitMail(sourceOf(mail), { ...defaultRules, ...rules }, memoryStore());
}

/** Does the work; gives how often others had their turn meanwhile. */
export async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let isOver = false;
  const nextTurn = () => {
    turns += 1;
    if (!isOver) setImmediate(nextTurn);
  };
  setImmediate(nextTurn);
  await work();
  isOver = true;
  return turns;
}

/** The parts, easy to compare. */
export function seen(mail: SplitMail) {
  return mail.parts.map(({ kind, contentType, fileName, content }) => {
    if (content.kind !== 'bytes') throw new Error('The store keeps bytes.');
    return { kind, contentType, fileName, bytes: content.bytes };
  });
}

/** In blocks as small as the pieces. */
export async function splitInPieces(
  pieces: readonly Buffer[],
  rules: Partial<SplitRules> = {},
  store: ContentStore = memoryStore(),
): Promise<SplitMail> {
  return splitMail(sourceOf(...pieces), { ...defaultRules, ...rules }, store, { blockBytes: 1 });
}

/** Text with its lines ended by CRLF, as on the wire. */
export function lines(...texts: string[]): string {
  return texts.map((text) => `${text}\r\n`).join('');
}

/** Cuts bytes into pieces at these places. */
export function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort(
    (one, other) => one - other,
  );
  return [0, ...at].map((start, index) => bytes.subarray(start, at[index] ?? bytes.length));
}

export const places = fc.array(fc.nat(), { maxLength: 6 });

/** The parts of a mail in a line each: kind, type, name and text. */
export function shown(mail: SplitMail): string[] {
  return seen(mail).map(({ kind, contentType, fileName, bytes }) =>
    kind === 'raw' ? 'raw' : `${kind} ${contentType} ${fileName} ${JSON.stringify(bytes.toString())}`,
  );
}

/** Body messages as `shown` gives them. */
export const body = (text: string) => `body text/plain; charset=utf-8 body.txt ${JSON.stringify(text)}`;
export const htmlBody = (text: string) => `body text/html; charset=utf-8 body.html ${JSON.stringify(text)}`;

export const head = lines('From: a@example.com', 'Subject: x', 'MIME-Version: 1.0');

/** An entity; `more` are whole lines of its header. */
export function part(type: string, text: string, more = ''): string {
  return `Content-Type: ${type}\r\n${more}\r\n${text}`;
}

export function multipart(subtype: string, ...parts: readonly string[]): string {
  const boundary = `b${parts.join('').length}`;
  const inner = parts.map((each) => `--${boundary}\r\n${each}\r\n`).join('');
  return part(`multipart/${subtype}; boundary=${boundary}`, `${inner}--${boundary}--\r\n`);
}

/** A mail with these parts. */
export function mixed(...parts: readonly string[]): string {
  return `${head}${multipart('mixed', ...parts)}`;
}
