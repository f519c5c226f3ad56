/**
 * What no mail, however damaged, may break: every leaf of it is in a part, or left out by a named rule, or the
 * mail goes raw; and nothing that another reader finds is in neither.
 */
import assert from 'node:assert/strict';
import libqp from 'libqp';
import type { SplitMail } from '../../shared/mail/mail.ts';
import { between, type Random } from './build.ts';
import { base64Lines, quotedPrintable } from './encode.ts';
import { readings } from './readings.ts';
import { seen, split } from './support.ts';

/** A word that stands in one leaf of a mail only. */
const token = /tk\d{5}q/g;

/** The tokens that another reader finds in a mail and that are nowhere in what we send of it. */
export async function findLost(mail: Buffer, taken: Buffer = mail): Promise<string[]> {
  const asText = await split(taken, { inlineAttachments: true });
  const asHtml = await split(taken, { inlineAttachments: true, bodyFormat: 'html' });
  for (const each of [asText, asHtml]) assertAccounted(each);
  if (asText.parts.some((part) => part.kind === 'raw')) {
    assert.ok(seen(asText)[0]?.bytes.equals(mail), 'a raw mail has all bytes');
    return [];
  }
  // What is in an encoding that nobody knows is sent as it is, still encoded.
  const texts = [...seen(asText), ...seen(asHtml)].flatMap(({ bytes }) => {
    const text = bytes.toString('latin1');
    const decoded = text.split(/\r?\n\r?\n/).map((run) => Buffer.from(run, 'base64').toString('latin1'));
    return [text, ...decoded, libqp.decode(text).toString('latin1')];
  });
  const sent = new Set(texts.flatMap(tokensIn));
  const lost: string[] = [];
  for (const [reader, read] of Object.entries(readings)) {
    const reading = await Promise.resolve(read(mail)).catch(() => undefined);
    const found = [
      ...(reading?.texts ?? []),
      ...(reading?.attachments ?? []).map(({ bytes }) => bytes.toString('latin1')),
    ];
    for (const each of found.flatMap(tokensIn)) if (!sent.has(each)) lost.push(`${each} (${reader})`);
  }
  // A form of a text that is the worse one in either format is left out on purpose, and never more than that.
  const worse = orders(asText).filter((order) => orders(asHtml).includes(order));
  return new Set(lost.map((each) => each.slice(0, 8))).size <= worse.length ? [] : [...new Set(lost)];
}

function assertAccounted(mail: SplitMail): void {
  if (mail.parts.length === 0) assert.ok(mail.leftOut !== undefined, 'nothing is sent, and no rule says so');
  else assert.equal(mail.leftOut, undefined);
}

function orders({ omissions = [] }: SplitMail): number[] {
  return omissions.filter(({ reason }) => reason === 'bodyFormat').map(({ order }) => order);
}

function tokensIn(text: string): string[] {
  return text.match(token) ?? [];
}

