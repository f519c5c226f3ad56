/** The broker alone, for a consumer to be tried against. See `helpText` for what it can be told. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Broker, startBroker } from './broker.ts';
import { type Entities, readEmulatorConfig } from './emulatorConfig.ts';
import type { TopicOptions } from './topic.ts';

const defaultPort = '5672';
/** The official emulator's, so that one connection string does for both. It is no secret: only this machine gets in. */
const defaultKey = 'SAS_KEY_VALUE';
const defaultQueue = { name: 'email-inbound', duplicateDetectionWindowMs: 600_000 };

const helpText = `npm run broker                                  a Service Bus with the queue ${defaultQueue.name} on 127.0.0.1:${defaultPort}
npm run broker -- --queue a --queue b           these queues instead; each may be given several times
npm run broker -- --sessions c                  a queue that requires sessions
npm run broker -- --topic t/s                   a topic and its subscription, which takes everything
npm run broker -- --config Config.json          what the file holds, which is the official emulator's
                                                (see samples/emulator/Config.json)
npm run broker -- --port 5673 --key secret      another port; another key for RootManageSharedAccessKey

It keeps everything in memory, listens on this machine only, and stays until it is stopped (Ctrl-C).`;

class WrongUse extends Error {}

try {
  await run();
} catch (error) {
  const sentence = error instanceof Error ? error.message : String(error);
  process.stderr.write(`${sentence}\n`);
  process.exit(error instanceof WrongUse ? 2 : 1);
}

async function run(): Promise<void> {
  const values = read(process.argv.slice(2));
  if (values.help) {
    console.log(helpText);
    return;
  }
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new WrongUse(`${values.port} is no port.`);
  const entities = entitiesOf(values);
  const broker = await start(port, values.key, entities);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => void broker.stop().then(() => process.exit(0)));
  }
  const named = [...entities.queues, ...entities.topics].map(({ name }) => name).join(', ');
  console.log(`Service Bus on 127.0.0.1:${broker.port}, in memory, with ${named}. Ctrl-C stops it.`);
  console.log(`\nServiceBusConnection='${broker.connectionString}'`);
}

async function start(port: number, key: string, entities: Entities): Promise<Broker> {
  try {
    return await startBroker({ port, key, ...entities });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') {
      throw new Error(`Port ${port} is taken. Take another one: npm run broker -- --port ${port + 1}`);
    }
    throw error;
  }
}

function read(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        port: { type: 'string', default: defaultPort },
        key: { type: 'string', default: defaultKey },
        queue: { type: 'string', multiple: true, default: [] },
        sessions: { type: 'string', multiple: true, default: [] },
        topic: { type: 'string', multiple: true, default: [] },
        config: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    throw new WrongUse(`${error instanceof Error ? error.message : error}\n\n${helpText}`);
  }
}

function entitiesOf({ queue, sessions, topic, config }: ReturnType<typeof read>): Entities {
  const fromFile = config === undefined ? { queues: [], topics: [] } : readConfig(config);
  const queues = [
    ...fromFile.queues,
    ...queue.map((name) => ({ ...defaultQueue, name })),
    ...sessions.map((name) => ({ ...defaultQueue, name, requiresSession: true })),
  ];
  const topics = [...fromFile.topics, ...topicsOf(topic)];
  return queues.length + topics.length === 0 ? { queues: [defaultQueue], topics: [] } : { queues, topics };
}

function topicsOf(paths: readonly string[]): TopicOptions[] {
  const subscriptions = new Map<string, { name: string }[]>();
  for (const path of paths) {
    const [name, subscription, ...rest] = path.split('/');
    if (!name || !subscription || rest.length > 0) {
      throw new WrongUse(`--topic takes a topic and a subscription, as in mails/all; it was given ${path}.`);
    }
    subscriptions.set(name, [...(subscriptions.get(name) ?? []), { name: subscription }]);
  }
  return [...subscriptions].map(([name, of]) => ({ name, subscriptions: of }));
}

function readConfig(file: string): Entities {
  try {
    return readEmulatorConfig(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new WrongUse(`${file} can't be used. ${error instanceof Error ? error.message : error}`);
  }
}
