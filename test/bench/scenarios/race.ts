import type { Bed, Protocol } from '../bed.ts';
import { runFetchmail, runMbsync } from '../contenders.ts';
import type { Series } from '../figures.ts';
import { password, queueName } from '../parts.ts';
import type { StoredMail } from '../stock.ts';
import { type Context, inMs } from './context.ts';

export type Contender = 'raw' | 'app' | 'mbsync' | 'plain' | 'fetchmail';

export interface Race {
  readonly protocol: Protocol;
  readonly mails: readonly StoredMail[];
  /** In the order of a round. */
  readonly contenders: readonly Contender[];
  /** Those that are too slow to be run more than once. */
  readonly onlyOnce?: readonly Contender[];
}

const warmMailCount = 10;

/**
 * Has the contenders empty or copy the same mailbox, one after the other, in as many rounds as asked for. Each has
 * done a small mailbox before, so none pays for starting. What the app sent is checked after each of its runs.
 */
export async function runRace(context: Context, bed: Bed, race: Race): Promise<Record<Contender, Series>> {
  const samples: Record<Contender, number[]> = { raw: [], app: [], mbsync: [], plain: [], fetchmail: [] };
  await bed.addConnection('app', race.protocol);
  const warm = race.mails.slice(0, warmMailCount);
  for (const contender of race.contenders) await runOne(context, bed, { ...race, mails: warm }, contender);
  for (const contender of race.contenders) if (!consumes(contender)) await bed.fill(contender, race.mails);
  for (let round = 1; round <= context.options.rounds; round += 1) {
    const said: string[] = [];
    for (const contender of race.contenders) {
      if (round > 1 && race.onlyOnce?.includes(contender)) continue;
      const ms = await runOne(context, bed, race, contender, { filled: !consumes(contender) });
      samples[contender].push(ms);
      said.push(`${contender} ${inMs(ms)}`);
    }
    context.say(`  round ${round}: ${said.join(', ')}`);
  }
  const series = (name: Contender): Series => ({ name, unit: 'ms', samples: samples[name] });
  return {
    raw: series('raw'),
    app: series('app'),
    mbsync: series('mbsync'),
    plain: series('plain'),
    fetchmail: series('fetchmail'),
  };
}

/** Whether it leaves the mailbox other than it found it. */
function consumes(contender: Contender): boolean {
  return contender !== 'raw' && contender !== 'mbsync';
}

async function runOne(
  { contenders }: Context,
  bed: Bed,
  { protocol, mails }: Race,
  contender: Contender,
  { filled } = { filled: false },
): Promise<number> {
  if (!filled) await bed.fill(contender, mails);
  const { imapPort, pop3Port, serviceBusConnectionString, broker } = bed.parts;
  const port = protocol === 'IMAP' ? imapPort : pop3Port;
  const login = { port, user: contender, password };
  const mailBytes = mails.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  switch (contender) {
    case 'raw': {
      const job = protocol === 'IMAP' ? 'rawImap' : 'rawPop3';
      const { ms, amount } = await contenders.perform({ do: job, login });
      if (amount < mailBytes) throw new Error(`The raw fetch got ${amount} of ${mailBytes} bytes.`);
      return ms;
    }
    case 'app': {
      const ms = await bed.poll(['app']);
      await bed.check(['app'], mails, protocol);
      return ms;
    }
    case 'mbsync':
      return runMbsync(port, contender, mails.length);
    case 'fetchmail':
      return runFetchmail(port, contender, mailBytes);
    case 'plain': {
      const job = { do: 'plainScript', login, serviceBusConnectionString, queueName } as const;
      const { ms, amount } = await contenders.perform(job);
      const partCount = mails.reduce((sum, { parts }) => sum + parts.length, 0);
      const { accepted } = await broker.state(queueName);
      if (accepted !== partCount || amount !== partCount) {
        throw new Error(`The plain script sent ${accepted} of ${partCount} messages.`);
      }
      await broker.clear(queueName);
      return ms;
    }
  }
}