/** A mail of nested multiparts with a token in each leaf. */
export function tokenMail(random: Random): Buffer {
  let count = 0;
  let boundaries = 0;
  const next = () => `tk${String(++count).padStart(5, '0')}q`;
  const pick = <T>(items: readonly T[]): T => items[between(random, 0, items.length - 1)] as T;
  const filler = () =>
    Array.from({ length: between(random, 0, 4) }, () => `line ${between(random, 0, 99999)} of it\r\n`).join(
      '',
    );
  const encoded = (fields: string, content: string): string => {
    const encoding = pick(['7bit', 'base64', 'quoted-printable', '']);
    const body =
      encoding === 'base64'
        ? base64Lines(Buffer.from(content))
        : encoding === 'quoted-printable'
          ? quotedPrintable(Buffer.from(content))
          : content;
    return `${fields}${encoding && `Content-Transfer-Encoding: ${encoding}\r\n`}\r\n${body}`;
  };
  const plain = () =>
    encoded('Content-Type: text/plain; charset=utf-8\r\n', `${filler()}${next()}\r\n${filler()}`);
  const html = () =>
    encoded(
      'Content-Type: text/html; charset="utf-8"\r\n',
      `<html><body>\r\n<p>${next()}</p>\r\n${filler()}</body></html>\r\n`,
    );
  const file = () =>
    encoded(
      `Content-Type: ${pick(['application/pdf', 'image/png', 'text/csv', 'text/plain', 'application/octet-stream', 'text/markdown'])}; name="f${count}.bin"\r\nContent-Disposition: ${pick(['attachment', 'inline'])};\r\n filename="f${count}.bin"\r\n`,
      `%${next()}\r\n${filler()}`,
    );
  const nameless = () =>
    encoded(
      `Content-Type: ${pick(['application/pdf', 'image/gif', 'message/delivery-status', 'text/calendar'])}\r\n`,
      `${next()}\r\n${filler()}`,
    );
  const attached = () =>
    `Content-Type: message/rfc822\r\n\r\nSubject: inner\r\nFrom: a@example.com\r\n\r\n${next()}\r\n${filler()}`;
  const multipart = (subtype: string, parts: readonly string[]): string => {
    const boundary = `${pick(['=_', 'b', '----=_Part_', 'Apple-Mail='])}${++boundaries}`;
    const inner = parts.map((part) => `--${boundary}\r\n${part}\r\n`).join('');
    return `Content-Type: multipart/${subtype}; boundary="${boundary}"\r\n\r\n${pick(['', 'This is a multi-part message in MIME format.\r\n'])}${inner}--${boundary}--\r\n`;
  };
  const tree = (depth: number): string => {
    const leaves = [plain, html, file, nameless, attached];
    if (depth === 0) return pick(leaves)();
    const kind = pick(['leaf', 'mixed', 'mixed', 'alternative', 'related', 'digest']);
    if (kind === 'leaf') return pick(leaves)();
    if (kind === 'alternative')
      return multipart('alternative', [
        plain(),
        random() < 0.3 ? multipart('related', [html(), file()]) : html(),
      ]);
    if (kind === 'digest')
      return multipart('digest', [
        `\r\nSubject: one\r\n\r\n${next()}\r\n`,
        `\r\nSubject: two\r\n\r\n${next()}\r\n`,
      ]);
    return multipart(
      kind,
      Array.from({ length: between(random, 1, 4) }, () => tree(depth - 1)),
    );
  };
  const head =
    'From: Anna <anna@example.com>\r\nTo: in@example.com\r\nSubject: law\r\nMessage-ID: <law@example.com>\r\nMIME-Version: 1.0\r\n';
  return Buffer.from(`${head}${tree(between(random, 1, 3))}`, 'latin1');
}

export const damageKinds = [
  'delete',
  'insert',
  'repeat',
  'move',
  'cut',
  'delete-lines',
  'line-ends',
] as const;

/** What happens to mails on their way. */
export interface Damage {
  readonly kind: (typeof damageKinds)[number];
  readonly at: number;
  readonly length: number;
  readonly text: string;
}

export const damageTexts: readonly string[] = [
  '\r\n',
  '\n',
  '\r',
  '\r\n\r\n',
  ' ',
  '\r\n \r\n',
  '--',
  'footer text of a list\r\n',
  '=',
  '"',
  ';',
  '\r\nContent-Type: text/plain\r\n\r\n',
  'X: ',
  '\ufeff',
  'some words ',
];

export function applyDamage(mail: Buffer, { kind, at, length, text }: Damage): Buffer {
  const place = at % (mail.length + 1);
  const end = Math.min(place + length, mail.length);
  const lineAt = mail.lastIndexOf(0x0a, Math.max(place - 1, 0)) + 1;
  const lineEnd = (mail.indexOf(0x0a, end) + 1 || mail.length) as number;
  const join = (...pieces: (Buffer | string)[]) => Buffer.concat(pieces.map((piece) => Buffer.from(piece)));
  const [before, behind] = [mail.subarray(0, place), mail.subarray(place)];
  switch (kind) {
    case 'delete':
      return join(before, mail.subarray(end));
    case 'insert':
      return join(before, text, behind);
    case 'repeat':
      return join(mail.subarray(0, lineEnd), mail.subarray(lineAt, lineEnd), mail.subarray(lineEnd));
    case 'move':
      return join(mail.subarray(0, lineAt), mail.subarray(lineEnd), mail.subarray(lineAt, lineEnd));
    case 'cut':
      return Buffer.from(before);
    case 'delete-lines':
      return join(mail.subarray(0, lineAt), mail.subarray(lineEnd));
    case 'line-ends':
      return join(
        before,
        Buffer.from(mail.toString('latin1', place, end + 200).replaceAll('\r\n', '\n'), 'latin1'),
        mail.subarray(end + 200),
      );
  }
}
