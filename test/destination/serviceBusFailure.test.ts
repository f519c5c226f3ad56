import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { toDeliveryProblem } from '../../shared/destination/serviceBusFailure.ts';
import { type Broker, startBroker } from '../testbed/broker/broker.ts';
import { noFaults } from '../testbed/broker/faults.ts';
import { bytesOf, destinationsFor, failureOf, mayWrite, messageOf, quickRetry } from './support.ts';

let broker: Broker;

before(async () => {
  broker = await startBroker({ queues: [{ name: 'orders' }] });
});

after(async () => {
  await broker.stop();
});

afterEach(() => {
  Object.assign(broker.faults, noFaults());
});

const key = () => /SharedAccessKey=([^;]+)/.exec(broker.connectionString)?.[1] ?? '';

async function openFailure(connectionString: string, queueName = 'orders') {
  const destinations = destinationsFor(connectionString);
  const startedAt = Date.now();
  const failure = await failureOf(destinations.open(queueName));
  assert.equal(failure.message.includes(key()), false);
  const tookMs = Date.now() - startedAt;
  await destinations.close();
  return { ...failure, message: failure.message, tookMs };
}

async function sendFailure(prepare: () => void) {
  const destinations = destinationsFor(broker.connectionString);
  try {
    const sender = await destinations.open('orders');
    prepare();
    const startedAt = Date.now();
    const failure = await failureOf(sender.send(messageOf(bytesOf(10)), mayWrite));
    return { reason: failure.reason, message: failure.message, tookMs: Date.now() - startedAt };
  } finally {
    await destinations.close();
  }
}

test('a queue that does not exist is named at once, without retries', async () => {
  const { reason, message, tookMs } = await openFailure(broker.connectionString, 'nowhere');
  assert.equal(reason, 'queue');
  assert.equal(
    message,
    `Service Bus queue nowhere doesn't exist in namespace localhost:${broker.port}. Create it or correct queueName.`,
  );
  assert.ok(tookMs < 1_000, `${tookMs} ms`);
});

test('a wrong key is refused at once, and not quoted', async () => {
  const { reason, message, tookMs } = await openFailure(
    broker.connectionString.replace(/SharedAccessKey=[^;]+/, 'SharedAccessKey=d3Jvbmc='),
  );
  assert.equal(reason, 'queue');
  assert.equal(
    message,
    `Service Bus queue orders in namespace localhost:${broker.port} refused access. Check the key in ServiceBusConnection, or give the app's identity the role Azure Service Bus Data Sender.`,
  );
  assert.ok(tookMs < 1_000, `${tookMs} ms`);
});

test('a namespace that refuses the connection is tried again until the time to open is over', async () => {
  const { reason, message, tookMs } = await openFailure(broker.connectionString.replace(/:\d+;/, ':1;'));
  assert.equal(reason, 'delivery');
  assert.equal(
    message,
    'Service Bus namespace localhost:1 refused the connection (ECONNREFUSED). Check ServiceBusConnection and the network.',
  );
  assert.ok(tookMs >= quickRetry.openTotalMs / 2 && tookMs <= quickRetry.openTotalMs + 500, `${tookMs} ms`);
});

test('a namespace that DNS does not know is named', async () => {
  const { reason, message } = await openFailure(
    broker.connectionString.replace('localhost', 'nowhere.invalid'),
  );
  assert.equal(reason, 'delivery');
  assert.match(
    message,
    /^Service Bus namespace nowhere\.invalid:\d+ was not found in DNS \((ENOTFOUND|EAI_AGAIN)\)\. Check ServiceBusConnection\.$/,
  );
});

test('a namespace that takes the connection and says nothing ends in time', async () => {
  const silent = await listenSilently();
  try {
    const { reason, message, tookMs } = await openFailure(
      broker.connectionString.replace(/:\d+;/, `:${silent.port};`),
    );
    assert.equal(reason, 'delivery');
    assert.equal(
      message,
      `Service Bus queue orders in namespace localhost:${silent.port} did not answer in time. Check the namespace's health and the network; the app tries again by itself.`,
    );
    assert.ok(tookMs <= quickRetry.openTotalMs + 500, `${tookMs} ms`);
  } finally {
    await silent.stop();
  }
});

for (const fault of ['silentCredentials', 'silentAttach'] as const) {
  test(`a broker that stalls while opening (${fault}) ends in time`, async () => {
    broker.faults[fault] = true;
    const { message, tookMs } = await openFailure(broker.connectionString);
    assert.match(message, /did not answer in time/);
    assert.ok(tookMs <= quickRetry.openTotalMs + 500, `${tookMs} ms`);
  });
}

