import type { Bed } from '../bed.ts';
import { mixedMail } from '../benchMails.ts';
import { amountFigure, atMost, median, ratioFigure, type ScenarioResult, times } from '../figures.ts';
import { type StoredMail, withStock } from '../stock.ts';
import { type Context, inMs, withBed } from './context.ts';

type Kind = 'journal off' | 'journal full' | 'filters';

/** What the sender's address and the subject must match; every mail of the stock does. */
const filters = { fromFilter: '*@*, !noreply@*', subjectFilter: '*' };
const warmMailCount = 10;

interface Drain {
  readonly cpuMs: number;
  readonly ms: number;
  readonly requests: number;
}

/** What the journal adds to a drain by IMAP, and what filters add that every mail passes: CPU of the app, and requests. */
export async function measureExtras(context: Context): Promise<ScenarioResult> {
  const { sizes, rounds, messageLimitBytes } = context.options;
  const drains: Record<Kind, Drain[]> = { 'journal off': [], 'journal full': [], filters: [] };
  const bedOptions = { users: ['app'], messageLimitBytes, countRequests: true };
  const off = { ...bedOptions, name: 'journal-off', settings: { JOURNAL: 'off' } };
  await withStock(sizes.mails, mixedMail, (all) =>
    withBed(context, off, (without) =>
      withBed(context, { ...bedOptions, name: 'journal-full' }, async (withJournal) => {
        for (let round = 0; round <= rounds; round += 1) {
          const mails = round === 0 ? all.slice(0, warmMailCount) : all;
          const said: string[] = [];
          for (const [kind, bed, columns] of [
            ['journal off', without, {}],
            ['journal full', withJournal, {}],
            ['filters', withJournal, filters],
          ] as const) {
            const drain = await drainOnce(bed, mails, columns);
            said.push(`${kind} ${inMs(drain.ms)}, CPU ${inMs(drain.cpuMs)}, ${drain.requests} requests`);
            if (round > 0) drains[kind].push(drain);
          }
          if (round > 0) context.say(`  round ${round}: ${said.join('; ')}`);
        }
      }),
    ),
  );
  const cpu = (kind: Kind) =>
    times(
      kind,
      drains[kind].map(({ cpuMs }) => cpuMs),
    );
  const requestsWithout = median(drains['journal off'].map(({ requests }) => requests));
  const added = drains['journal full'].map(({ requests }) => requests - requestsWithout);
  const title = `IMAP, loopback, ${sizes.mails.toLocaleString('en')} mails`;
  return {
    figures: [
      ratioFigure(`${title}, CPU: journal full / off`, cpu('journal full'), cpu('journal off'), atMost(1.05)),
      amountFigure(
        `${title}: requests to storage that the journal adds`,
        { name: 'more requests', unit: 'requests', samples: added },
        atMost(5),
      ),
      ratioFigure(`${title}, CPU: with filters / without`, cpu('filters'), cpu('journal full'), atMost(1.1)),
    ],
  };
}

async function drainOnce(
  bed: Bed,
  mails: readonly StoredMail[],
  columns: Readonly<Record<string, string>>,
): Promise<Drain> {
  await bed.connect('IMAP', { fromFilter: '', subjectFilter: '', ...columns });
  await bed.fill('app', mails);
  const before = await bed.host.usage();
  bed.parts.takeRequests();
  const ms = await bed.poll();
  const requests = bed.parts.takeRequests().length;
  const after = await bed.host.usage();
  await bed.check(mails, 'IMAP');
  return { ms, requests, cpuMs: after.cpuMs - before.cpuMs };
}
