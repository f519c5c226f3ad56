import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startBroker } from '../testbed/broker/broker.ts';
import { bytesOf, destinationsFor, mayWrite, messageOf } from './support.ts';

test('queueName may name a topic, whose subscriptions filter by the properties', async (t) => {
  const rule = (expression: string) => [{ name: 'rule', filter: { kind: 'sql', expression } as const }];
  const broker = await startBroker({
    topics: [
      {
        name: 'mails',
        subscriptions: [
          { name: 'acme', rules: rule("customer = 'acme' AND partKind IN ('body', 'raw')") },
          { name: 'large', rules: rule('size > 4000000000 AND partNumber = 1 AND partCount <= 2') },
          { name: 'traced', rules: rule("[Diagnostic-Id] LIKE '00-%' AND sys.Label = 'attachment'") },
        ],
      },
    ],
  });
  t.after(() => broker.stop());
  const destinations = destinationsFor(broker.connectionString);
  t.after(() => destinations.close());
  const sender = await destinations.open('mails');
  const shared = { customer: 'acme', partKind: 'body', partNumber: 1, partCount: 2, size: 10 };
  const sent = {
    a: shared,
    b: { ...shared, size: 5_000_000_000 },
    c: { ...shared, customer: 'other', size: 5_000_000_000, partNumber: 2 },
    d: { ...shared, customer: 'other', 'Diagnostic-Id': '00-abc' },
  };
  await Promise.all(
    Object.entries(sent).map(([messageId, applicationProperties]) =>
      sender.send(messageOf(bytesOf(10), { messageId, applicationProperties }), mayWrite),
    ),
  );
  const idsIn = (subscription: string) =>
    broker.queue(`mails/Subscriptions/${subscription}`).messages.map(({ messageId }) => messageId);
  assert.deepEqual(
    { acme: idsIn('acme'), large: idsIn('large'), traced: idsIn('traced') },
    { acme: ['a', 'b'], large: ['b'], traced: ['d'] },
  );
});
