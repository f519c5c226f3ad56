import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { startBrokerProcess } from '../testbed/broker/brokerProcess.ts';
import { startBrokerAndClient, waitFor, withCode } from './brokerClient.ts';

const deadline = { timeout: 30_000 };

test('a message arrives with everything the sender set', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t);
  const body = Buffer.from([0, 255, 13, 10, 200]);
  await client.createSender('q').sendMessages({
    body,
    messageId: 'id',
    correlationId: 'mail',
    subject: 'attachment',
    contentType: 'application/pdf; name="x"',
    sessionId: 'customer/connection',
    applicationProperties: { partNumber: 2, emailSubject: 'Grüße', big: 5_000_000_000 },
  });
  const [message] = broker.queue('q').messages;
  assert.deepEqual(
    { ...message, enqueuedTime: undefined },
    {
      sequenceNumber: 1,
      enqueuedTime: undefined,
      deliveryCount: 0,
      state: 'active',
      body,
      messageId: 'id',
      correlationId: 'mail',
      subject: 'attachment',
      contentType: 'application/pdf; name="x"',
      sessionId: 'customer/connection',
      to: undefined,
      replyTo: undefined,
      replyToSessionId: undefined,
      applicationProperties: { partNumber: 2, emailSubject: 'Grüße', big: 5_000_000_000 },
    },
  );
  const [received] = await client.createReceiver('q').receiveMessages(1);
  assert.deepEqual(received?.body, body);
  assert.equal(received?.subject, 'attachment');
  assert.equal(received?.sessionId, 'customer/connection');
  assert.deepEqual(received?.applicationProperties, message?.applicationProperties);
});

test('a batch is taken apart, and is one transfer', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t);
  const seen: unknown[] = [];
  broker.queue('q').onMessage((message) => seen.push(message.messageId));
  const sender = client.createSender('q');
  const batch = await sender.createMessageBatch();
  for (const messageId of ['1', '2', '3']) batch.tryAddMessage({ body: Buffer.from(messageId), messageId });
  await sender.sendMessages(batch);
  const { messages, transfers, accepted } = broker.queue('q');
  assert.deepEqual(
    messages.map((message) => message.body.toString()),
    ['1', '2', '3'],
  );
  assert.deepEqual(seen, ['1', '2', '3']);
  assert.deepEqual({ transfers, accepted }, { transfers: 1, accepted: 3 });
});

test('a batch with a single message works', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t);
  await client.createSender('q').sendMessages([{ body: Buffer.from('only') }]);
  assert.equal(broker.queue('q').messages[0]?.body.toString(), 'only');
});

test('an empty body stays empty', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t);
  await client.createSender('q').sendMessages({ body: Buffer.alloc(0), contentType: 'text/plain' });
  assert.equal(broker.queue('q').messages[0]?.body.length, 0);
});

test(
  'completing removes a message; abandoning gives it back, counted and in its place',
  deadline,
  async (t) => {
    const { broker, client } = await startBrokerAndClient(t);
    await client.createSender('q').sendMessages(['a', 'b'].map((body) => ({ body, messageId: body })));
    const receiver = client.createReceiver('q');
    const [first] = await receiver.receiveMessages(1);
    assert.ok(first);
    await receiver.abandonMessage(first, { reason: 'later' });
    const [again] = await receiver.receiveMessages(1);
    assert.ok(again);
    assert.deepEqual(
      [again.body, again.deliveryCount, again.applicationProperties],
      ['a', 1, { reason: 'later' }],
    );
    await receiver.completeMessage(again);
    assert.equal(broker.queue('q').count, 1);
    await assert.rejects(receiver.completeMessage(first));
  },
);

test('dead-lettering moves a message with its reason, to where it can be received', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t);
  await client
    .createSender('q')
    .sendMessages({ body: Buffer.from('bad'), messageId: '1', applicationProperties: { kept: 1 } });
  const receiver = client.createReceiver('q');
  const [message] = await receiver.receiveMessages(1);
  assert.ok(message);
  await receiver.deadLetterMessage(message, {
    deadLetterReason: 'poison',
    deadLetterErrorDescription: 'no use',
  });
  assert.equal(broker.queue('q').count, 0);
  assert.deepEqual(broker.queue('q').deadLettered[0]?.applicationProperties, {
    kept: 1,
    DeadLetterReason: 'poison',
    DeadLetterErrorDescription: 'no use',
  });
  const [dead] = await client.createReceiver('q', { subQueueType: 'deadLetter' }).receiveMessages(1);
  assert.deepEqual([dead?.body, dead?.deadLetterReason], [Buffer.from('bad'), 'poison']);
});

