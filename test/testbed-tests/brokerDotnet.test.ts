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
  queues: [{ name: 'q' }, { name: 'sessions', requiresSession: true }],
  topics: [{ name: 'topic', subscriptions: [{ name: 'all' }] }],
};

const scenarios: Readonly<Record<string, string>> = {
  properties: 'a message has everything that its sender set, in its types',
  batches: 'everything in a batch is received, once',
  'dead-letter': 'a dead letter has its reason and the properties given, and can be peeked and received',
  defer: 'a deferred message is received by its number only',
  'parallel-requests': 'many management requests at a time are answered',
  prefetch: 'receivers that prefetch get their messages as soon as they attach',
  processor: 'a processor gets everything once',
  schedule: 'scheduled messages come in time, and can be cancelled',
  session: 'a session is held by one receiver, has a state and its messages in order',
  'session-processor': 'a session processor gets every session in order',
  rules: 'rules are made, listed and removed',
  idle: 'a client whose links were detached for being idle goes on',
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
