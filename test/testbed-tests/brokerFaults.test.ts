import assert from 'node:assert/strict';
import { ServiceBusClient, type ServiceBusSessionReceiver } from '@azure/service-bus';
import { receive, sessions, brokerTest as test, waitFor, withCode } from './brokerTest.ts';

const queues = [{ name: 'q', duplicateDetectionWindowMs: 60_000 }];
const retrying = { queues, retryOptions: { maxRetries: 5, retryDelayInMs: 20, timeoutInMs: 5_000 } };
const impatient = { queues, retryOptions: { maxRetries: 0, timeoutInMs: 1_000 } };

test('refused credentials end as UnauthorizedAccess', async ({ broker, client }) => {
  broker.faults.refuseCredentials = true;
  await assert.rejects(client.createSender('q').sendMessages({ body: 1 }), withCode('UnauthorizedAccess'));
  broker.faults.refuseCredentials = false;
  await client.createSender('q').sendMessages({ body: 1 });
});

test('the next transfers are throttled, and then no more', async ({ broker, client }) => {
  const sender = client.createSender('q');
  broker.faults.serverBusyTransfers = 2;
  for (const _ of [1, 2]) await assert.rejects(sender.sendMessages({ body: 1 }), withCode('ServiceBusy'));
  await sender.sendMessages({ body: 1 });
  assert.deepEqual([broker.queue('q').count, broker.queue('q').transfers], [1, 3]);
});

test('a delay holds back the outcome, not the message', async ({ broker, client }) => {
  broker.faults.acceptDelayMs = 200;
  let storedAtMs = Infinity;
  broker.queue('q').onMessage(() => {
    storedAtMs = performance.now();
  });
  await client.createSender('q').sendMessages({ body: 1 });
  assert.ok(performance.now() - storedAtMs >= 199);
});

test(
  'a lost outcome makes the SDK repeat, and the repeat is a counted duplicate',
  retrying,
  async ({ broker, client }) => {
    const sender = client.createSender('q');
    await sender.sendMessages({ body: 'before', messageId: '0' });
    broker.faults.loseDispositionTransfers = 2;
    await sender.sendMessages({ body: 'kept', messageId: '1' });
    const { count, duplicates, transfers } = broker.queue('q');
    assert.deepEqual({ count, duplicates, transfers }, { count: 2, duplicates: 2, transfers: 4 });
    assert.equal(broker.connections.total, 3);
  },
);

test('a connection dropped on the third transfer loses only that', retrying, async ({ broker, client }) => {
  const sender = client.createSender('q');
  broker.faults.dropOnTransfer = 3;
  for (const messageId of ['1', '2', '3', '4']) await sender.sendMessages({ body: 1, messageId });
  const { count, duplicates, transfers } = broker.queue('q');
  assert.deepEqual({ count, duplicates, transfers }, { count: 4, duplicates: 0, transfers: 5 });
  assert.equal(broker.faults.dropOnTransfer, undefined);
});

test('links are left without an answer', impatient, async ({ broker, client }) => {
  broker.faults.silentAttach = true;
  await assert.rejects(client.createSender('q').sendMessages({ body: 1 }), withCode('ServiceTimeout'));
  // Or the client would wait its own minute for the link before it closes.
  broker.dropConnections();
});

test('transfers are left without an answer, and not stored', impatient, async ({ broker, client }) => {
  const sender = client.createSender('q');
  broker.faults.silentTransfers = true;
  await assert.rejects(sender.sendMessages({ body: 1 }), withCode('ServiceTimeout'));
  assert.deepEqual([broker.queue('q').count, broker.queue('q').transfers], [0, 1]);
});

test('quota and disabled queues can be put on and taken off', async ({ broker, client }) => {
  const sender = client.createSender('q');
  broker.faults.quotaExceeded = true;
  await assert.rejects(sender.sendMessages({ body: 1 }), withCode('QuotaExceeded'));
  broker.faults.quotaExceeded = false;
  broker.faults.entityDisabled = true;
  await assert.rejects(sender.sendMessages({ body: 1 }), withCode('MessagingEntityDisabled'));
  await assert.rejects(client.createReceiver('q').receiveMessages(1), withCode('MessagingEntityDisabled'));
  broker.faults.entityDisabled = false;
  await sender.sendMessages({ body: 1 });
});

test(
  'a stopped broker refuses connections, and a restarted one has its messages on the same port',
  retrying,
  async ({ broker, client }) => {
    const sender = client.createSender('q');
    await sender.sendMessages({ body: 'kept', messageId: '1' });
    await broker.stop();
    assert.equal(broker.connections.open, 0);
    const late = new ServiceBusClient(broker.connectionString, { retryOptions: impatient.retryOptions });
    await assert.rejects(late.createSender('q').sendMessages({ body: 'lost' }), /ECONNREFUSED/);
    await late.close();
    await broker.restart();
    await sender.sendMessages({ body: 'next', messageId: '2' });
    const ids = broker.queue('q').messages.map((message) => message.messageId);
    assert.deepEqual(ids, ['1', '2']);
  },
);

test('dropped connections come back by themselves', retrying, async ({ broker, client }) => {
  const sender = client.createSender('q');
  await sender.sendMessages({ body: 1 });
  broker.dropConnections();
  await waitFor(() => broker.connections.open === 0);
  await sender.sendMessages({ body: 2 });
  assert.equal(broker.queue('q').count, 2);
});

test('a receiver that lost its connection gets the message again when the lock has run out', {
  ...retrying,
  queues: [{ name: 'q', lockDurationMs: 200 }],
}, async ({ broker, client }) => {
  await client.createSender('q').sendMessages({ body: 'x' });
  const receiver = client.createReceiver('q', { maxAutoLockRenewalDurationInMs: 0 });
  await receiver.receiveMessages(1);
  broker.dropConnections();
  // The call under way fails with the connection; the next one works.
  const again = await receive(receiver).catch(() => receive(receiver));
  assert.deepEqual([again.body, again.deliveryCount], ['x', 1]);
});

test('a session comes free when its receiver loses the connection', sessions, async ({ broker, client }) => {
  await client.createSender('s').sendMessages({ body: 'x', sessionId: 'a' });
  const lost = await client.acceptSession('s', 'a');
  await lost.receiveMessages(1);
  broker.dropConnections();
  await waitFor(() => broker.connections.open === 0);
  assert.equal((await receive(await acceptAfterLoss(client))).body, 'x');
});

/** The SDK waits for ever for an answer to what it asks before it has seen that the connection is lost. */
async function acceptAfterLoss(client: ServiceBusClient): Promise<ServiceBusSessionReceiver> {
  for (;;) {
    try {
      return await client.acceptNextSession('s', { abortSignal: AbortSignal.timeout(2_000) });
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'AbortError') throw error;
    }
  }
}
