import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type BrokerOptions, startBroker } from '../testbed/broker/broker.ts';
import { buildDotnet, type DotnetProgram, withoutDotnet } from '../testbed/dotnet.ts';

const project = join(import.meta.dirname, 'dotnet', 'BrokerClient.csproj');
let program: DotnetProgram | undefined;

before(async () => {
  if (withoutDotnet === false) program = await buildDotnet(project, 'BrokerClient');
});

after(() => program?.remove());

const entities: BrokerOptions = {
  queues: [
    { name: 'q' },
    { name: 'short-lock', lockDurationMs: 300 },
    { name: 'sessions', requiresSession: true },
  ],
  topics: [
    {
      name: 'topic',
      subscriptions: [
        { name: 'all' },
        {
          name: 'large',
          rules: [
            { name: 'size', filter: { kind: 'sql', expression: 'size > 1000000 AND customer IS NOT NULL' } },
          ],
        },
        {
          name: 'correlated',
          rules: [
            {
              name: 'acme',
              filter: {
                kind: 'correlation',
                subject: 'body',
                applicationProperties: { customer: 'acme' },
              },
            },
          ],
        },
        { name: 'none', rules: [{ name: 'nothing', filter: { kind: 'false' } }] },
      ],
    },
  ],
};

const scenarios: Readonly<Record<string, string>> = {
  properties: 'a message has everything that its sender set, in its types',
  batches: 'everything in a batch is received, once',
  renew: 'a lock is renewed',
  'lost-lock': 'a lock that ran out is lost, and the message comes again',
  abandon: 'an abandoned message comes again, with the properties given',
  'dead-letter': 'a dead letter has its reason and the properties given, and can be peeked and received',
  defer: 'a deferred message is received by its number only',
  peek: 'peeking shows messages and takes none',
  'parallel-requests': 'many management requests at a time are answered',
  prefetch: 'receivers that prefetch get their messages as soon as they attach',
  'receive-and-delete': 'receive-and-delete takes messages off as they are sent',
  processor: 'a processor gets everything once',
  'ten-deliveries': 'after ten deliveries a message is a dead letter',
  schedule: 'scheduled messages come in time, and can be cancelled',
  session: 'a session is held by one receiver, has a state and its messages in order',
  'session-processor': 'a session processor gets every session in order',
  topic: 'a topic puts messages on the subscriptions whose rules take them',
  rules: 'rules are made, listed and removed',
  idle: 'a client whose links were detached for being idle goes on',
  'unknown-queue': 'an unknown queue is not found',
  transaction: 'a transaction is refused',
};

for (const [scenario, title] of Object.entries(scenarios)) {
  test(`.NET: ${title}`, { skip: withoutDotnet, timeout: 60_000 }, async (t) => {
    const idle = scenario === 'idle' ? { idleLinkMs: 2_000 } : {};
    const broker = await startBroker({ ...entities, ...idle });
    t.after(() => broker.stop());
    await program?.run([scenario, broker.connectionString], 45_000);
  });
}