test('a message that fails too often is dead-lettered', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t, { queues: [{ name: 'q', maxDeliveryCount: 2 }] });
  await client.createSender('q').sendMessages({ body: 'x', messageId: 'x' });
  const receiver = client.createReceiver('q');
  for (const _ of [1, 2]) {
    const [message] = await receiver.receiveMessages(1);
    assert.ok(message);
    await receiver.abandonMessage(message);
  }
  const { count, deadLettered } = broker.queue('q');
  assert.equal(count, 0);
  assert.equal(deadLettered[0]?.applicationProperties.DeadLetterReason, 'MaxDeliveryCountExceeded');
});

test('a lock that is not renewed expires, and settling is then refused', deadline, async (t) => {
  const { client } = await startBrokerAndClient(t, { queues: [{ name: 'q', lockDurationMs: 300 }] });
  await client.createSender('q').sendMessages({ body: 'x' });
  const receiver = client.createReceiver('q', { maxAutoLockRenewalDurationInMs: 0 });
  const [first] = await receiver.receiveMessages(1);
  assert.ok(first?.lockedUntilUtc);
  const before = first.lockedUntilUtc;
  const renewed = await receiver.renewMessageLock(first);
  assert.ok(renewed >= before);
  const [again] = await receiver.receiveMessages(1);
  assert.equal(again?.deliveryCount, 1);
  await assert.rejects(receiver.completeMessage(first), withCode('MessageLockLost'));
  await assert.rejects(receiver.renewMessageLock(first), withCode('MessageLockLost'));
});

test('receive-and-delete takes messages off as they are sent', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t);
  await client.createSender('q').sendMessages([{ body: 'a' }, { body: 'b' }]);
  const receiver = client.createReceiver('q', { receiveMode: 'receiveAndDelete' });
  assert.equal((await receiver.receiveMessages(2)).length, 2);
  assert.equal(broker.queue('q').count, 0);
});

test('a subscription drains thousands of messages, each once', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t);
  const sender = client.createSender('q');
  const total = 3_000;
  for (let start = 0; start < total; start += 1_000) {
    await sender.sendMessages(
      Array.from({ length: 1_000 }, (_, index) => ({ body: start + index, messageId: `${start + index}` })),
    );
  }
  const seen = new Set<number>();
  client.createReceiver('q').subscribe(
    {
      processMessage: async (message) => {
        seen.add(message.body);
      },
      processError: async (args) => assert.fail(args.error),
    },
    { maxConcurrentCalls: 100 },
  );
  await waitFor(() => broker.queue('q').count === 0);
  assert.equal(seen.size, total);
});

test('peeking shows messages and takes none', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t);
  await client.createSender('q').sendMessages([{ body: 'a' }, { body: 'b' }, { body: 'c' }]);
  const receiver = client.createReceiver('q');
  assert.deepEqual(
    (await receiver.peekMessages(2)).map((message) => message.body),
    ['a', 'b'],
  );
  assert.deepEqual(
    (await receiver.peekMessages(2)).map((message) => message.body),
    ['c'],
  );
  assert.deepEqual(await receiver.peekMessages(2), []);
  assert.equal(broker.queue('q').count, 3);
});

