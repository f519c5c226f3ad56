import { createHash } from 'node:crypto';

/** Mails with what breaks framing: dots, bare CR and LF, NUL, 8-bit bytes, no last line end, every size. */
export function variedMails(count: number): readonly Buffer[] {
  return Array.from({ length: count }, (_, index) => variedMail(index));
}

const bodies: readonly ((index: number) => string)[] = [
  () => 'plain text\r\n',
  () => '.\r\n..\r\n...\r\n.a\r\n',
  () => '.\r\n',
  () => '\r\n.\r\n\r\n..\r\n.\r\n',
  () => '',
  () => '\xe4\xf6\xfc \xff\xfe\x80 8 bit\r\n',
  (index) => noise(index, 100_000),
  (index) => noise(index, 1_000 + index * 37),
  (index) => `${'.'.repeat(index)}\r\n`.repeat(50),
  (index) => `${'a'.repeat(5_000 + index)}\r\n.${'b'.repeat(1_446)}\r\n`,
];

function variedMail(index: number): Buffer {
  const body = bodies[index % bodies.length]?.(index) ?? '';
  return Buffer.from(`Subject: mail ${index}\r\nMessage-ID: <${index}@mail.test>\r\n\r\n${body}`, 'latin1');
}

/** Repeatable lines of base64, some of which begin with a dot. */
function noise(seed: number, sizeBytes: number): string {
  const lines: string[] = [];
  for (let number = 0, length = 0; length < sizeBytes; number += 1) {
    const digest = createHash('sha512').update(`${seed} ${number}`).digest('base64').slice(0, 76);
    const line = number % 7 === 0 ? `.${digest}` : digest;
    lines.push(line);
    length += line.length + 2;
  }
  return `${lines.join('\r\n')}\r\n`;
}
