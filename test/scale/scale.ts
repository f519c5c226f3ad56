/**
 * Measures what many connections cost: `node test/scale/scale.ts [connections] [polls]`, by default 100,000
 * connections in the table and 1,000 idle polls, against Azurite. Prints what docs/scale.md quotes. Bounded:
 * the default takes some minutes on two cores.
 */
import { subscribe } from 'node:diagnostics_channel';
import type { ClientRequest } from 'node:http';
import { type Adapter, createAdapter } from '../../shared/app/adapter.ts';
import { createStorage, type Storage } from '../../shared/app/storage.ts';
import { createScheduler } from '../../shared/schedule/schedulePolls.ts';
import { readSettings } from '../../shared/settings/settings.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import { forEachOf } from '../../shared/wait/parallel.ts';
import { startScriptedServer } from '../mailbox/pop3/scriptedServer.ts';
import { startAzurite } from '../testbed/azurite.ts';
import { openTable } from '../testbed/storage.ts';

const [connections = 100_000, polls = 1_000] = process.argv.slice(2).map(Number);
const customerSize = 1_000;
const pollsInFlight = 24;
const firstDue = Date.UTC(2030, 0, 1);
const minuteMs = 60_000;
/** The rows are due one after the other, within the hour whose first tick reads all of them. */
const dueMinutes = 50;

const quiet: Log = { info() {}, warn: console.warn, error: console.error };
const services = new Map<number, string>();
const requests: Record<string, number> = {};
subscribe('http.client.request.start', (message) => {
  const { request } = message as { request: ClientRequest };
  const service = services.get(Number(new URL(`http://${request.getHeader('host')}`).port));
  if (service !== undefined) requests[service] = (requests[service] ?? 0) + 1;
});

/** Does `work` and prints how long it took, on which CPU time, and with how many requests. */
async function measure(what: string, work: () => Promise<number>): Promise<void> {
  for (const service of Object.keys(requests)) delete requests[service];
  const startedAtMs = performance.now();
  const cpuBefore = process.cpuUsage();
  const done = await work();
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const { user, system } = process.cpuUsage(cpuBefore);
  console.log(
    JSON.stringify({
      what,
      done,
      seconds: round(seconds),
      perSecond: Math.round(done / seconds),
      cpuSeconds: round((user + system) / 1e6),
      requests: { ...requests },
      rssMiB: Math.round(process.memoryUsage().rss / 1_048_576),
    }),
  );
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/** Connection number `index` is due from minute `index % 60` on. */
async function fill(connectionString: string, count: number, port: number): Promise<number> {
  const table = openTable(connectionString, 'EmailConnections');
  await table.createTable();
  const columns = {
    host: '127.0.0.1',
    hostType: 'POP3',
    port,
    useSsl: false,
    username: 'a',
    password: 'b',
    pollingIntervalSeconds: 3_600,
  };
  for (let from = 0; from < count; from += 100) {
    const actions = Array.from({ length: Math.min(100, count - from) }, (_, offset) => {
      const index = from + offset;
      const entity = {
        partitionKey: `customer-${Math.floor(index / customerSize)}`,
        rowKey: `mailbox-${index}`,
        ...columns,
        lastStatus: 'ok',
        nextRunAt: new Date(firstDue + (1 + (index % dueMinutes)) * minuteMs).toISOString(),
      };
      return ['create', entity] as ['create', typeof entity];
    });
    await table.submitTransaction(actions);
  }
  return count;
}

type Env = Readonly<Record<string, string>>;

/** A storage account of its own for `work`, with so many connections to empty mailboxes: a large one slows Azurite down. */
async function withAccount(count: number, work: (env: Env) => Promise<void>): Promise<void> {
  const [azurite, mailbox] = await Promise.all([startAzurite(), startScriptedServer({})]);
  services.clear();
  services.set(azurite.blobPort, 'blob').set(azurite.queuePort, 'queue').set(azurite.tablePort, 'table');
  try {
    await measure('fill the table', () => fill(azurite.connectionString, count, mailbox.port));
    await work({
      AzureWebJobsStorage: azurite.connectionString,
      ServiceBusConnection:
        'Endpoint=sb://localhost;SharedAccessKeyName=a;SharedAccessKey=b;UseDevelopmentEmulator=true',
    });
  } finally {
    await mailbox.stop();
    await azurite.stop();
  }
}

/** Ticks of one process as its timer does them, at times of ours; each gives how many polls it ordered. */
async function startTicks(storage: Storage): Promise<(nowMs: number) => Promise<number>> {
  let ordered = 0;
  let timeMs = 0;
  const tick = createScheduler({
    connections: await storage.connections(),
    orderQueue: async () => {
      const queue = await storage.orderQueue();
      const put: typeof queue.put = async (key) => {
        await queue.put(key);
        ordered += 1;
      };
      return { ...queue, put };
    },
    now: () => new Date(timeMs),
  });
  return async (nowMs) => {
    ordered = 0;
    timeMs = nowMs;
    await tick(quiet);
    return ordered;
  };
}

async function poll(adapter: Adapter): Promise<number> {
  await forEachOf(Array(polls).keys(), pollsInFlight, (index) => {
    const customer = `customer-${Math.floor(index / customerSize)}`;
    return adapter.pollMailbox({ customer, connection: `mailbox-${index}` }, { log: quiet });
  });
  return polls;
}

await withAccount(connections, async (env) => {
  const read = readSettings(env);
  if (!read.ok) throw read.failure;
  const storage = createStorage(read.settings.storage);
  const tick = await startTicks(storage);
  await measure('tick, the first of the hour, none due', () => tick(firstDue));
  await measure('tick, none due', () => tick(firstDue + 1));
  await measure(`tick, one in ${dueMinutes} due`, () => tick(firstDue + minuteMs));
  await measure('tick, all due', () => tick(firstDue + dueMinutes * minuteMs));
});
await withAccount(polls, async (env) => {
  const adapter = createAdapter(env);
  await measure('idle polls, the first of each connection', () => poll(adapter));
  await measure('idle polls', () => poll(adapter));
});
