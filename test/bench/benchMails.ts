import { createCipheriv, createHash } from 'node:crypto';

/** A mail, and what must arrive of it. */
export interface BenchMail {
  readonly source: Buffer;
  /** As the property `emailMessageId` gives it. */
  readonly messageId: string;
  /** In the order of the part numbers. */
  readonly parts: readonly ExpectedPart[];
}

export interface ExpectedPart {
  readonly kind: 'body' | 'attachment';
  readonly sizeBytes: number;
  /** Of the decoded bytes, hex. */
  readonly sha256: string;
}

const mebibyte = 1_048_576;
const types = [
  ['application/pdf', 'pdf'],
  ['image/png', 'png'],
  ['application/zip', 'zip'],
  ['application/vnd.openxmlformats-officedocument.spreadsheetml.sheet', 'xlsx'],
] as const;

/**
 * Mail number `index` of the mixed mailbox, always the same for the same number: of 20 mails, 14 have 4 KiB of
 * text, 5 an attachment of 100 KiB and 1 one of 1 MiB, in base64, mixed evenly. No two have content in common.
 */
export function mixedMail(index: number): BenchMail {
  const kind = (index * 7) % 20;
  if (kind < 14) return textMail(index);
  return attachmentMail(index, kind < 19 ? 100 * 1024 : mebibyte);
}

/** A mail with a short text and an attachment of so many random bytes. */
export function attachmentMail(index: number, attachmentBytes: number): BenchMail {
  const text = `${sentences(index, 200)}\r\n`;
  const [type, extension] = types[index % types.length] ?? types[0];
  const content = randomBytes(index, attachmentBytes);
  const name = `document-${index}.${extension}`;
  const boundary = `----=_Part_${index}_${seededHex(index, 8)}`;
  const source = Buffer.concat([
    Buffer.from(
      `${head(index)}Content-Type: multipart/mixed; boundary="${boundary}"\r\n\r\n` +
        `--${boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n${text}\r\n` +
        `--${boundary}\r\nContent-Type: ${type}; name="${name}"\r\n` +
        `Content-Disposition: attachment; filename="${name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n`,
    ),
    base64Lines(content),
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ]);
  return {
    source,
    messageId: messageIdOf(index),
    parts: [expectedPart('body', bodyBytes(text)), expectedPart('attachment', content)],
  };
}

/** About 4 KiB in all; each fourth in quoted-printable. */
function textMail(index: number): BenchMail {
  const isQuoted = index % 4 === 3;
  const text = `${sentences(index, isQuoted ? 3_200 : 3_500)}\r\n`;
  const encoded = isQuoted ? quotedPrintable(text) : text;
  const source = Buffer.from(
    `${head(index)}Content-Type: text/plain; charset=utf-8\r\n` +
      `Content-Transfer-Encoding: ${isQuoted ? 'quoted-printable' : '7bit'}\r\n\r\n${encoded}`,
  );
  return { source, messageId: messageIdOf(index), parts: [expectedPart('body', bodyBytes(text))] };
}

function messageIdOf(index: number): string {
  return `<${index}.${seededHex(index, 12)}@sender.example>`;
}

function head(index: number): string {
  const minute = String(index % 60).padStart(2, '0');
  return [
    `Return-Path: <sender${index}@sender.example>`,
    `Received: from mx${index % 9}.sender.example (mx${index % 9}.sender.example [192.0.2.${index % 250}])`,
    `\tby mail.example.org (Postfix) with ESMTPS id ${seededHex(index, 6).toUpperCase()}`,
    `\tfor <orders@example.org>; Tue, 24 Nov 2026 10:${minute}:01 +0000 (UTC)`,
    `From: "Sender ${index}" <sender${index}@sender.example>`,
    'To: Orders <orders@example.org>',
    `Subject: Order ${index}: ${words[index % words.length]}`,
    `Date: Tue, 24 Nov 2026 10:${minute}:00 +0000`,
    `Message-ID: ${messageIdOf(index)}`,
    'MIME-Version: 1.0',
    '',
  ].join('\r\n');
}

const words =
  'order invoice delivery warehouse customer number please confirm attached document price quantity weight date address shipping payment terms thank you regards item unit total net tax reference contract schedule pallet truck route'.split(
    ' ',
  );

/** Lines of words chosen by the mail's own random bytes, with CRLF between them. */
function sentences(index: number, characters: number): string {
  const choices = randomBytes(index + 0x4000_0000, characters);
  const lines: string[] = [];
  let line = '';
  let length = 0;
  for (const choice of choices) {
    line += `${words[choice % words.length]} `;
    if (line.length < 66) continue;
    lines.push(line.trimEnd());
    length += line.length + 1;
    line = '';
    if (length >= characters) break;
  }
  return lines.join('\r\n');
}

/** Encodes an `e` here and there, and ends some lines softly, as mail programs do. */
function quotedPrintable(text: string): string {
  return text.replace(/e(?=[a-m])/g, '=65').replace(/^(.{40}[^=\r\n]{4})(?=[^\r\n]{4})/gm, '$1=\r\n');
}

/** The body as it must arrive: with LF line ends. */
function bodyBytes(text: string): Buffer {
  return Buffer.from(text.replaceAll('\r\n', '\n'));
}

function expectedPart(kind: ExpectedPart['kind'], content: Buffer): ExpectedPart {
  return { kind, sizeBytes: content.length, sha256: createHash('sha256').update(content).digest('hex') };
}

/** The same bytes for the same seed: the key stream of AES in counter mode. */
function randomBytes(seed: number, byteCount: number): Buffer {
  const key = createHash('sha256').update(`bench mail ${seed}`).digest().subarray(0, 16);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(byteCount));
}

function seededHex(seed: number, characters: number): string {
  return createHash('sha256').update(`hex ${seed}`).digest('hex').slice(0, characters);
}

/** RFC 2045 base64: lines of 76 characters with CRLF between them. Encoded in pieces, so size doesn't matter. */
function base64Lines(content: Buffer): Buffer {
  const pieceBytes = 57 * 4_096;
  const pieces: Buffer[] = [];
  for (let at = 0; at < content.length; at += pieceBytes) {
    const encoded = content.subarray(at, at + pieceBytes).toString('base64');
    pieces.push(Buffer.from(`${at === 0 ? '' : '\r\n'}${encoded.replace(/.{76}(?!$)/g, '$&\r\n')}`));
  }
  return Buffer.concat(pieces);
}
