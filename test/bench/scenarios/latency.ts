import type { Protocol } from '../bed.ts';
import { mixedMail } from '../benchMails.ts';
import { programIfThere } from '../contenders.ts';
import { atMost, type Figure, median, type Relative, ratioFigure, type ScenarioResult } from '../figures.ts';
import { makeStock } from '../stock.ts';
import { type Context, withBed } from './context.ts';
import { type Contender, runRace } from './race.ts';

const distances = { mailRttMs: 40, cloudRttMs: 5 };
const users = ['raw', 'app', 'mbsync', 'plain', 'fetchmail'];
const bars = { IMAP: 3.2, POP3: 2.7 } as const;

/** 300 mixed mails, 40 ms to the mail server, 5 ms to storage and Service Bus. */
export async function measureLatency(context: Context): Promise<ScenarioResult> {
  const { sizes, messageLimitBytes } = context.options;
  const stock = await makeStock(sizes.distantMails, mixedMail);
  const contendersOf: Record<Protocol, Contender[]> = {
    IMAP: ['raw', 'app', ...programIfThere('mbsync', context.options.install), 'plain'],
    POP3: ['raw', 'app', ...programIfThere('fetchmail', context.options.install)],
  };
  const figures: Figure[] = [];
  const relatives: Relative[] = [];
  try {
    for (const protocol of ['IMAP', 'POP3'] as const) {
      const bedOptions = { name: `${protocol.toLowerCase()}-40ms`, users, messageLimitBytes, distances };
      await withBed(context, bedOptions, async (bed) => {
        const contenders = contendersOf[protocol];
        context.say(`  ${protocol}`);
        const onlyOnce: Contender[] = ['fetchmail'];
        const series = await runRace(context, bed, { protocol, mails: stock.mails, contenders, onlyOnce });
        const title = `${protocol}, 40 ms away, ${sizes.distantMails} mails`;
        figures.push(ratioFigure(`${title}: this app / raw`, series.app, series.raw, atMost(bars[protocol])));
        for (const contender of contenders) {
          const timesRaw = median(series[contender].samples) / median(series.raw.samples);
          relatives.push({ group: title, contender, timesRaw });
        }
      });
    }
  } finally {
    await stock.remove();
  }
  return { figures, relatives };
}
