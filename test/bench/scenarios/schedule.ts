import type { TableClient, TransactionAction } from '@azure/data-tables';
import { QueueClient } from '@azure/storage-queue';
import { openTable } from '../../testbed/storage.ts';
import { startAppHost } from '../bed.ts';
import { atMost, ratioFigure, type ScenarioResult, times } from '../figures.ts';
import { startParts } from '../parts.ts';
import { buildBareApp } from './bareApps.ts';
import { type Context, inMs } from './context.ts';

const connectionsPerCustomer = 500;

/** One tick over many connections, of which some are due, with storage 5 ms away; against the bare SDK's work. */
export async function measureSchedule({ options, say }: Context): Promise<ScenarioResult> {
  const { connections, dueConnections } = options.sizes;
  const main = await buildBareApp('bareSchedule');
  const parts = await startParts({
    users: [],
    messageLimitBytes: options.messageLimitBytes,
    distances: { mailRttMs: 0, cloudRttMs: 5 },
    handshake: options.handshake,
  });
  try {
    const { connectionString } = parts.azurite;
    const table = openTable(connectionString, 'EmailConnections');
    const queue = new QueueClient(connectionString, 'email-polls');
    await Promise.all([table.createTable(), queue.create()]);
    const due = await fillTable(table, connections, dueConnections);
    const [ours, bare] = await Promise.all([
      startAppHost(parts, { name: 'schedule', profile: options.profile, main: options.main }),
      startAppHost(parts, { name: 'bare-schedule', main }),
    ]);
    const samples: Record<'ours' | 'bare', number[]> = { ours: [], bare: [] };
    for (let round = 0; round <= options.rounds; round += 1) {
      for (const [name, host] of Object.entries({ bare, ours })) {
        const startedMs = performance.now();
        await host.fireTimer('schedulePolls');
        const ms = performance.now() - startedMs;
        await checkOrders(queue, due);
        // The first tick of each only warms it.
        if (round > 0) samples[name === 'ours' ? 'ours' : 'bare'].push(ms);
        if (round > 0) say(`  round ${round}: ${name} ${inMs(ms)}`);
      }
    }
    await Promise.all([ours.stop(), bare.stop()]);
    const scenario = `Schedule, ${connections.toLocaleString('en')} connections, ${dueConnections.toLocaleString('en')} due: tick / bare SDK work`;
    const [tick, sdk] = [times('tick', samples.ours), times('bare SDK work', samples.bare)];
    return { figures: [ratioFigure(scenario, tick, sdk, atMost(1))] };
  } finally {
    await parts.stop();
  }
}

/** Answers the due ones' keys. The due ones lie evenly among the others. */
async function fillTable(
  table: TableClient,
  connections: number,
  dueConnections: number,
): Promise<Set<string>> {
  const due = new Set<string>();
  const nowMs = Date.now();
  const every = Math.floor(connections / dueConnections);
  let actions: TransactionAction[] = [];
  for (let index = 0; index < connections; index += 1) {
    const partitionKey = `customer-${Math.floor(index / connectionsPerCustomer)}`;
    const rowKey = `connection-${index}`;
    const isDue = index % every === 0 && due.size < dueConnections;
    if (isDue) due.add(`${partitionKey}/${rowKey}`);
    actions.push(['create', { partitionKey, rowKey, ...columns(index, isDue, nowMs) }]);
    if (actions.length === 100 || index % connectionsPerCustomer === connectionsPerCustomer - 1) {
      await table.submitTransaction(actions);
      actions = [];
    }
  }
  if (actions.length > 0) await table.submitTransaction(actions);
  return due;
}

/** As an entity looks after many runs. */
function columns(index: number, isDue: boolean, nowMs: number): Record<string, unknown> {
  const time = (offsetMs: number) => new Date(nowMs + offsetMs).toISOString();
  return {
    host: `mail${index}.example.com`,
    hostType: index % 3 === 0 ? 'POP3' : 'IMAP',
    username: `orders-${index}@example.com`,
    passwordSetting: `MAIL_PASSWORD_${index}`,
    pollingIntervalSeconds: 3_600,
    lastStatus: 'ok',
    lastError: '',
    lastRunStartedAt: time(-301_000),
    lastRunEndedAt: time(-300_000),
    heartbeatAt: time(-300_000),
    nextRunAt: time(isDue ? -1_000 : 3_600_000),
    scheduleAnchor: time(-86_400_000),
    consecutiveFailures: 0,
    lastMailCount: 3,
    lastMessageCount: 5,
    runId: `run-${index}`,
  };
}

/** Throws unless each due connection was ordered, once, and nothing else; leaves the queue empty. */
async function checkOrders(queue: QueueClient, due: ReadonlySet<string>): Promise<void> {
  const ordered: string[] = [];
  for (;;) {
    const { receivedMessageItems } = await queue.receiveMessages({
      numberOfMessages: 32,
      visibilityTimeout: 300,
    });
    if (receivedMessageItems.length === 0) break;
    for (const { messageText } of receivedMessageItems) {
      const { customer, connection } = JSON.parse(Buffer.from(messageText, 'base64').toString());
      ordered.push(`${customer}/${connection}`);
    }
  }
  await queue.clearMessages();
  const right =
    ordered.length === due.size && new Set(ordered).size === due.size && ordered.every((key) => due.has(key));
  if (!right) throw new Error(`${ordered.length} polls were ordered; ${due.size} connections were due.`);
}
