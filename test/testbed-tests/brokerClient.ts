import type { TestContext } from 'node:test';
import {
  ServiceBusClient as Client,
  type ServiceBusClientOptions,
  type ServiceBusError,
} from '@azure/service-bus';
import { type Broker, type BrokerOptions, startBroker } from '../testbed/broker/broker.ts';

/** A broker and the unmodified SDK's client of it, both ended with the test. */
export interface BrokerAndClient {
  readonly broker: Broker;
  readonly client: Client;
}

/** Starts a broker with the queue `q` (unless others are named) and a client that does not retry unless told to. */
export async function startBrokerAndClient(
  t: TestContext,
  options: BrokerOptions = { queues: [{ name: 'q' }] },
  clientOptions: ServiceBusClientOptions = { retryOptions: { maxRetries: 0, timeoutInMs: 5_000 } },
): Promise<BrokerAndClient> {
  const broker = await startBroker(options);
  const client = new Client(broker.connectionString, clientOptions);
  t.after(async () => {
    await client.close();
    await broker.stop();
  });
  return { broker, client };
}

/** For `assert.rejects`: the SDK's own code for an error. */
export function withCode(code: ServiceBusError['code'] | string): { code: string } {
  return { code };
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
