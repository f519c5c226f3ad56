import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import {
  ServiceBusClient,
  type ServiceBusMessage,
  type ServiceBusReceivedMessage,
  type ServiceBusReceiver,
  type ServiceBusSessionReceiver,
} from '@azure/service-bus';
import { bodiesOf, receive, sessions, brokerTest as test, waitFor } from './brokerTest.ts';

/** The SDK settles no message that has no id. */
function outgoing(body: unknown, others: Partial<ServiceBusMessage> = {}): ServiceBusMessage {
  return { messageId: randomUUID(), body, ...others };
}

async function receiveNothing(receiver: ServiceBusReceiver): Promise<void> {
  assert.deepEqual(await receiver.receiveMessages(1, { maxWaitTimeInMs: 200 }), []);
}

function numberOf({ sequenceNumber }: ServiceBusReceivedMessage) {
  assert.ok(sequenceNumber);
  return sequenceNumber;
}

/** What goes wrong for a receiver that takes every message; codes where errors have one. */
function errorsOf(receiver: ServiceBusReceiver): unknown[] {
  const errors: unknown[] = [];
  receiver.subscribe({
    processMessage: async () => {},
    processError: async ({ error }) => void errors.push('code' in error ? error.code : error),
  });
  return errors;
}

test('a deferred message is received by its number only, and stays so until it is completed', async ({
  broker,
  client,
}) => {
  await client.createSender('q').sendMessages(outgoing('x'));
  const receiver = client.createReceiver('q');
  const message = await receive(receiver);
  await receiver.deferMessage(message, { tried: 3 });
  await receiveNothing(receiver);
  const [peeked] = await receiver.peekMessages(1);
  assert.deepEqual([peeked?.state, peeked?.applicationProperties?.tried], ['deferred', 3]);
  const [deferred] = await receiver.receiveDeferredMessages(numberOf(message));
  assert.ok(deferred);
  await receiver.renewMessageLock(deferred);
  await assert.rejects(receiver.receiveDeferredMessages(numberOf(message)), { code: 'MessageNotFound' });
  await receiver.abandonMessage(deferred);
  const [again] = await receiver.receiveDeferredMessages(numberOf(message));
  assert.ok(again);
  assert.equal(again.deliveryCount, 1);
  await receiver.completeMessage(again);
  assert.equal(broker.queue('q').count, 0);
});

test('a deferred message that is received and deleted is gone', async ({ broker, client }) => {
  await client.createSender('q').sendMessages(outgoing('x'));
  const receiver = client.createReceiver('q');
  const message = await receive(receiver);
  await receiver.deferMessage(message);
  const deleting = client.createReceiver('q', { receiveMode: 'receiveAndDelete' });
  assert.equal((await deleting.receiveDeferredMessages(numberOf(message))).length, 1);
  assert.equal(broker.queue('q').count, 0);
});

test('abandoning and dead-lettering keep the properties given, and the others their values', async ({
  broker,
  client,
}) => {
  const applicationProperties = { kept: 1, big: 5_000_000_000, name: 'Grüße' };
  await client.createSender('q').sendMessages(outgoing(Buffer.from('x'), { applicationProperties }));
  const receiver = client.createReceiver('q');
  await receiver.abandonMessage(await receive(receiver), { tried: 1 });
  const second = await receive(receiver);
  assert.deepEqual(second.applicationProperties, { ...applicationProperties, tried: 1 });
  await receiver.deadLetterMessage(second, {
    deadLetterReason: 'Damaged',
    deadLetterErrorDescription: 'Cut short.',
    tried: 2,
    by: 'a test',
  });
  const [dead] = broker.queue('q').deadLettered;
  assert.deepEqual(dead?.applicationProperties, {
    ...applicationProperties,
    tried: 2,
    by: 'a test',
    DeadLetterReason: 'Damaged',
    DeadLetterErrorDescription: 'Cut short.',
  });
  assert.deepEqual(dead?.body, Buffer.from('x'));
  assert.deepEqual([dead?.sequenceNumber, dead?.deliveryCount], [1, 1]);
});

test('a dead letter can be peeked, received, and settled for good', async ({ broker, client }) => {
  await client.createSender('q').sendMessages(outgoing('x'));
  const receiver = client.createReceiver('q');
  const why = { deadLetterReason: 'Damaged', deadLetterErrorDescription: 'Cut short.' };
  await receiver.deadLetterMessage(await receive(receiver), why);
  assert.deepEqual(await receiver.peekMessages(1), []);
  const dead = client.createReceiver('q', { subQueueType: 'deadLetter' });
  const [peeked] = await dead.peekMessages(1);
  assert.equal(peeked?.deadLetterReason, 'Damaged');
  const message = await receive(dead);
  await dead.renewMessageLock(message);
  await dead.completeMessage(message);
  assert.deepEqual(broker.queue('q').deadLettered, []);
});

