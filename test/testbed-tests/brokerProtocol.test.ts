import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { type TestContext, test } from 'node:test';
import rhea, { type Connection, type EventContext, type Message, type Receiver, type Typed } from 'rhea';
import { entryOf, plain, typedValues } from '../testbed/broker/amqpValues.ts';
import { type Broker, startBroker } from '../testbed/broker/broker.ts';
import { sectionsOf } from '../testbed/broker/wireMessage.ts';
import { waitFor } from './brokerTest.ts';

/* What clients of any language see on the wire, asked by a bare AMQP client. */

const deadline = { timeout: 30_000 };
const key = 'a key of the tests';

/** AMQP 1.0, 1.6: the type codes of what is asserted here. */
const types = {
  int: ['Int', 'SmallInt'],
  long: ['Long', 'SmallLong'],
  symbol: ['Sym8', 'Sym32'],
  timestampArray: ['Array32', 'Array8'],
} as const;

function assertType(value: Typed | undefined, type: keyof typeof types): void {
  assert.ok(value);
  const names: readonly string[] = types[type];
  assert.ok(names.includes(value.type.name), `${value.type.name} is none of ${names}`);
}

/** A broker, and a connection to it that a token for `resource` was given to. */
async function open(t: TestContext, resource = '/'): Promise<{ broker: Broker; connection: Connection }> {
  const broker = await startBroker({
    key,
    queues: [{ name: 'q' }],
    topics: [{ name: 'topic', subscriptions: [{ name: 'sub' }] }],
  });
  t.after(() => broker.stop());
  const container = rhea.create_container();
  for (const event of ['error', 'disconnected', 'connection_error', 'session_error'])
    container.on(event, () => {});
  const connection = container.connect({ host: '127.0.0.1', port: broker.port, reconnect: false });
  t.after(() => connection.close());
  await once(connection, 'connection_open');
  await authorise(connection, resource);
  return { broker, connection };
}

/** A SharedAccessSignature for a path of the namespace, as the SDKs make them. */
function tokenFor(path: string, validSeconds: number): string {
  const sr = encodeURIComponent(`amqps://localhost${path}`);
  const se = Math.floor(Date.now() / 1_000) + validSeconds;
  const sig = encodeURIComponent(createHmac('sha256', key).update(`${sr}\n${se}`).digest('base64'));
  return `SharedAccessSignature sr=${sr}&sig=${sig}&se=${se}&skn=RootManageSharedAccessKey`;
}

let requests = 0;

/** Sends a request to a node and answers the undecoded answer. */
async function ask(connection: Connection, node: string, request: Partial<Message>): Promise<Buffer> {
  const replyTo = `reply-${++requests}`;
  const receiver = connection.open_receiver({ source: node, target: replyTo, name: replyTo });
  const raw = takeRaw(receiver);
  const sender = connection.open_sender({ target: node });
  await once(sender, 'sendable');
  sender.send({ message_id: replyTo, reply_to: replyTo, body: undefined, ...request });
  const answer = await raw;
  receiver.close();
  sender.close();
  return answer;
}

async function sendTo(connection: Connection, queue: string): Promise<void> {
  const sender = connection.open_sender(queue);
  await once(sender, 'sendable');
  sender.send({ body: 'x', message_id: 'x' });
  await once(sender, 'accepted');
}

/** The next message that comes, as its bytes: rhea hands one over undecoded when it has a format of its own. */
function takeRaw(receiver: Receiver): Promise<Buffer> {
  const { session } = receiver as unknown as { session: { on_transfer(frame: unknown): void } };
  const original = session.on_transfer.bind(session);
  session.on_transfer = (frame) => {
    (frame as { performative: { message_format: number } }).performative.message_format = 1;
    original(frame);
  };
  return new Promise((resolve) => {
    receiver.once('message', (context: EventContext) => {
      session.on_transfer = original;
      resolve(context.message as unknown as Buffer);
    });
  });
}

