import type { Protocol } from '../bed.ts';
import { programIfThere } from '../contenders.ts';
import { atMost, type Figure, type Relative, ratioFigure, type ScenarioResult } from '../figures.ts';
import type { Context } from './context.ts';
import { type Contender, runRace } from './race.ts';

const distances = { mailRttMs: 40, cloudRttMs: 5 };
const bars = { IMAP: 3.2, POP3: 2.7 } as const;

/** 300 mixed mails, 40 ms to the mail server, 5 ms to storage and Service Bus. */
export async function measureLatency(context: Context): Promise<ScenarioResult> {
  const { install, sizes } = context.options;
  const contendersOf: Record<Protocol, Contender[]> = {
    IMAP: ['raw', 'app', ...programIfThere('mbsync', install), 'packages', 'plain'],
    POP3: ['raw', 'app', ...programIfThere('fetchmail', install)],
  };
  const figures: Figure[] = [];
  const relatives: Relative[] = [];
  for (const protocol of ['IMAP', 'POP3'] as const) {
    context.say(`  ${protocol}`);
    const race = await runRace(context, {
      protocol,
      mailCount: sizes.distantMails,
      where: '40 ms away',
      contenders: contendersOf[protocol],
      onlyOnce: ['fetchmail'],
      bed: { name: `${protocol.toLowerCase()}-40ms`, distances },
    });
    const { app, raw, packages } = race.series;
    figures.push(ratioFigure(`${race.title}: this app / raw`, app, raw, atMost(bars[protocol])));
    if (protocol === 'IMAP') {
      figures.push(ratioFigure(`${race.title}: this app / imapflow and SDK alone`, app, packages));
    }
    relatives.push(...race.relatives);
  }
  return { figures, relatives };
}
