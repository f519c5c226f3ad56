import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ServiceBusClient,
  type ServiceBusClientOptions,
  type ServiceBusReceivedMessage,
  type ServiceBusReceiver,
} from '@azure/service-bus';
import { type Broker, type BrokerOptions, startBroker } from '../testbed/broker/broker.ts';

export interface BrokerTestOptions extends BrokerOptions {
  /** Of the client; it does not retry unless told to. */
  readonly retryOptions?: ServiceBusClientOptions['retryOptions'];
}

type BrokerTest = (ends: { readonly broker: Broker; readonly client: ServiceBusClient }) => Promise<void>;

/** A test of a broker, with the queue `q` unless others are named, by the unmodified SDK's client. */
export function brokerTest(
  name: string,
  ...given: readonly [body: BrokerTest] | readonly [options: BrokerTestOptions, body: BrokerTest]
): void {
  const [options, body] = given.length === 1 ? [{}, given[0]] : given;
  const { retryOptions = { maxRetries: 0, timeoutInMs: 5_000 }, ...ofBroker }: BrokerTestOptions = options;
  test(name, { timeout: 30_000 }, async (t) => {
    const isNamed = ofBroker.queues !== undefined || ofBroker.topics !== undefined;
    const broker = await startBroker({ ...(isNamed ? {} : { queues: [{ name: 'q' }] }), ...ofBroker });
    const client = new ServiceBusClient(broker.connectionString, { retryOptions });
    t.after(async () => {
      await client.close();
      await broker.stop();
    });
    await body({ broker, client });
  });
}

/** For tests of a queue `s` that requires sessions. */
export const sessions = { queues: [{ name: 's', requiresSession: true }] };

export async function receive(receiver: ServiceBusReceiver): Promise<ServiceBusReceivedMessage> {
  const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 5_000 });
  assert.ok(message);
  return message;
}

export function bodiesOf<Body>(messages: readonly { readonly body: Body }[]): Body[] {
  return messages.map(({ body }) => body);
}

const waitLimitMs = 20_000;

/** Waits until something holds; rejects after 20 s, so that a failed test leaves nothing that runs on. */
export async function waitFor(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + waitLimitMs;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`This did not come to hold: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
