import { QueueClient } from '@azure/storage-queue';
import { seedMaildir } from '../../testbed/seed.ts';
import { openTable, pollOrder } from '../../testbed/storage.ts';
import { startAppHost } from '../bed.ts';
import { mixedMail } from '../benchMails.ts';
import { amountFigure, atMost, type Figure, type ScenarioResult } from '../figures.ts';
import { type Parts, password, startParts } from '../parts.ts';
import type { Context } from './context.ts';

/** What a poll of an empty mailbox, and one with a single mail, cost: requests to storage, connections to Service Bus. */
export async function measureIdle(context: Context): Promise<ScenarioResult> {
  const users = ['imap', 'pop3'];
  const { messageLimitBytes } = context.options;
  const parts = await startParts({ users, messageLimitBytes, countRequests: true });
  try {
    return await countPolls(context, parts);
  } finally {
    await parts.stop();
  }
}

async function countPolls({ options, say }: Context, parts: Parts): Promise<ScenarioResult> {
  const { azurite, broker, dovecot } = parts;
  const table = openTable(azurite.connectionString, 'EmailConnections');
  const orders = new QueueClient(azurite.connectionString, 'email-polls');
  await Promise.all([table.createTable(), orders.create()]);
  const host = await startAppHost(parts, { name: 'idle', main: options.main });
  const figures: Figure[] = [];
  const poll = async (user: string, mails: number): Promise<void> => {
    await orders.sendMessage(pollOrder('bench', user));
    await host.drainQueue();
    const { lastStatus, lastMailCount } = await table.getEntity<Record<string, unknown>>('bench', user);
    if (lastStatus !== 'ok' || lastMailCount !== mails) {
      throw new Error(`The poll of ${mails} mails ended as ${lastStatus} with ${lastMailCount}.`);
    }
  };
  for (const [user, hostType, port] of [
    ['imap', 'IMAP', dovecot.imapPort],
    ['pop3', 'POP3', dovecot.pop3Port],
  ] as const) {
    await table.createEntity({
      partitionKey: 'bench',
      rowKey: user,
      ...{ host: '127.0.0.1', hostType, port, useSsl: false, username: user, password },
    });
    const counts: number[] = [];
    const connections: number[] = [];
    const before = (await broker.connections()).total;
    // The first poll makes what is missing; it is counted for Service Bus only.
    for (let round = 0; round <= options.rounds; round += 1) {
      parts.takeRequests();
      await poll(user, 0);
      const requests = parts.takeRequests();
      connections.push((await broker.connections()).total - before);
      if (round === 0) continue;
      counts.push(requests.length);
      if (round === 1) say(`  ${hostType}: ${requests.map(withoutQuery).join(', ')}`);
    }
    const stored = { name: 'storage requests', unit: 'requests', samples: counts } as const;
    const connected = { name: 'Service Bus connections', unit: 'connections', samples: connections } as const;
    const single: number[] = [];
    for (let round = 0; round <= options.rounds; round += 1) {
      await seedMaildir(dovecot.maildir(user), [mixedMail(round).source]);
      parts.takeRequests();
      await poll(user, 1);
      const requests = parts.takeRequests();
      // The first makes what is missing: tables, containers, the journal of the day.
      if (round > 0) single.push(requests.length);
      if (round === 1) say(`  ${hostType}, one mail: ${requests.map(withoutQuery).join(', ')}`);
    }
    const oneMail = { name: 'storage requests', unit: 'requests', samples: single } as const;
    figures.push(
      amountFigure(`${hostType}, idle poll: requests to storage`, stored, atMost(4)),
      amountFigure(`${hostType}, idle poll: connections to Service Bus`, connected, atMost(0)),
      amountFigure(`${hostType}, poll of one mail: requests to storage`, oneMail, atMost(8)),
    );
  }
  await host.stop();
  return { figures };
}

function withoutQuery(request: string): string {
  return request.replace('/devstoreaccount1', '');
}
