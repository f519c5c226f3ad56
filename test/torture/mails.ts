import { createHash } from 'node:crypto';
import { between, type Random } from '../mail/build.ts';

/** A mail whose parts are known: `parts` holds the SHA-256 of each, in order. */
export interface TortureMail {
  /** No other mail has it. */
  readonly subject: string;
  readonly source: Buffer;
  readonly parts: readonly string[];
}

/** Mostly small, some large, a few that go by claim check or are streamed. */
export function tortureMail(random: Random, mailbox: string, index: number): TortureMail {
  const subject = `${mailbox} ${index}`;
  const body = Array.from({ length: between(random, 1, 30) }, (_, line) => `Line ${line} of ${subject}`);
  const attachments = Array.from({ length: between(random, 0, 2) }, (_, number) =>
    Buffer.alloc(attachmentBytes(random), `${subject} attachment ${number} `),
  );
  const source = [
    'From: sender@example.com',
    `Subject: ${subject}`,
    `Message-ID: <${index}@${mailbox}.example.com>`,
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    'Content-Type: text/plain; charset=utf-8',
    '',
    ...body,
    ...attachments.flatMap((bytes, number) => [
      '--b',
      `Content-Type: application/octet-stream; name=${number}.bin`,
      `Content-Disposition: attachment; filename=${number}.bin`,
      'Content-Transfer-Encoding: base64',
      '',
      ...(bytes.toString('base64').match(/.{1,76}/g) ?? []),
    ]),
    '--b--',
    '',
  ].join('\r\n');
  return {
    subject,
    source: Buffer.from(source),
    parts: [Buffer.from(body.join('\n')), ...attachments].map((bytes) =>
      createHash('sha256').update(bytes).digest('hex'),
    ),
  };
}

function attachmentBytes(random: Random): number {
  const kind = random();
  if (kind < 0.003) return 3_000_000;
  if (kind < 0.008) return 1_500_000;
  if (kind < 0.03) return between(random, 100_000, 300_000);
  return between(random, 100, 20_000);
}