test(
  'a repeated messageId is dropped and reported as accepted, also after the first was consumed',
  deadline,
  async (t) => {
    const { broker, client } = await startBrokerAndClient(t, {
      queues: [{ name: 'q', duplicateDetectionWindowMs: 60_000 }, { name: 'off' }],
    });
    const sender = client.createSender('q');
    await sender.sendMessages({ body: 'first', messageId: 'same' });
    await sender.sendMessages([
      { body: 'second', messageId: 'same' },
      { body: 'other', messageId: 'other' },
    ]);
    const queue = broker.queue('q');
    assert.deepEqual([queue.count, queue.accepted, queue.duplicates], [2, 2, 1]);
    await client.createReceiver('q', { receiveMode: 'receiveAndDelete' }).receiveMessages(2);
    await sender.sendMessages({ body: 'third', messageId: 'same' });
    assert.deepEqual([queue.count, queue.duplicates], [0, 2]);
    const without = client.createSender('off');
    await without.sendMessages([
      { body: 1, messageId: 'same' },
      { body: 2, messageId: 'same' },
    ]);
    assert.equal(broker.queue('off').count, 2);
  },
);

test('a messageId may come again after the window', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t, {
    queues: [{ name: 'q', duplicateDetectionWindowMs: 1 }],
  });
  const sender = client.createSender('q');
  await sender.sendMessages({ body: 1, messageId: 'same' });
  const sentMs = Date.now();
  await waitFor(() => Date.now() > sentMs + 2);
  await sender.sendMessages({ body: 2, messageId: 'same' });
  assert.equal(broker.queue('q').count, 2);
});

test("the link announces the queue's size limit, and more is refused", deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t, {
    queues: [
      { name: 'q', maxMessageSizeBytes: 10_000 },
      { name: 'premium', maxMessageSizeBytes: 100_000_000 },
    ],
  });
  const sender = client.createSender('q');
  assert.equal((await sender.createMessageBatch()).maxSizeInBytes, 10_000);
  await assert.rejects(sender.sendMessages({ body: Buffer.alloc(10_000) }), withCode('MessageSizeExceeded'));
  assert.equal(broker.queue('q').count, 0);
  const body = Buffer.alloc(20_000_000, 'x');
  await client.createSender('premium').sendMessages({ body });
  assert.ok(broker.queue('premium').messages[0]?.body.equals(body));
});

test('a full queue refuses more as over quota', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t, {
    queues: [{ name: 'q', maxQueueSizeBytes: 5_000 }],
  });
  const sender = client.createSender('q');
  await sender.sendMessages({ body: Buffer.alloc(4_000) });
  await assert.rejects(sender.sendMessages({ body: Buffer.alloc(4_000) }), withCode('QuotaExceeded'));
  await client.createReceiver('q', { receiveMode: 'receiveAndDelete' }).receiveMessages(1);
  await sender.sendMessages({ body: Buffer.alloc(4_000) });
  assert.equal(broker.queue('q').count, 1);
});

test('an unknown queue is not found', deadline, async (t) => {
  const { client } = await startBrokerAndClient(t);
  await assert.rejects(
    client.createSender('none').sendMessages({ body: 1 }),
    withCode('MessagingEntityNotFound'),
  );
  await assert.rejects(client.createReceiver('none').receiveMessages(1), withCode('MessagingEntityNotFound'));
});

test('a disabled queue refuses links, and open links what they send', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t, {
    queues: [{ name: 'q' }, { name: 'off', disabled: true }],
  });
  await assert.rejects(client.createSender('off').createMessageBatch(), withCode('MessagingEntityDisabled'));
  const sender = client.createSender('q');
  await sender.sendMessages({ body: 1 });
  broker.queue('q').disabled = true;
  await assert.rejects(sender.sendMessages({ body: 2 }), withCode('MessagingEntityDisabled'));
});

test('a wrong key, key name or expired key is refused', deadline, async (t) => {
  const { broker } = await startBrokerAndClient(t, { queues: [{ name: 'q' }], key: 'rightkey' });
  const wrong = [
    broker.connectionString.replace('SharedAccessKey=rightkey', 'SharedAccessKey=wrongkey'),
    broker.connectionString.replace('RootManageSharedAccessKey', 'Other'),
  ];
  for (const connectionString of wrong) {
    const client = new ServiceBusClient(connectionString, {
      retryOptions: { maxRetries: 0, timeoutInMs: 5_000 },
    });
    await assert.rejects(client.createSender('q').createMessageBatch(), withCode('UnauthorizedAccess'));
    await client.close();
  }
  assert.equal(broker.queue('q').transfers, 0);
});

