import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Part } from '../../shared/mail/mail.ts';
import { identifyMail } from '../../shared/message/identity.ts';
import { amqpNumberTypes, buildMessages, withClaimCheck } from '../../shared/message/message.ts';
import { read } from '../infra/documents.ts';

interface Row {
  readonly name: string;
  readonly types: string;
  readonly absent: string;
}

/** The table of application properties. */
function rowsOf(document: string): Row[] {
  const [, table = ''] = document.split('| property | AMQP, C# | absent | |\n|---|---|---|---|\n');
  return table
    .slice(0, table.indexOf('\n\n'))
    .split('\n')
    .map((line) => {
      const [, name = '', types = '', absent = ''] = line.split('|').map((cell) => cell.trim());
      return { name: name.replaceAll('`', ''), types, absent };
    });
}

test('the document names each property that messages have, with its type and when it is absent', () => {
  const rows = rowsOf(read('docs/consuming.md'));
  const origin = {
    customer: 'acme',
    connection: 'orders',
    identity: identifyMail('mailbox', 'key', 'fingerprint'),
    endpoint: 'imaps://host:993/INBOX',
  };
  const part: Part = {
    kind: 'body',
    fileName: 'body.txt',
    contentType: 'text/plain; charset=utf-8',
    content: { kind: 'bytes', bytes: Buffer.alloc(0), sizeBytes: 0, sha256: '0' },
  };
  const envelope = { messageId: '<a>', subject: 's', from: 'f', to: 't', date: 'd' };
  const [bare] = buildMessages(origin, { parts: [part], envelope: {} }, 'none');
  const signed = { parts: [part], envelope, unverifiedSignature: true } as const;
  const [full] = buildMessages(origin, signed, 'mail', '00-1');
  assert.ok(bare && full);
  const { applicationProperties } = withClaimCheck(full, 'email-payloads/x').head;
  assert.deepEqual(rows.map(({ name }) => name).sort(), Object.keys(applicationProperties).sort());
  for (const { name, types, absent } of rows) {
    const isAlwaysThere = Object.hasOwn(bare.head.applicationProperties, name);
    assert.equal(absent === 'never', isAlwaysThere, `${name} is absent: ${absent}`);
    const type = typeof applicationProperties[name] === 'string' ? 'string' : amqpNumberTypes[name];
    assert.equal(types, `${type}, \`${type}\``, name);
  }
});
