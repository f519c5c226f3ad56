import type { Protocol } from '../bed.ts';
import { mixedMail } from '../benchMails.ts';
import { programIfThere } from '../contenders.ts';
import {
  atLeast,
  atMost,
  type Figure,
  median,
  type Relative,
  ratioFigure,
  type ScenarioResult,
} from '../figures.ts';
import { makeStock } from '../stock.ts';
import { type Context, withBed } from './context.ts';
import { type Contender, runRace } from './race.ts';

const users = ['raw', 'app', 'mbsync', 'plain', 'fetchmail'];

/** The mixed mailbox on loopback, by IMAP, against raw fetch, mbsync and the plain script. */
export async function measureImap(context: Context): Promise<ScenarioResult> {
  const contenders: Contender[] = [
    'raw',
    'app',
    ...programIfThere('mbsync', context.options.install),
    'plain',
  ];
  const { series, relatives, title } = await race(context, 'IMAP', contenders);
  const figures: Figure[] = [
    ratioFigure(`${title}: this app / raw fetch`, series.app, series.raw, atMost(5)),
    ratioFigure(`${title}: plain script / this app`, series.plain, series.app, atLeast(3.5)),
  ];
  if (contenders.includes('mbsync')) {
    figures.splice(1, 0, ratioFigure(`${title}: this app / mbsync`, series.app, series.mbsync, atMost(0.75)));
  }
  return { figures, relatives };
}

/** The same by POP3, against raw fetch and fetchmail. */
export async function measurePop3(context: Context): Promise<ScenarioResult> {
  const contenders: Contender[] = ['raw', 'app', ...programIfThere('fetchmail', context.options.install)];
  const { series, relatives, title } = await race(context, 'POP3', contenders);
  const figures: Figure[] = [
    ratioFigure(`${title}: this app / raw pipelined fetch`, series.app, series.raw, atMost(3.6)),
  ];
  if (contenders.includes('fetchmail')) {
    figures.push(ratioFigure(`${title}: fetchmail / this app`, series.fetchmail, series.app));
  }
  return { figures, relatives };
}

async function race(context: Context, protocol: Protocol, contenders: readonly Contender[]) {
  const { sizes, messageLimitBytes } = context.options;
  const stock = await makeStock(sizes.mails, mixedMail);
  const title = `${protocol}, loopback, ${sizes.mails.toLocaleString('en')} mails`;
  try {
    const bedOptions = { name: protocol.toLowerCase(), users, messageLimitBytes };
    const series = await withBed(context, bedOptions, (bed) =>
      runRace(context, bed, { protocol, mails: stock.mails, contenders }),
    );
    const relatives = contenders.map((contender): Relative => {
      const timesRaw = median(series[contender].samples) / median(series.raw.samples);
      return { group: title, contender, timesRaw };
    });
    return { series, relatives, title };
  } finally {
    await stock.remove();
  }
}
