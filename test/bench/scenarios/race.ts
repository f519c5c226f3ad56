import type { Bed, BedOptions, Protocol } from '../bed.ts';
import { mixedMail } from '../benchMails.ts';
import { runFetchmail, runMbsync } from '../contenders.ts';
import { median, type Relative, type Series, times } from '../figures.ts';
import { password, queueName } from '../parts.ts';
import { type StoredMail, withStock } from '../stock.ts';
import { type Context, inMs, withBed } from './context.ts';

export type Contender = 'raw' | 'app' | 'mbsync' | 'packages' | 'plain' | 'fetchmail';

export interface Race {
  readonly protocol: Protocol;
  readonly mailCount: number;
  /** As the title says it. */
  readonly where: string;
  /** In the order of a round. */
  readonly contenders: readonly Contender[];
  /** Those that are too slow to be run more than once. */
  readonly onlyOnce?: readonly Contender[];
  readonly bed: Pick<BedOptions, 'name' | 'distances'>;
}

export interface RaceResult {
  readonly title: string;
  readonly series: Readonly<Record<Contender, Series>>;
  readonly relatives: readonly Relative[];
}

const users: readonly Contender[] = ['raw', 'app', 'mbsync', 'packages', 'plain', 'fetchmail'];
const warmMailCount = 10;

/**
 * Has the contenders empty or copy the same mailbox of mixed mails, one after the other, in as many rounds as asked
 * for. Each has done a small mailbox before, so none pays for starting. What the app sent is checked after each of
 * its runs.
 */
export async function runRace(context: Context, race: Race): Promise<RaceResult> {
  const { protocol, mailCount, where, contenders, onlyOnce = [] } = race;
  const { messageLimitBytes, rounds } = context.options;
  const samples: Record<Contender, number[]> = {
    raw: [],
    app: [],
    mbsync: [],
    packages: [],
    plain: [],
    fetchmail: [],
  };
  await withStock(mailCount, mixedMail, (mails) =>
    withBed(context, { ...race.bed, users, messageLimitBytes }, async (bed) => {
      await bed.connect(protocol);
      const warm = mails.slice(0, warmMailCount);
      for (const contender of contenders) {
        await bed.fill(contender, warm);
        await runOne(context, bed, protocol, warm, contender);
      }
      for (const contender of contenders) if (!consumes(contender)) await bed.fill(contender, mails);
      for (let round = 1; round <= rounds; round += 1) {
        const said: string[] = [];
        for (const contender of contenders) {
          if (round > 1 && onlyOnce.includes(contender)) continue;
          if (consumes(contender)) await bed.fill(contender, mails);
          const ms = await runOne(context, bed, protocol, mails, contender);
          samples[contender].push(ms);
          said.push(`${contender} ${inMs(ms)}`);
        }
        context.say(`  round ${round}: ${said.join(', ')}`);
      }
    }),
  );
  const series = (name: Contender) => times(name, samples[name]);
  const title = `${protocol}, ${where}, ${mailCount.toLocaleString('en')} mails`;
  return {
    title,
    series: {
      raw: series('raw'),
      app: series('app'),
      mbsync: series('mbsync'),
      packages: series('packages'),
      plain: series('plain'),
      fetchmail: series('fetchmail'),
    },
    relatives: contenders.map((contender) => ({
      group: title,
      contender,
      timesRaw: median(samples[contender]) / median(samples.raw),
    })),
  };
}

/** Whether it leaves the mailbox other than it found it. */
function consumes(contender: Contender): boolean {
  return contender !== 'raw' && contender !== 'mbsync';
}

async function runOne(
  { contenders }: Context,
  bed: Bed,
  protocol: Protocol,
  mails: readonly StoredMail[],
  contender: Contender,
): Promise<number> {
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
      const ms = await bed.poll();
      await bed.check(mails, protocol);
      return ms;
    }
    case 'mbsync':
      return runMbsync(port, contender, mails.length);
    case 'fetchmail':
      return runFetchmail(port, contender, mailBytes);
    case 'packages':
    case 'plain': {
      const isPlain = contender === 'plain';
      const job = isPlain ? 'plainScript' : 'packagesAlone';
      const { ms, amount } = await contenders.perform({
        do: job,
        login,
        serviceBusConnectionString,
        queueName,
      });
      const count = isPlain ? mails.reduce((sum, { parts }) => sum + parts.length, 0) : mails.length;
      const { accepted } = await broker.state(queueName);
      if (accepted !== count || amount !== count) {
        throw new Error(`${job} sent ${accepted} of ${count} messages.`);
      }
      await broker.clear(queueName);
      return ms;
    }
  }
}