for (const [most, queue] of [
  [10, { name: 'q' }],
  [2, { name: 'q', maxDeliveryCount: 2 }],
] as const) {
  test(`after ${most} deliveries a message is a dead letter`, { queues: [queue] }, async ({ client }) => {
    await client.createSender('q').sendMessages(outgoing('x'));
    const receiver = client.createReceiver('q');
    for (let count = 0; count < most; count++) {
      const message = await receive(receiver);
      assert.equal(message.deliveryCount, count);
      await receiver.abandonMessage(message);
    }
    await receiveNothing(receiver);
    const dead = await receive(client.createReceiver('q', { subQueueType: 'deadLetter' }));
    assert.equal(dead.deadLetterReason, 'MaxDeliveryCountExceeded');
  });
}

test('scheduled messages come in time as new ones, and can be cancelled', async ({ broker, client }) => {
  const sender = client.createSender('q');
  const receiver = client.createReceiver('q');
  const later = new Date(Date.now() + 60_000);
  const [cancelled] = await sender.scheduleMessages([{ body: 'cancelled' }, { body: 'later' }], later);
  assert.ok(cancelled);
  const states = (await receiver.peekMessages(5)).map((message) => message.state);
  assert.deepEqual(states, ['scheduled', 'scheduled']);
  await sender.cancelScheduledMessages(cancelled);
  await assert.rejects(sender.cancelScheduledMessages(cancelled), { code: 'MessageNotFound' });
  assert.equal(broker.queue('q').accepted, 0);
  const soon = new Date(Date.now() + 500);
  const [scheduled] = await sender.scheduleMessages([{ body: 'soon' }], soon);
  assert.ok(scheduled);
  await sender.sendMessages(outgoing('by itself', { scheduledEnqueueTimeUtc: soon }));
  const messages = [await receive(receiver), await receive(receiver)];
  assert.ok(Date.now() >= soon.getTime());
  assert.deepEqual(bodiesOf(messages).sort(), ['by itself', 'soon']);
  for (const message of messages) assert.ok(numberOf(message).greaterThan(scheduled));
  await receiveNothing(receiver);
});

test('a session has a state that its next receiver finds', sessions, async ({ client }) => {
  await client.createSender('s').sendMessages(outgoing(1, { sessionId: 'a' }));
  const first = await client.acceptNextSession('s');
  assert.equal(await first.getSessionState(), null);
  await first.setSessionState({ parts: 1 });
  await first.close();
  const second = await client.acceptSession('s', 'a');
  assert.deepEqual(await second.getSessionState(), { parts: 1 });
  await second.setSessionState(null);
  assert.equal(await second.getSessionState(), null);
});

test("a session's lock that is not renewed is lost, and its messages come again", {
  queues: [{ name: 's', requiresSession: true, lockDurationMs: 1_000 }],
}, async ({ client }) => {
  await client.createSender('s').sendMessages(outgoing(1, { sessionId: 'a' }));
  const first = await client.acceptNextSession('s', { maxAutoLockRenewalDurationInMs: 0 });
  const message = await receive(first);
  const second = await client.acceptNextSession('s');
  assert.equal((await receive(second)).deliveryCount, 1);
  await assert.rejects(first.completeMessage(message));
});

test('a topic puts a copy on each subscription whose rules take the message', {
  topics: [
    {
      name: 'topic',
      subscriptions: [
        { name: 'all' },
        { name: 'acme', rules: [{ name: 'a', filter: { kind: 'sql', expression: "customer = 'acme'" } }] },
        {
          name: 'bodies',
          rules: [
            { name: 'never', filter: { kind: 'false' } },
            { name: 'body', filter: { kind: 'correlation', subject: 'body' } },
          ],
        },
        { name: 'sessions', requiresSession: true },
      ],
    },
  ],
}, async ({ broker, client }) => {
  const sender = client.createSender('topic');
  await sender.sendMessages([
    outgoing(1, { subject: 'body', applicationProperties: { customer: 'acme' } }),
    outgoing(2, { subject: 'attachment', applicationProperties: { customer: 'acme' } }),
    outgoing(3, { subject: 'body', applicationProperties: { customer: 'other' } }),
  ]);
  await sender.scheduleMessages({ body: 4, subject: 'body' }, new Date(Date.now() + 100));
  await waitFor(() => broker.queue('topic/Subscriptions/all').count === 4);
  const bodiesIn = async (subscription: string) =>
    bodiesOf(await client.createReceiver('topic', subscription).peekMessages(9));
  assert.deepEqual(await bodiesIn('all'), [1, 2, 3, 4]);
  assert.deepEqual(await bodiesIn('acme'), [1, 2]);
  assert.deepEqual(await bodiesIn('bodies'), [1, 3, 4]);
  const receiver = client.createReceiver('topic', 'acme');
  await receiver.completeMessage(await receive(receiver));
  await receiver.deadLetterMessage(await receive(receiver));
  const dead = client.createReceiver('topic', 'acme', { subQueueType: 'deadLetter' });
  assert.equal((await receive(dead)).body, 2);
  assert.equal(broker.queue('topic/Subscriptions/all').count, 4);
  // It takes no message without a session, and the sender isn't told.
  assert.equal(broker.queue('topic/Subscriptions/sessions').deadLettered.length, 4);
});

