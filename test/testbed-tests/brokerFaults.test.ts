import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceBusClient, type ServiceBusSessionReceiver } from '@azure/service-bus';
import { startBrokerAndClient, waitFor, withCode } from './brokerClient.ts';

const deadline = { timeout: 30_000 };
const queues = [{ name: 'q', duplicateDetectionWindowMs: 60_000 }];
const retrying = { retryOptions: { maxRetries: 5, retryDelayInMs: 20, timeoutInMs: 500 } };
const impatient = { retryOptions: { maxRetries: 0, timeoutInMs: 300 } };

test('refused credentials end as UnauthorizedAccess', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t);
  broker.faults.refuseCredentials = true;
  await assert.rejects(client.createSender('q').sendMessages({ body: 1 }), withCode('UnauthorizedAccess'));
  broker.faults.refuseCredentials = false;
  await client.createSender('q').sendMessages({ body: 1 });
});

test('the next transfers are throttled, and then no more', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t);
  const sender = client.createSender('q');
  broker.faults.serverBusyTransfers = 2;
  for (const _ of [1, 2]) await assert.rejects(sender.sendMessages({ body: 1 }), withCode('ServiceBusy'));
  await sender.sendMessages({ body: 1 });
  assert.deepEqual([broker.queue('q').count, broker.queue('q').transfers], [1, 3]);
});

test('a delay holds back the outcome, not the message', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t, { queues, faults: { acceptDelayMs: 200 } });
  const sender = client.createSender('q');
  await sender.createMessageBatch();
  const startedMs = performance.now();
  const sent = sender.sendMessages({ body: 1 });
  await waitFor(() => broker.queue('q').count === 1);
  assert.ok(performance.now() - startedMs < 200);
  await sent;
  assert.ok(performance.now() - startedMs >= 199);
});

test('a lost outcome makes the SDK repeat, and the repeat is a counted duplicate', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t, { queues }, retrying);
  const sender = client.createSender('q');
  await sender.sendMessages({ body: 'before', messageId: '0' });
  broker.faults.loseDispositionTransfers = 2;
  await sender.sendMessages({ body: 'kept', messageId: '1' });
  const { count, duplicates, transfers } = broker.queue('q');
  assert.deepEqual({ count, duplicates, transfers }, { count: 2, duplicates: 2, transfers: 4 });
  assert.equal(broker.connections.total, 3);
});

test('a connection dropped on the third transfer loses only that', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t, { queues }, retrying);
  const sender = client.createSender('q');
  broker.faults.dropOnTransfer = 3;
  for (const messageId of ['1', '2', '3', '4']) await sender.sendMessages({ body: 1, messageId });
  const { count, duplicates, transfers } = broker.queue('q');
  assert.deepEqual({ count, duplicates, transfers }, { count: 4, duplicates: 0, transfers: 5 });
  assert.equal(broker.faults.dropOnTransfer, undefined);
});

test('links are left without an answer', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t, { queues }, impatient);
  broker.faults.silentAttach = true;
  await assert.rejects(client.createSender('q').sendMessages({ body: 1 }), withCode('ServiceTimeout'));
  // Or the client would wait its own minute for the link before it closes.
  broker.dropConnections();
});

test('transfers are left without an answer, and not stored', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t, { queues }, impatient);
  const sender = client.createSender('q');
  broker.faults.silentTransfers = true;
  await assert.rejects(sender.sendMessages({ body: 1 }), withCode('ServiceTimeout'));
  assert.deepEqual([broker.queue('q').count, broker.queue('q').transfers], [0, 1]);
});

test('quota and disabled queues can be put on and taken off', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t);
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
  deadline,
  async (t) => {
    const { broker, client } = await startBrokerAndClient(t, { queues }, retrying);
    const sender = client.createSender('q');
    await sender.sendMessages({ body: 'kept', messageId: '1' });
    await broker.stop();
    assert.equal(broker.connections.open, 0);
    const late = new ServiceBusClient(broker.connectionString, impatient);
    await assert.rejects(late.createSender('q').sendMessages({ body: 'lost' }), /ECONNREFUSED/);
    await late.close();
    await broker.restart();
    await sender.sendMessages({ body: 'next', messageId: '2' });
    assert.deepEqual(
      broker.queue('q').messages.map((message) => message.messageId),
      ['1', '2'],
    );
  },
);

test('dropped connections come back by themselves', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t, { queues }, retrying);
  const sender = client.createSender('q');
  await sender.sendMessages({ body: 1 });
  broker.dropConnections();
  await waitFor(() => broker.connections.open === 0);
  await sender.sendMessages({ body: 2 });
  assert.equal(broker.queue('q').count, 2);
});

test(
  'a receiver that lost its connection gets the message again when the lock has run out',
  deadline,
  async (t) => {
    const { broker, client } = await startBrokerAndClient(
      t,
      { queues: [{ name: 'q', lockDurationMs: 200 }] },
      retrying,
    );
    await client.createSender('q').sendMessages({ body: 'x' });
    const receiver = client.createReceiver('q', { maxAutoLockRenewalDurationInMs: 0 });
    await receiver.receiveMessages(1);
    broker.dropConnections();
    // The call under way fails with the connection; the next one works.
    const [again] = await receiver.receiveMessages(1).catch(() => receiver.receiveMessages(1));
    assert.deepEqual([again?.body, again?.deliveryCount], ['x', 1]);
  },
);

test('a session comes free when its receiver loses the connection', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t, {
    queues: [{ name: 's', requiresSession: true }],
  });
  await client.createSender('s').sendMessages({ body: 'x', sessionId: 'a' });
  const lost = await client.acceptSession('s', 'a');
  await lost.receiveMessages(1);
  broker.dropConnections();
  await waitFor(() => broker.connections.open === 0);
  const [again] = await (await acceptAfterLoss(client)).receiveMessages(1);
  assert.equal(again?.body, 'x');
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