for (const connectionString of [
  '',
  'hello',
  'Endpoint=sb://x/',
  'SharedAccessKeyName=a;SharedAccessKey=c2VjcmV0',
]) {
  test(`a setting that is no connection string is named and not quoted: '${connectionString}'`, async () => {
    const failure = await failureOf(destinationsFor(connectionString).open('orders'));
    assert.equal(failure.reason, 'setting');
    assert.match(
      failure.message,
      /^The app setting ServiceBusConnection is not a Service Bus connection string\./,
    );
    assert.equal(failure.message.includes('c2VjcmV0'), false);
  });
}

test('an identity that gets no token is told apart from one that is refused', () => {
  const error = Object.assign(new Error('secret'), { name: 'CredentialUnavailableError' });
  const { failure, retry } = toDeliveryProblem(error, { queueName: 'orders', namespace: 'ns' });
  assert.deepEqual([failure.reason, retry], ['token', 'reconnect']);
  assert.equal(
    failure.message,
    "The app's identity got no token for Service Bus namespace ns (CredentialUnavailableError). Check that the identity is assigned, and ServiceBusConnection__clientId where it is a user-assigned one.",
  );
});

test('a connection string for another queue is told apart from a missing queue', async () => {
  const { reason, message } = await openFailure(`${broker.connectionString};EntityPath=other`);
  assert.equal(reason, 'queue');
  assert.match(message, /^ServiceBusConnection is for another queue than orders \(EntityPath\)\./);
});

test('a disabled queue is named at once, when opened and when sent to', async () => {
  const sentence = `Service Bus queue orders in namespace localhost:${broker.port} is disabled for sending. Set its status to Active.`;
  const sent = await sendFailure(() => {
    broker.faults.entityDisabled = true;
  });
  assert.deepEqual([sent.reason, sent.message], ['queue', sentence]);
  const opened = await openFailure(broker.connectionString);
  assert.deepEqual([opened.reason, opened.message], ['queue', sentence]);
});

test('a full queue is named at once', async () => {
  const { reason, message, tookMs } = await sendFailure(() => {
    broker.faults.quotaExceeded = true;
  });
  assert.equal(reason, 'delivery');
  assert.equal(
    message,
    `Service Bus queue orders in namespace localhost:${broker.port} is full (QuotaExceeded). Let its consumers catch up or raise its maximum size.`,
  );
  assert.ok(tookMs < 1_000, `${tookMs} ms`);
});

test('throttling that does not end is named after the endpoint retry', async () => {
  const { reason, message, tookMs } = await sendFailure(() => {
    broker.faults.serverBusyTransfers = 1_000;
  });
  assert.equal(reason, 'delivery');
  assert.equal(
    message,
    `Service Bus queue orders in namespace localhost:${broker.port} is throttling (ServiceBusy). Raise the namespace's tier or its messaging units, or poll less at once.`,
  );
  assert.ok(tookMs >= quickRetry.sendTotalMs / 2 && tookMs <= quickRetry.sendTotalMs + 500, `${tookMs} ms`);
});

test('the errors of all tries, as the SDK bundles them, are read by their last', () => {
  const code = (value: string) => Object.assign(new Error('text'), { code: value });
  const queue = { queueName: 'orders', namespace: 'ns' };
  const { failure, retry } = toDeliveryProblem(
    new AggregateError([code('ServiceTimeout'), new AggregateError([code('QuotaExceeded')])]),
    queue,
  );
  assert.match(failure.message, /is full/);
  assert.equal(retry, 'no');
});

test('an error nobody foresaw gives its code and never its text', () => {
  const error = Object.assign(new Error('SharedAccessKey=secret and a mail'), { code: 'GeneralError' });
  const { failure, retry, scope } = toDeliveryProblem(error, { queueName: 'orders', namespace: 'ns' });
  assert.equal(failure.message, 'Service Bus queue orders in namespace ns took no message (GeneralError).');
  assert.deepEqual([retry, scope], ['reconnect', 'message']);
  assert.match(
    toDeliveryProblem('oops', { queueName: 'q', namespace: 'ns' }).failure.message,
    /unknown error/,
  );
});

async function listenSilently(): Promise<{ port: number; stop: () => Promise<void> }> {
  const sockets = new Set<{ destroy(): void }>();
  const server: Server = createServer((socket) => sockets.add(socket.on('error', () => {})));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