test('rules are made, listed and removed', {
  topics: [{ name: 'topic', subscriptions: [{ name: 'sub' }] }],
}, async ({ client }) => {
  const rules = client.createRuleManager('topic', 'sub');
  await rules.deleteRule('$Default');
  await rules.createRule('sql', { sqlExpression: '"Diagnostic-Id" IS NOT NULL' });
  await rules.createRule('raw', { subject: 'raw', applicationProperties: { customer: 'acme' } });
  const found = new Map<string, unknown>();
  for await (const rule of rules.listRules()) found.set(rule.name, rule.filter);
  assert.deepEqual(found.get('sql'), { sqlExpression: '"Diagnostic-Id" IS NOT NULL' });
  assert.partialDeepStrictEqual(found.get('raw'), {
    subject: 'raw',
    applicationProperties: { customer: 'acme' },
  });
  await assert.rejects(rules.createRule('raw', { subject: 'x' }), { code: 'MessagingEntityAlreadyExists' });
  await assert.rejects(rules.createRule('bad', { sqlExpression: 'Diagnostic-Id = 1' }), /\[Diagnostic-Id\]/);
  await assert.rejects(
    rules.createRule('set', { sqlExpression: '1=1' }, { sqlExpression: 'SET a = 1' }),
    /not implemented/,
  );
  await assert.rejects(rules.deleteRule('none'), { code: 'MessagingEntityNotFound' });
  const sender = client.createSender('topic');
  await sender.sendMessages([
    outgoing(1),
    outgoing(2, { applicationProperties: { 'Diagnostic-Id': 'trace' } }),
    outgoing(3, { subject: 'raw', applicationProperties: { customer: 'acme' } }),
    outgoing(4, { subject: 'raw', applicationProperties: { customer: 'other' } }),
  ]);
  assert.deepEqual(bodiesOf(await client.createReceiver('topic', 'sub').peekMessages(9)), [2, 3]);
});

test('an idle link is detached, and a client goes on with another', {
  idleLinkMs: 200,
  // The sender's link may be detached at the very moment of a send, which is what clients repeat.
  retryOptions: { maxRetries: 5, retryDelayInMs: 50, timeoutInMs: 5_000 },
}, async ({ broker, client }) => {
  const sender = client.createSender('q');
  const detached = errorsOf(client.createReceiver('q'));
  for (let count = 1; count <= 2; count++) {
    await sender.sendMessages(outgoing(count));
    await waitFor(() => broker.queue('q').count === 0 && broker.queue('q').accepted === count);
    const before = detached.length;
    await waitFor(() => detached.length > before);
  }
});

test('a link that is used is not detached', { idleLinkMs: 1_500 }, async ({ broker, client }) => {
  const sender = client.createSender('q');
  const errors = errorsOf(client.createReceiver('q'));
  const until = Date.now() + 2_000;
  while (Date.now() < until) {
    await sender.sendMessages(outgoing('x'));
    await waitFor(() => broker.queue('q').count === 0);
  }
  assert.deepEqual(errors, []);
});

test('a deleted queue detaches its links and is not found', {
  retryOptions: { maxRetries: 0, retryDelayInMs: 50, timeoutInMs: 5_000 },
}, async ({ broker, client }) => {
  const sender = client.createSender('q');
  await sender.sendMessages(outgoing(1));
  const errors = errorsOf(client.createReceiver('q'));
  await waitFor(() => broker.queue('q').count === 0);
  broker.delete('q');
  await waitFor(() => errors.length > 0);
  assert.equal(errors[0], 'MessagingEntityNotFound');
  await assert.rejects(sender.sendMessages(outgoing(2)), { code: 'MessagingEntityNotFound' });
});

const retryOptions = { maxRetries: 5, retryDelayInMs: 20, timeoutInMs: 5_000 };

test('a connection dropped on the third transfer loses only that', {
  queues: [{ name: 'q', duplicateDetectionWindowMs: 60_000 }],
  retryOptions,
}, async ({ broker, client }) => {
  const sender = client.createSender('q');
  broker.faults.dropOnTransfer = 3;
  for (const messageId of ['1', '2', '3', '4']) await sender.sendMessages({ body: 1, messageId });
  const { count, duplicates, transfers } = broker.queue('q');
  assert.deepEqual({ count, duplicates, transfers }, { count: 4, duplicates: 0, transfers: 5 });
});

test('a disabled queue refuses what comes on an open link', async ({ broker, client }) => {
  const sender = client.createSender('q');
  await sender.sendMessages({ body: 1 });
  broker.queue('q').disabled = true;
  await assert.rejects(sender.sendMessages({ body: 2 }), { code: 'MessagingEntityDisabled' });
});

test('another name for the key is refused', async ({ broker }) => {
  const wrong = broker.connectionString.replace('RootManageSharedAccessKey', 'Other');
  const client = new ServiceBusClient(wrong, { retryOptions: { maxRetries: 0 } });
  await assert.rejects(client.createSender('q').createMessageBatch(), { code: 'UnauthorizedAccess' });
  await client.close();
});

test('a receiver that lost its connection gets the message again when the lock has run out', {
  retryOptions,
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
