import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { bytesOf, destinationsFor, mayWrite, messageOf } from '../destination/support.ts';
import { startBroker } from '../testbed/broker/broker.ts';
import { startConsumer } from './consumer.ts';

test('texts that happen to be JSON reach the consumer as they are', async (t) => {
  const broker = await startBroker({ queues: [{ name: 'q' }] });
  t.after(() => broker.stop());
  const destinations = destinationsFor(broker.connectionString);
  const sender = await destinations.open('q');
  const bodies = [
    Buffer.from('42'),
    Buffer.from('{"a": 1.0}'),
    Buffer.from('"x"'),
    Buffer.alloc(0),
    bytesOf(9),
  ];
  for (const body of bodies) {
    const sha256 = createHash('sha256').update(body).digest('hex');
    await sender.send(messageOf(body, { applicationProperties: { size: body.length, sha256 } }), mayWrite);
  }
  await destinations.close();
  const errors: string[] = [];
  const consumer = startConsumer({
    serviceBusConnectionString: broker.connectionString,
    storageConnectionString: 'UseDevelopmentStorage=true',
    queueName: 'q',
    onMessage: () => {},
    onError: (sentence) => errors.push(sentence),
  });
  assert.equal(await consumer.received(bodies.length, 10_000), true);
  await consumer.stop();
  assert.deepEqual([consumer.damaged, errors], [0, []]);
});