test('a queue that requires sessions refuses a message without one', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t, {
    queues: [{ name: 's', requiresSession: true }],
  });
  const sender = client.createSender('s');
  await assert.rejects(sender.sendMessages([{ body: 1, sessionId: 'a' }, { body: 2 }]), /requires sessions/);
  assert.equal(broker.queue('s').count, 0);
  await assert.rejects(client.createReceiver('s').receiveMessages(1));
});

test(
  'a session is received in order by one receiver, and by the next when that has closed',
  deadline,
  async (t) => {
    const { client } = await startBrokerAndClient(t, { queues: [{ name: 's', requiresSession: true }] });
    const sender = client.createSender('s');
    await sender.sendMessages(['a1', 'b1', 'a2'].map((body) => ({ body, sessionId: body.slice(0, 1) })));
    const a = await client.acceptSession('s', 'a');
    assert.deepEqual(
      (await a.receiveMessages(5, { maxWaitTimeInMs: 500 })).map((message) => message.body),
      ['a1', 'a2'],
    );
    await assert.rejects(client.acceptSession('s', 'a'), withCode('SessionCannotBeLocked'));
    const next = await client.acceptNextSession('s');
    assert.equal(next.sessionId, 'b');
    assert.ok((await next.renewSessionLock()) > new Date());
    await a.close();
    const again = await client.acceptNextSession('s');
    const [message] = await again.receiveMessages(1);
    // Closing a session is no failed delivery of what was locked in it.
    assert.deepEqual([message?.body, message?.deliveryCount], ['a1', 0]);
  },
);

test('acceptNextSession waits for a message', deadline, async (t) => {
  const { client } = await startBrokerAndClient(t, { queues: [{ name: 's', requiresSession: true }] });
  const accepted = client.acceptNextSession('s');
  await client.createSender('s').sendMessages({ body: 'late', sessionId: 'x' });
  assert.equal((await accepted).sessionId, 'x');
});

test('clear empties the queue and sets the counters to zero', deadline, async (t) => {
  const { broker, client } = await startBrokerAndClient(t);
  const sender = client.createSender('q');
  await sender.sendMessages({ body: 1 });
  broker.queue('q').clear();
  assert.deepEqual(
    [broker.queue('q').count, broker.queue('q').accepted, broker.queue('q').transfers],
    [0, 0, 0],
  );
  await sender.sendMessages({ body: 2 });
  assert.equal(broker.queue('q').messages.length, 1);
});

test('a process of its own serves the SDK, and tells what it holds', deadline, async (t) => {
  const broker = await startBrokerProcess({ queues: [{ name: 'q', duplicateDetectionWindowMs: 60_000 }] });
  const client = new ServiceBusClient(broker.connectionString, {
    retryOptions: { maxRetries: 5, retryDelayInMs: 50, timeoutInMs: 500 },
  });
  t.after(async () => {
    await client.close();
    await broker.stop();
  });
  await client.createSender('q').sendMessages({ body: Buffer.from('x'), messageId: '1' });
  await broker.setFaults({ loseDispositionTransfers: 1 });
  await client.createSender('q').sendMessages({ body: Buffer.from('y'), messageId: '2', subject: 'body' });
  assert.deepEqual(await broker.state('q'), {
    name: 'q',
    active: 2,
    deadLettered: 0,
    accepted: 2,
    duplicates: 1,
    transfers: 3,
  });
  const messages = await broker.messages('q', 'base64');
  assert.deepEqual(
    messages.map((message) => message.body),
    ['eA==', 'eQ=='],
  );
  assert.equal(messages[1]?.subject, 'body');
  const [hashed] = await broker.messages('q', 'sha256');
  assert.equal(hashed?.body, '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881');
  await broker.createQueue({ name: 'second', maxMessageSizeBytes: 1_000 });
  assert.equal((await client.createSender('second').createMessageBatch()).maxSizeInBytes, 1_000);
  assert.equal((await broker.clear('q')).active, 0);
  assert.equal((await broker.connections()).open, 1);
  await broker.pause();
  await broker.resume();
  assert.equal((await broker.connections()).open, 0);
  await assert.rejects(broker.state('none'), /no queue 'none'/);
});
