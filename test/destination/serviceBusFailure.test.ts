import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';
import { toDeliveryProblem } from '../../shared/destination/serviceBusFailure.ts';
import type { FailureReason } from '../../shared/failure/failure.ts';
import { IdentityFailure } from '../../shared/storage/storageFailure.ts';
import { startBroker } from '../testbed/broker/broker.ts';
import { type BrokerFaults, noFaults } from '../testbed/broker/faults.ts';
import { startProxy } from '../testbed/proxy.ts';
import { shortenSdkTimers } from './sdkTimers.ts';
import { bytesOf, destinationsFor, failureOf, mayWrite, messageOf, quickRetry } from './support.ts';

shortenSdkTimers();
const broker = await startBroker({ queues: [{ name: 'orders' }] });
const silent = await startProxy({ targetHost: '127.0.0.1', targetPort: broker.port });
silent.silenceNew(true);
after(async () => {
  await silent.stop();
  await broker.stop();
});
afterEach(() => {
  Object.assign(broker.faults, noFaults());
});

/** How an attempt fails: in these words, after so many milliseconds at the least and at the most. */
interface Outcome {
  readonly reason: FailureReason;
  /** At `localhost:port`. */
  readonly sentence: (host: string) => string;
  readonly ms: readonly [number, number];
}

const atOnce = [0, 1_000] as const;
const orders = (host: string) => `Service Bus queue orders in namespace ${host}`;
const noAnswer = (host: string) =>
  `${orders(host)} did not answer in time. Check the namespace's health and the network; the app tries again by itself.`;
const disabled = (host: string) => `${orders(host)} is disabled for sending. Set its status to Active.`;

async function assertFails(attempt: Promise<unknown>, outcome: Outcome, host: string): Promise<void> {
  const startedMs = performance.now();
  const { reason, message } = await failureOf(attempt);
  const tookMs = performance.now() - startedMs;
  // DNS that is away says so in other words.
  const sentence = message.replace('EAI_AGAIN', 'ENOTFOUND');
  assert.deepEqual([reason, sentence], [outcome.reason, outcome.sentence(host)]);
  const [least, most] = outcome.ms;
  assert.ok(tookMs >= least && tookMs <= most, `${tookMs} ms`);
}

interface Opening extends Outcome {
  readonly what: string;
  /** The connection string, where it is not the broker's own. */
  readonly at?: (connectionString: string) => string;
  readonly host?: () => string;
  readonly queueName?: string;
  readonly fault?: Partial<BrokerFaults>;
}