async function authorise(connection: Connection, path: string, validSeconds = 600): Promise<Buffer> {
  return await ask(connection, '$cbs', {
    application_properties: { operation: 'put-token', type: 'servicebus.windows.net:sastoken', name: path },
    body: tokenFor(path, validSeconds),
  });
}

/** A section of an encoded message by its descriptor. */
function section(raw: Buffer, code: number): Typed {
  const found = [...sectionsOf(raw)].find((each) => each.code === code);
  assert.ok(found, `The message has no section ${code}.`);
  return found.value;
}

const applicationProperties = 0x74;
const amqpValue = 0x77;
const messageAnnotations = 0x72;

test('SASL MSSBCBS is offered beside ANONYMOUS, and taken', deadline, async (t) => {
  const { broker } = await open(t);
  const socket = connectTcp(broker.port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.write(Buffer.from([0x41, 0x4d, 0x51, 0x50, 3, 1, 0, 0]));
  let seen = Buffer.alloc(0);
  socket.on('data', (bytes: Buffer) => {
    seen = Buffer.concat([seen, bytes]);
  });
  await waitFor(() => seen.includes('MSSBCBS') && seen.includes('ANONYMOUS'));
  // AMQP 1.0, 5.3.3.2: sasl-init with the mechanism; 5.3.3.6: the outcome is 0x44.
  const init = Buffer.from([0, 0x53, 0x41, 0xc0, 10, 1, 0xa3, 7, ...Buffer.from('MSSBCBS')]);
  const before = seen.length;
  socket.write(Buffer.concat([Buffer.from([0, 0, 0, 8 + init.length, 2, 1, 0, 0]), init]));
  await waitFor(() => seen.length > before);
  assert.deepEqual([...seen.subarray(before + 8, before + 11)], [0, 0x53, 0x44]);
  const [outcome] = typedValues(seen.subarray(before + 8));
  const [, , code] = (plain(outcome?.value) as unknown[] | undefined) ?? [];
  assert.equal(code ?? 0, 0);
});

test('the status is an int, by both names, and an error a symbol', deadline, async (t) => {
  const { connection } = await open(t);
  const accepted = section(await authorise(connection, '/q'), applicationProperties);
  assertType(entryOf(accepted, 'status-code'), 'int');
  assert.equal(plain(entryOf(accepted, 'status-code')), 202);
  const expired = section(await authorise(connection, '/q', -1), applicationProperties);
  assert.equal(plain(entryOf(expired, 'status-code')), 401);
  const unknown = await ask(connection, 'q/$management', {
    application_properties: { operation: 'com.microsoft:not-yet-known' },
    body: {},
  });
  const properties = section(unknown, applicationProperties);
  assertType(entryOf(properties, 'statusCode'), 'int');
  assert.equal(plain(entryOf(properties, 'statusCode')), 501);
  assertType(entryOf(properties, 'errorCondition'), 'symbol');
  assert.equal(plain(entryOf(properties, 'errorCondition')), 'amqp:not-implemented');
});

test('a request that makes no sense is answered', deadline, async (t) => {
  const { connection } = await open(t);
  const operations = [
    'com.microsoft:renew-lock',
    'com.microsoft:peek-message',
    'com.microsoft:schedule-message',
  ];
  for (const node of ['q/$management', 'topic/$management', 'topic/Subscriptions/sub/$management']) {
    for (const operation of [...operations, 'com.microsoft:add-rule', undefined]) {
      const answer = await ask(connection, node, {
        application_properties: operation === undefined ? {} : { operation },
        body: 'no map',
      });
      assertType(entryOf(section(answer, applicationProperties), 'statusCode'), 'int');
    }
  }
});

test('a token for the namespace opens every entity, one for a queue only that', deadline, async (t) => {
  const { connection } = await open(t, '/q');
  const refused = connection.open_sender('topic');
  await once(refused, 'sender_close');
  assert.equal((refused.error as { condition?: string }).condition, 'amqp:unauthorized-access');
  await authorise(connection, '/');
  for (const address of ['q', 'topic', 'topic/$management', 'q/$DeadLetterQueue/$management']) {
    await once(connection.open_sender(address), 'sendable');
  }
  await once(connection.open_receiver('topic/Subscriptions/sub/$DeadLetterQueue'), 'receiver_open');
});

test('service links take the settle mode that the client asks for', deadline, async (t) => {
  const { connection } = await open(t);
  for (const snd_settle_mode of [0, 1] as const) {
    const receiver = connection.open_receiver({ source: 'q/$management', snd_settle_mode });
    await once(receiver, 'receiver_open');
    assert.equal(receiver.snd_settle_mode, snd_settle_mode);
    const sender = connection.open_sender({ target: 'q/$management', snd_settle_mode });
    await once(sender, 'sender_open');
    assert.equal(sender.snd_settle_mode, snd_settle_mode);
  }
});

test('numbers and times that a client gets have the types of the service', deadline, async (t) => {
  const { connection } = await open(t);
  await sendTo(connection, 'q');
  const receiver = connection.open_receiver({ source: 'q', autoaccept: false });
  const delivery = new Promise<EventContext>((resolve) => receiver.once('message', resolve));
  const raw = takeRaw(receiver);
  const annotations = section(await raw, messageAnnotations);
  assertType(entryOf(annotations, 'x-opt-sequence-number'), 'long');
  assertType(entryOf(annotations, 'x-opt-message-state'), 'int');
  const { tag } = (await delivery).delivery ?? {};
  assert.ok(Buffer.isBuffer(tag));
  const { types: amqp } = rhea;
  const flipped = Buffer.from([...[3, 2, 1, 0, 5, 4, 7, 6].map((at) => tag[at] ?? 0), ...tag.subarray(8)]);
  const renewed = await ask(connection, 'q/$management', {
    application_properties: { operation: 'com.microsoft:renew-lock' },
    body: { 'lock-tokens': amqp.wrap_array([flipped], 0x98, undefined) },
  });
  const expirations = entryOf(section(renewed, amqpValue), 'expirations');
  assertType(expirations, 'timestampArray');
  assert.equal(expirations?.array_constructor?.typecode, 0x83);
});

test('a released message comes again as if it had not been delivered', deadline, async (t) => {
  const { broker, connection } = await open(t);
  await sendTo(connection, 'q');
  const counts: unknown[] = [];
  const receiver = connection.open_receiver({ source: 'q', autoaccept: false });
  receiver.on('message', ({ message, delivery }: EventContext) => {
    counts.push(message?.delivery_count);
    if (counts.length <= 2) delivery?.release();
    else if (counts.length <= 4) delivery?.release({ delivery_failed: true });
    else delivery?.accept();
  });
  await waitFor(() => counts.length === 5 && broker.queue('q').count === 0);
  assert.deepEqual(counts, [0, 0, 0, 1, 2]);
});

test('no transfer goes out before the attach, though the credit came with it', deadline, async (t) => {
  const { connection } = await open(t);
  await sendTo(connection, 'q');
  const receiver = connection.open_receiver({ source: 'q', credit_window: 0 });
  const frames: string[] = [];
  const { session } = receiver as unknown as {
    session: { on_attach(frame: unknown): void; on_transfer(frame: unknown): void };
  };
  for (const name of ['on_attach', 'on_transfer'] as const) {
    const original = session[name].bind(session);
    session[name] = (frame) => {
      frames.push(name);
      // rhea can't take a transfer on a link that is not attached.
      if (name === 'on_attach' || frames.includes('on_attach')) original(frame);
    };
  }
  receiver.add_credit(1);
  await waitFor(() => frames.length === 2);
  assert.deepEqual(frames, ['on_attach', 'on_transfer']);
});

test('what comes behind the end of its session does no harm to the others', deadline, async (t) => {
  const { connection } = await open(t);
  const session = connection.create_session();
  session.begin();
  const sender = session.open_sender('q');
  await once(sender, 'sendable');
  session.close();
  await once(session, 'session_close');
  // As the .NET SDK does now and then.
  const { local } = sender as unknown as { local: { detach: unknown } };
  const { output } = session as unknown as { output(frame: unknown): void };
  output.call(session, local.detach);
  await sendTo(connection, 'q');
});
