import type { Protocol } from '../bed.ts';
import { programIfThere } from '../contenders.ts';
import { atLeast, atMost, type Figure, ratioFigure, type ScenarioResult } from '../figures.ts';
import type { Context } from './context.ts';
import { type Contender, type RaceResult, runRace } from './race.ts';

/** The mixed mailbox on loopback, by IMAP, against raw fetch, mbsync, the packages alone and the plain script. */
export async function measureImap(context: Context): Promise<ScenarioResult> {
  const mbsync = programIfThere('mbsync', context.options.install);
  const { series, relatives, title } = await race(context, 'IMAP', [
    'raw',
    'app',
    ...mbsync,
    'packages',
    'plain',
  ]);
  const figures: Figure[] = [
    ratioFigure(`${title}: this app / raw fetch`, series.app, series.raw, atMost(5)),
    ...mbsync.map(() => ratioFigure(`${title}: this app / mbsync`, series.app, series.mbsync, atMost(0.75))),
    ratioFigure(`${title}: this app / imapflow and SDK alone`, series.app, series.packages),
    ratioFigure(`${title}: plain script / this app`, series.plain, series.app, atLeast(3.5)),
  ];
  return { figures, relatives };
}

/** The same by POP3, against raw fetch and fetchmail. */
export async function measurePop3(context: Context): Promise<ScenarioResult> {
  const fetchmail = programIfThere('fetchmail', context.options.install);
  const { series, relatives, title } = await race(context, 'POP3', ['raw', 'app', ...fetchmail]);
  const figures: Figure[] = [
    ratioFigure(`${title}: this app / raw pipelined fetch`, series.app, series.raw, atMost(3.6)),
    ...fetchmail.map(() => ratioFigure(`${title}: fetchmail / this app`, series.fetchmail, series.app)),
  ];
  return { figures, relatives };
}

function race(context: Context, protocol: Protocol, contenders: readonly Contender[]): Promise<RaceResult> {
  const mailCount = context.options.sizes.mails;
  const bed = { name: protocol.toLowerCase() };
  return runRace(context, { protocol, contenders, mailCount, where: 'loopback', bed });
}
