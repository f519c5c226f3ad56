import type { Bed, Protocol } from '../bed.ts';
import { mixedMail } from '../benchMails.ts';
import { programIfThere } from '../contenders.ts';
import {
  atMost,
  type Figure,
  median,
  type Relative,
  ratioFigure,
  type ScenarioResult,
  type Series,
} from '../figures.ts';
import { makeStock, type StoredMail } from '../stock.ts';
import { type Context, inMs, withBed } from './context.ts';
import { type Contender, runRace } from './race.ts';

const distances = { mailRttMs: 40, cloudRttMs: 5 };
const users = ['raw', 'app', 'mbsync', 'plain', 'fetchmail', 'first', 'second'];
const bars = { IMAP: 4.5, POP3: 3.5 } as const;

/**
 * 300 mixed mails, 40 ms to the mail server, 5 ms to storage and Service Bus; then two such mailboxes at once and
 * one after the other.
 */
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
        const { together, apart } = await compareTwo(context, bed, protocol, stock.mails);
        const scenario = `${protocol}, 40 ms away, two mailboxes: at once / one after the other`;
        figures.push(ratioFigure(scenario, together, apart, atMost(0.6)));
      });
    }
  } finally {
    await stock.remove();
  }
  return { figures, relatives };
}

async function compareTwo(
  { options, say }: Context,
  bed: Bed,
  protocol: Protocol,
  mails: readonly StoredMail[],
): Promise<{ together: Series; apart: Series }> {
  const pair = ['first', 'second'];
  const fillBoth = async () => {
    for (const user of pair) await bed.fill(user, mails);
  };
  for (const user of pair) await bed.addConnection(user, protocol);
  const together: number[] = [];
  const apart: number[] = [];
  for (let round = 1; round <= options.rounds; round += 1) {
    await fillBoth();
    const apartMs = (await bed.poll(['first'])) + (await bed.poll(['second']));
    await bed.check(pair, mails, protocol);
    await fillBoth();
    const togetherMs = await bed.poll(pair);
    await bed.check(pair, mails, protocol);
    apart.push(apartMs);
    together.push(togetherMs);
    say(`  round ${round}: two mailboxes at once ${inMs(togetherMs)}, one after the other ${inMs(apartMs)}`);
  }
  return {
    together: { name: 'at once', unit: 'ms', samples: together },
    apart: { name: 'one after the other', unit: 'ms', samples: apart },
  };
}
