/**
 * Splits one hostile mail in a process of its own and prints what it took: `node memoryChild.ts KIND whole|pieces`.
 * The store keeps 16 MiB at most, as the app's does.
 */
import type { ContentStore, MailSource } from '../../shared/mail/mail.ts';
import { splitMail } from '../../shared/mail/splitMail.ts';
import { defaultRules } from './support.ts';

export interface Cost {
  readonly peakMiB: number;
  /** The longest turn of the event loop, in CPU time: others may use this machine too. */
  readonly longestTurnMs: number;
  readonly kind: string | undefined;
}

const mebibyte = 1024 * 1024;
const textBytes = 15 * mebibyte;
const head = 'From: a@example.com\r\nSubject: x\r\nMIME-Version: 1.0\r\n';
const typed = (type: string, encoding = '') =>
  `${head}Content-Type: ${type}\r\n${encoding && `Content-Transfer-Encoding: ${encoding}\r\n`}\r\n`;
const inMultipart = (subtype: string, before: string, type: string) =>
  `${head}Content-Type: multipart/${subtype}; boundary=b\r\n\r\n${before}--b\r\nContent-Type: ${type}\r\n\r\n`;
const smallHtml = '--b\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n';
const picture = '\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <q>\r\n\r\nx\r\n--b--\r\n';

/** What a mail begins with, what fills it, how far, and its end. */
const kinds: Readonly<Record<string, readonly [start: string, filler: string, bytes: number, end: string]>> =
  {
    'text beside HTML': [inMultipart('mixed', smallHtml, 'text/plain'), '&<>', textBytes, '\r\n--b--\r\n'],
    ampersands: [typed('text/plain'), '&', 28 * mebibyte, ''],
    'flowed text': [typed('text/plain; format=flowed'), 'a \r\n', textBytes, ''],
    'iso-2022-jp': [typed('text/plain; charset=iso-2022-jp'), '\x1b$B$3$s$K$A\x1b(B\r\n', textBytes, ''],
    'iso-2022-jp in one line': [
      `${typed('text/plain; charset=iso-2022-jp')}\x1b$B`,
      '$3$s$K$A',
      textBytes,
      '',
    ],
    'utf-7': [typed('text/plain; charset=utf-7'), '+APw-', textBytes, ''],
    johab: [typed('text/plain; charset=johab'), '\x88a', textBytes, ''],
    'windows-1252': [typed('text/plain; charset=windows-1252'), '\x80', textBytes, ''],
    'quoted-printable': [typed('text/plain', 'quoted-printable'), '=41=\r\n', textBytes, ''],
    'uuencoded blanks': [`${typed('text/plain', 'x-uuencode')}begin 644 x\r\n`, 'M\r\n', textBytes, ''],
    'invisible HTML': [
      inMultipart('alternative', '--b\r\n\r\n \r\n', 'text/html'),
      '&nbsp;',
      textBytes,
      '\r\n--b--\r\n',
    ],
    'pictures by the million': [
      inMultipart('related', '', 'text/html'),
      '<img src="cid:x@y">',
      textBytes,
      picture,
    ],
    'angle brackets': [inMultipart('related', '', 'text/html'), '<', textBytes, picture],
    'close delimiters': [inMultipart('mixed', '', 'image/png'), '--b--\r\n', 16 * mebibyte, ''],
    'lines like delimiters': [inMultipart('mixed', '', 'image/png'), '--x\r\n', 16 * mebibyte, ''],
    'large attachment': [typed('video/mp4', 'base64'), `${'QUJD'.repeat(19)}\r\n`, 140 * mebibyte, ''],
    'small texts among large files': [
      inMultipart('mixed', '', 'text/plain'),
      `x\r\n--b\r\nContent-Type: image/png\r\n\r\n${'x'.repeat(280_000)}\r\n--b\r\nContent-Type: text/plain\r\n\r\n`,
      130 * mebibyte,
      'x\r\n--b--\r\n',
    ],
    'winmail.dat': [`${typed('application/ms-tnef', 'base64')}ePhCIgAA`, 'AQaQCAAE', 40 * mebibyte, ''],
    'signed data': [
      typed('application/pkcs7-mime; smime-type=signed-data', 'base64'),
      'MIIBMIIB',
      40 * mebibyte,
      '',
    ],
  };

export const costlyKinds = Object.keys(kinds);

function sourceOf(kind: string, whole: boolean): MailSource {
  const [start, filler, bytes, end] = kinds[kind] ?? ['', '', 0, ''];
  const block = Buffer.from(filler.repeat(Math.ceil(65_536 / filler.length)), 'latin1');
  const blocks = Math.ceil(bytes / block.length);
  async function* pieces(): AsyncGenerator<Buffer> {
    if (joined !== undefined) return yield joined;
    yield Buffer.from(start, 'latin1');
    for (let index = 0; index < blocks; index++) yield Buffer.from(block);
    yield Buffer.from(end, 'latin1');
  }
  const joined = whole
    ? Buffer.concat([
        Buffer.from(start, 'latin1'),
        ...Array.from({ length: blocks }, () => block),
        Buffer.from(end),
      ])
    : undefined;
  return { sizeBytes: joined?.length ?? bytes, open: async () => pieces() };
}

function boundedStore(): ContentStore {
  const held: Buffer[] = [];
  let heldBytes = 0;
  const keep = (bytes: Buffer) => {
    if (heldBytes + bytes.length > 16 * mebibyte) return;
    heldBytes += bytes.length;
    held.push(bytes);
  };
  const content = (sizeBytes: number) =>
    ({ kind: 'bytes', bytes: Buffer.alloc(0), sizeBytes, sha256: '' }) as const;
  return {
    put: async (bytes) => {
      keep(bytes);
      return content(bytes.length);
    },
    begin: () => {
      let sizeBytes = 0;
      return {
        write: (piece) => {
          sizeBytes += piece.length;
          keep(piece);
        },
        end: async () => content(sizeBytes),
        abort: async () => undefined,
      };
    },
  };
}

async function measure(kind: string, whole: boolean): Promise<Cost> {
  const source = sourceOf(kind, whole);
  let longestTurnMs = 0;
  let turn: NodeJS.Immediate;
  let before = process.cpuUsage();
  const nextTurn = () => {
    const { user, system } = process.cpuUsage(before);
    longestTurnMs = Math.max(longestTurnMs, (user + system) / 1000);
    before = process.cpuUsage();
    turn = setImmediate(nextTurn);
  };
  turn = setImmediate(nextTurn);
  const mail = await splitMail(source, defaultRules, boundedStore());
  clearImmediate(turn);
  return {
    peakMiB: Math.round(process.resourceUsage().maxRSS / 1024),
    longestTurnMs: Math.round(longestTurnMs),
    kind: mail.parts[0]?.kind,
  };
}

const [kind, form] = process.argv.slice(2);
if (import.meta.main && kind !== undefined)
  console.log(JSON.stringify(await measure(kind, form === 'whole')));