const openings: readonly Opening[] = [
  {
    what: 'a queue that does not exist is named at once, without retries',
    queueName: 'nowhere',
    reason: 'queue',
    sentence: (host) =>
      `Service Bus queue nowhere doesn't exist in namespace ${host}. Create it or correct queueName.`,
    ms: atOnce,
  },
  {
    what: 'a wrong key is refused at once, and not quoted',
    at: (connectionString) => connectionString.replace(/SharedAccessKey=[^;]+/, 'SharedAccessKey=d3Jvbmc='),
    reason: 'queue',
    sentence: (host) =>
      `${orders(host)} refused access. Check the key in ServiceBusConnection, or give the app's identity the role Azure Service Bus Data Sender.`,
    ms: atOnce,
  },
  {
    what: 'a connection string for another queue is told apart from a missing queue',
    at: (connectionString) => `${connectionString};EntityPath=other`,
    reason: 'queue',
    sentence: () =>
      'ServiceBusConnection is for another queue than orders (EntityPath). Take a connection string of the namespace, or correct queueName.',
    ms: atOnce,
  },
  {
    what: 'a disabled queue is named at once when it is opened',
    fault: { entityDisabled: true },
    reason: 'queue',
    sentence: disabled,
    ms: atOnce,
  },
  {
    what: 'a namespace that refuses the connection is tried again until the time to open is over',
    at: (connectionString) => connectionString.replace(/:\d+;/, ':1;'),
    host: () => 'localhost:1',
    reason: 'delivery',
    sentence: (host) =>
      `Service Bus namespace ${host} refused the connection (ECONNREFUSED). Check ServiceBusConnection and the network.`,
    ms: [quickRetry.openTotalMs / 2, quickRetry.openTotalMs + 500],
  },
  {
    what: 'a namespace that DNS does not know is named',
    at: (connectionString) => connectionString.replace('localhost', 'nowhere.invalid'),
    host: () => `nowhere.invalid:${broker.port}`,
    reason: 'delivery',
    sentence: (host) =>
      `Service Bus namespace ${host} was not found in DNS (ENOTFOUND). Check ServiceBusConnection.`,
    ms: [0, Number.POSITIVE_INFINITY],
  },
  {
    what: 'a namespace that takes the connection and says nothing ends in time',
    at: () => broker.connectionStringFor(silent.port),
    host: () => `localhost:${silent.port}`,
    reason: 'delivery',
    sentence: noAnswer,
    ms: [0, quickRetry.openTotalMs + 500],
  },
  ...(['silentCredentials', 'silentAttach'] as const).map((fault) => ({
    what: `a broker that stalls while opening (${fault}) ends in time`,
    fault: { [fault]: true },
    reason: 'delivery' as const,
    sentence: noAnswer,
    ms: [0, quickRetry.openTotalMs + 500] as const,
  })),
  ...['', 'hello', 'Endpoint=sb://x/', 'SharedAccessKeyName=a;SharedAccessKey=c2VjcmV0'].map((text) => ({
    what: `a setting that is no connection string is named and not quoted: '${text}'`,
    at: () => text,
    reason: 'setting' as const,
    sentence: () =>
      'The app setting ServiceBusConnection is not a Service Bus connection string. Copy it from the namespace (Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…).',
    ms: atOnce,
  })),
];

for (const { what, at, host, queueName = 'orders', fault = {}, ...outcome } of openings) {
  test(what, async (t) => {
    Object.assign(broker.faults, fault);
    const { connectionString, port } = broker;
    const destinations = destinationsFor(at?.(connectionString) ?? connectionString);
    t.after(() => destinations.close());
    await assertFails(destinations.open(queueName), outcome, host?.() ?? `localhost:${port}`);
  });
}

const sends: readonly (Outcome & { readonly what: string; readonly fault: Partial<BrokerFaults> })[] = [
  {
    what: 'a disabled queue is named at once when it is sent to',
    fault: { entityDisabled: true },
    reason: 'queue',
    sentence: disabled,
    ms: atOnce,
  },
  {
    what: 'a full queue is named at once',
    fault: { quotaExceeded: true },
    reason: 'delivery',
    sentence: (host) =>
      `${orders(host)} is full (QuotaExceeded). Let its consumers catch up or raise its maximum size.`,
    ms: atOnce,
  },
  {
    what: 'throttling that does not end is named after the endpoint retry',
    fault: { serverBusyTransfers: 1_000 },
    reason: 'delivery',
    sentence: (host) =>
      `${orders(host)} is throttling (ServiceBusy). Raise the namespace's tier or its messaging units, or poll less at once.`,
    ms: [quickRetry.sendTotalMs / 2, quickRetry.sendTotalMs + 500],
  },
];

for (const { what, fault, ...outcome } of sends) {
  test(what, async (t) => {
    const destinations = destinationsFor(broker.connectionString);
    t.after(() => destinations.close());
    const sender = await destinations.open('orders');
    Object.assign(broker.faults, fault);
    const sending = sender.send(messageOf(bytesOf(10)), mayWrite);
    await assertFails(sending, outcome, `localhost:${broker.port}`);
  });
}

const queue = { queueName: 'orders', namespace: 'ns.example' };
const coded = (code: string, text = 'text') => Object.assign(new Error(text), { code });

