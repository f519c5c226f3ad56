/** What mails for tests are built from. */

import { base64Lines } from './encode.ts';

/** A mail, and what should come of it when it is split for `text`, with attachments, without inline ones. */
export interface SampleMail {
  readonly name: string;
  readonly source: Buffer;
  readonly expected: {
    readonly body?: string;
    readonly bodyType?: 'text/plain' | 'text/html';
    readonly attachments: readonly SampleAttachment[];
  };
}

export interface SampleAttachment {
  readonly name: string;
  /** The media type, without parameters. */
  readonly type: string;
  readonly bytes: Buffer;
}

/** Numbers from 0 to below 1, the same ones for the same seed (mulberry32). */
export type Random = () => number;

export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

export type Made = Omit<SampleMail, 'name'>;

const words = 'order invoice pallet of the for with delivered Bremen Łódź naïve 42 € 100 – ready'.split(' ');

export function between(random: Random, low: number, high: number): number {
  return low + Math.floor(random() * (high - low + 1));
}

export function sentence(random: Random, ascii = true): string {
  const from = ascii ? words.filter((word) => /^[\x20-\x7e]+$/.test(word)) : words;
  return Array.from({ length: between(random, 3, 12) }, () => from[between(random, 0, from.length - 1)]).join(
    ' ',
  );
}

export function paragraph(random: Random, ascii = true): string {
  return Array.from({ length: between(random, 1, 20) }, () => sentence(random, ascii)).join('\n');
}

export function randomBytes(random: Random, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at++) bytes[at] = Math.floor(random() * 256);
  return bytes;
}

export function crlf(text: string): string {
  return text.replaceAll('\n', '\r\n');
}

export function mail(
  index: number,
  fields: string,
  body: string | Buffer,
  subject = `Sample ${index}`,
): Buffer {
  const head = [
    `From: "Sender ${index}" <sender${index}@example.com>`,
    `To: inbox@example.org, Other <other${index}@example.org>`,
    `Subject: ${subject}`,
    `Message-ID: <sample-${index}@example.com>`,
    `Date: Mon, 02 Nov 2026 ${String(index % 24).padStart(2, '0')}:15:00 +0100`,
    'MIME-Version: 1.0',
    fields,
  ].join('\r\n');
  return Buffer.concat([Buffer.from(`${head}\r\n\r\n`), Buffer.from(body)]);
}

export function entity(fields: string, body: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${fields}\r\n\r\n`), Buffer.from(body)]);
}

export function multipart(boundary: string, ...parts: Buffer[]): Buffer {
  const pieces = parts.flatMap((part) => [Buffer.from(`--${boundary}\r\n`), part, Buffer.from('\r\n')]);
  return Buffer.concat([...pieces, Buffer.from(`--${boundary}--\r\n`)]);
}

export const textFields = 'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit';
export const htmlFields =
  'Content-Type: text/html; charset="UTF-8"\r\nContent-Transfer-Encoding: quoted-printable';

export function base64Entity(fields: string, bytes: Buffer, lineLength = 76): Buffer {
  return entity(`${fields}\r\nContent-Transfer-Encoding: base64`, base64Lines(bytes, lineLength));
}

export function plain(body: string, attachments: readonly SampleAttachment[] = []): Made['expected'] {
  return { body, bodyType: 'text/plain', attachments };
}

/** A mail of a text and what is attached to it, as entities and as they should arrive. */
export function mixed(
  index: number,
  boundary: string,
  text: string,
  parts: readonly Buffer[],
  attachments: readonly SampleAttachment[],
  subject?: string,
): Made {
  const body = multipart(boundary, entity(textFields, crlf(text)), ...parts);
  const source = mail(index, `Content-Type: multipart/mixed; boundary="${boundary}"`, body, subject);
  return { source, expected: plain(text, attachments) };
}
