import assert from 'node:assert/strict';
import { bodiesOf, receive, sessions, brokerTest as test, waitFor } from './brokerTest.ts';

test('a message arrives with everything the sender set', async ({ broker, client }) => {
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

test(
  'each of several messages that come at once is told its own fate',
  sessions,
  async ({ broker, client }) => {
    const sender = client.createSender('s');
    await sender.sendMessages({ body: 'opens the link', sessionId: 'a' });
    const sent = [undefined, 'a', undefined, 'b', 'c', undefined].map((sessionId) => ({
      body: '',
      sessionId,
    }));
    const told = await Promise.allSettled(sent.map((message) => sender.sendMessages(message)));
    assert.deepEqual(
      told.map(({ status }) => status === 'fulfilled'),
      sent.map(({ sessionId }) => sessionId !== undefined),
    );
    assert.equal(broker.queue('s').accepted, 4);
  },
);

test('a batch with a single message works, and an empty body stays empty', async ({ broker, client }) => {
  const sender = client.createSender('q');
  await sender.sendMessages([{ body: Buffer.from('only') }]);
  await sender.sendMessages({ body: Buffer.alloc(0), contentType: 'text/plain' });
  assert.deepEqual(bodiesOf(broker.queue('q').messages).map(String), ['only', '']);
});

test('completing removes a message; abandoning gives it back, counted and in its place', async ({
  broker,
  client,
}) => {
  await client.createSender('q').sendMessages(['a', 'b'].map((body) => ({ body, messageId: body })));
  const receiver = client.createReceiver('q');
  const first = await receive(receiver);
  await receiver.abandonMessage(first, { reason: 'later' });
  const again = await receive(receiver);
  assert.deepEqual(
    [again.body, again.deliveryCount, again.applicationProperties],
    ['a', 1, { reason: 'later' }],
  );
  await receiver.completeMessage(again);
  assert.equal(broker.queue('q').count, 1);
  await assert.rejects(receiver.completeMessage(first));
});

test('a lock that is not renewed expires, and settling is then refused', {
  queues: [{ name: 'q', lockDurationMs: 1_000 }],
}, async ({ client }) => {
  await client.createSender('q').sendMessages({ body: 'x' });
  const receiver = client.createReceiver('q', { maxAutoLockRenewalDurationInMs: 0 });
  const first = await receive(receiver);
  const before = first.lockedUntilUtc;
  assert.ok(before && (await receiver.renewMessageLock(first)) >= before);
  assert.equal((await receive(receiver)).deliveryCount, 1);
  await assert.rejects(receiver.completeMessage(first), { code: 'MessageLockLost' });
  await assert.rejects(receiver.renewMessageLock(first), { code: 'MessageLockLost' });
});

test('each of several messages that are settled at once is told its own fate', {
  queues: [{ name: 'q', lockDurationMs: 2_000 }],
}, async ({ client }) => {
  await client.createSender('q').sendMessages([{ body: 'a' }, { body: 'b' }]);
  const receiver = client.createReceiver('q', { maxAutoLockRenewalDurationInMs: 0 });
  const [kept, lost] = [await receive(receiver), await receive(receiver)];
  while (Date.now() <= Number(lost.lockedUntilUtc)) await receiver.renewMessageLock(kept);
  const told = await Promise.allSettled([receiver.completeMessage(kept), receiver.completeMessage(lost)]);
  assert.deepEqual(
    told.map(({ status }) => status),
    ['fulfilled', 'rejected'],
  );
});

test('a subscription drains thousands of messages, each once', async ({ broker, client }) => {
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

test('peeking shows messages and takes none', async ({ broker, client }) => {
  await client.createSender('q').sendMessages([{ body: 'a' }, { body: 'b' }, { body: 'c' }]);
  const receiver = client.createReceiver('q');
  for (const bodies of [['a', 'b'], ['c'], []]) {
    assert.deepEqual(bodiesOf(await receiver.peekMessages(2)), bodies);
  }
  assert.equal(broker.queue('q').count, 3);
});

test('a repeated messageId is dropped and reported as accepted, also after the first was consumed', {
  queues: [{ name: 'q', duplicateDetectionWindowMs: 60_000 }, { name: 'off' }],
}, async ({ broker, client }) => {
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
});

test('a messageId may come again after the window', {
  queues: [{ name: 'q', duplicateDetectionWindowMs: 1 }],
}, async ({ broker, client }) => {
  const sender = client.createSender('q');
  await sender.sendMessages({ body: 1, messageId: 'same' });
  const sentMs = Date.now();
  await waitFor(() => Date.now() > sentMs + 2);
  await sender.sendMessages({ body: 2, messageId: 'same' });
  assert.equal(broker.queue('q').count, 2);
});

test('a queue that requires sessions refuses a message without one', sessions, async ({ broker, client }) => {
  const sender = client.createSender('s');
  await assert.rejects(sender.sendMessages([{ body: 1, sessionId: 'a' }, { body: 2 }]), /requires sessions/);
  assert.equal(broker.queue('s').count, 0);
  await assert.rejects(client.createReceiver('s').receiveMessages(1));
});

test(
  'a session is received in order by one receiver, and by the next when that has closed',
  sessions,
  async ({ client }) => {
    const sender = client.createSender('s');
    await sender.sendMessages(['a1', 'b1', 'a2'].map((body) => ({ body, sessionId: body.slice(0, 1) })));
    const a = await client.acceptSession('s', 'a');
    assert.deepEqual(bodiesOf(await a.receiveMessages(5, { maxWaitTimeInMs: 500 })), ['a1', 'a2']);
    await assert.rejects(client.acceptSession('s', 'a'), { code: 'SessionCannotBeLocked' });
    const next = await client.acceptNextSession('s');
    assert.equal(next.sessionId, 'b');
    assert.ok((await next.renewSessionLock()) > new Date());
    await a.close();
    const { body, deliveryCount } = await receive(await client.acceptNextSession('s'));
    // Closing a session is no failed delivery of what was locked in it.
    assert.deepEqual([body, deliveryCount], ['a1', 0]);
  },
);

test('acceptNextSession waits for a message', sessions, async ({ client }) => {
  const accepted = client.acceptNextSession('s');
  await client.createSender('s').sendMessages({ body: 'late', sessionId: 'x' });
  assert.equal((await accepted).sessionId, 'x');
});