/** Errors as the SDK throws them, with code and text as Service Bus gives them, and what they mean. */
const errors: readonly (readonly [what: string, error: unknown, meaning: string, sentence: string])[] = [
  [
    'a full queue',
    coded(
      'QuotaExceeded',
      'The maximum entity size has been reached or exceeded for Queue: ORDERS. Size of entity in bytes:1073742326, Max entity size in bytes: 1073741824.',
    ),
    'delivery no queue',
    'Service Bus queue orders in namespace ns.example is full (QuotaExceeded). Let its consumers catch up or raise its maximum size.',
  ],
  [
    'too many links',
    coded('QuotaExceeded', 'Cannot allocate more handles. The maximum number of handles is 4999.'),
    'delivery reconnect queue',
    'Service Bus queue orders in namespace ns.example takes no further link (QuotaExceeded). Look who else holds links to it; the app tries again by itself.',
  ],
  [
    'too many connections',
    coded('QuotaExceeded', 'ConnectionsQuotaExceeded for namespace ns. TrackingId:1_G47'),
    'delivery reconnect queue',
    "Service Bus namespace ns.example takes no further connection (QuotaExceeded). Look who else is connected, or lower the app's maximum number of instances; the app tries again by itself.",
  ],
  [
    'a key without the claim',
    coded(
      'UnauthorizedAccess',
      "Unauthorized access. 'Send' claim(s) are required to perform this operation. Resource: 'sb://ns.example/orders'. TrackingId:1",
    ),
    'queue no queue',
    "Service Bus queue orders in namespace ns.example refused access. Check the key in ServiceBusConnection, or give the app's identity the role Azure Service Bus Data Sender.",
  ],
  [
    'the firewall',
    coded(
      'UnauthorizedAccess',
      'Ip has been prevented to connect to the endpoint. TrackingId:1_G1, SystemTracker:NoSystemTracker',
    ),
    'queue no queue',
    "Service Bus namespace ns.example refuses the app's IP address. Let its outbound addresses through the namespace's firewall (Networking), or connect the app to its virtual network.",
  ],
  [
    'an identity that gets no token, which is not one that is refused',
    new IdentityFailure('No token for the identity id-1: the identity endpoint is throttling (HTTP 429).'),
    'token reconnect queue',
    'Service Bus namespace ns.example could not be used. No token for the identity id-1: the identity endpoint is throttling (HTTP 429).',
  ],
  [
    'the errors of all tries, as the SDK bundles them, by their last',
    new AggregateError([coded('ServiceTimeout'), new AggregateError([coded('MessagingEntityDisabled')])]),
    'queue no queue',
    disabled('ns.example'),
  ],
  [
    'an error that nobody foresaw, by its code',
    coded('GeneralError', 'SharedAccessKey=secret and a mail'),
    'delivery retry message',
    'Service Bus queue orders in namespace ns.example took no message (GeneralError).',
  ],
  [
    'an error that the SDK has no code for, by the name that it puts in front',
    coded('GeneralError', 'InternalServerError: a mail'),
    'delivery retry message',
    'Service Bus queue orders in namespace ns.example took no message (InternalServerError).',
  ],
  [
    'a link that is given no credit, which no message is at fault for',
    coded(
      'GeneralError',
      'SenderBusyError: [connection-1] Sender "orders" cannot send the message right now.',
    ),
    'delivery retry queue',
    "Service Bus queue orders in namespace ns.example is throttling (SenderBusyError). Raise the namespace's tier or its messaging units, or poll less at once.",
  ],
  [
    'what is no error',
    'oops',
    'delivery retry message',
    'Service Bus queue orders in namespace ns.example took no message (unknown error).',
  ],
];

for (const [what, error, meaning, sentence] of errors) {
  test(`${what}: named as what it is, without its text`, () => {
    const { failure, retry, scope } = toDeliveryProblem(error, queue);
    assert.deepEqual([`${failure.reason} ${retry} ${scope}`, failure.message], [meaning, sentence]);
  });
}
