import { programIfThere } from '../contenders.ts';
import { atLeast, atMost, type Figure, ratioFigure, type ScenarioResult } from '../figures.ts';
import type { Context } from './context.ts';
import { type Contender, runRace } from './race.ts';

/** The mixed mailbox on loopback, by IMAP, against raw fetch, mbsync and the plain script. */
export async function measureImap(context: Context): Promise<ScenarioResult> {
  const contenders: Contender[] = [
    'raw',
    'app',
    ...programIfThere('mbsync', context.options.install),
    'plain',
  ];
  const { series, relatives, title } = await runRace(context, {
    protocol: 'IMAP',
    contenders,
    mailCount: context.options.sizes.mails,
    where: 'loopback',
    bed: { name: 'imap' },
  });
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
  const { series, relatives, title } = await runRace(context, {
    protocol: 'POP3',
    contenders,
    mailCount: context.options.sizes.mails,
    where: 'loopback',
    bed: { name: 'pop3' },
  });
  const figures: Figure[] = [
    ratioFigure(`${title}: this app / raw pipelined fetch`, series.app, series.raw, atMost(3.6)),
  ];
  if (contenders.includes('fetchmail')) {
    figures.push(ratioFigure(`${title}: fetchmail / this app`, series.fetchmail, series.app));
  }
  return { figures, relatives };
}
