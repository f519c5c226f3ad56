import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Destination } from '../../shared/delivery/destination.ts';
import type { PayloadStore } from '../../shared/delivery/payloadStore.ts';
import type { BodyFormat } from '../../shared/mail/mail.ts';
import { createOpenOutlet } from '../../shared/poll/outlet.ts';
import { noTrace } from '../../shared/telemetry/telemetry.ts';
import { sampleMails } from '../mail/mails.ts';
import { connectionConfig } from './fakes.ts';

const maxMessageBytes = 20_000;

/** Prepares the mail, calls `between`, pushes it; gives the bodies as they went to the queue or to a blob. */
async function pushed(
  source: Buffer,
  bodyFormat: BodyFormat,
  between: (shares: boolean) => void = () => undefined,
): Promise<readonly string[]> {
  const bodies: string[] = [];
  const destination: Destination = {
    maxMessageBytes,
    fits: (_head, bodyBytes) => bodyBytes <= maxMessageBytes,
    send: async ({ body }) => void bodies.push(body.toString('latin1')),
    close: async () => undefined,
  };
  const payloads: PayloadStore = {
    beginUpload: () => {
      let blob = '';
      return {
        write: async (piece) => {
          blob += piece.toString('latin1');
        },
        commit: async () => `email-payloads/${bodies.push(blob)}`,
        abort: async () => undefined,
      };
    },
  };
  const config = connectionConfig('imap');
  const outlet = await createOpenOutlet({
    openDestination: async () => destination,
    openPayloads: async () => payloads,
    openUndelivered: () => Promise.reject(new Error('nothing fails here')),
    queueName: 'inbound',
    maxMailBytes: 1_000_000,
    temporaryFolder: join(tmpdir(), 'outlet-test'),
  })({ ...config, rules: { ...config.rules, bodyFormat } }, 'imaps://mail.example.com:993/INBOX', noTrace);
  const mail = { key: 'imap:1:1:INBOX', id: 1 };
  const prepared = await outlet.prepare(mail, {
    sizeBytes: source.length,
    open: async () =>
      (async function* () {
        yield source;
      })(),
  });
  between(prepared.sharesMemory(source));
  assert.equal((await prepared.push()).kind, 'pushed');
  return bodies;
}

test('a mail whose memory is said to be free again is sent whole after it was written over', async () => {
  const shared: boolean[] = [];
  for (const bodyFormat of ['text', 'eml'] as const) {
    for (const { name, source } of sampleMails(200, 11)) {
      const expected = await pushed(source, bodyFormat);
      const read = Buffer.from(new Uint8Array(source));
      const sent = await pushed(read, bodyFormat, (shares) => {
        shared.push(shares);
        if (!shares) read.fill(0);
      });
      assert.deepEqual(sent, expected, name);
    }
  }
  assert.ok(shared.includes(true) && shared.includes(false));
});
