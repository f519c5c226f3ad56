import { mixedMail } from '../benchMails.ts';
import { atMost, ratioFigure, type ScenarioResult, times } from '../figures.ts';
import { withStock } from '../stock.ts';
import { type Context, inMs, withBed } from './context.ts';

/** How the time grows with the mailbox: mixed mails by IMAP on loopback. */
export async function measureGrowth(context: Context): Promise<ScenarioResult> {
  const { sizes, rounds, messageLimitBytes } = context.options;
  const counts = sizes.growth;
  const samples = new Map<number, number[]>(counts.map((count) => [count, []]));
  await withStock(Math.max(...counts), mixedMail, (all) =>
    withBed(context, { name: 'growth', users: ['app'], messageLimitBytes }, async (bed) => {
      await bed.connect('IMAP');
      for (let round = 0; round <= rounds; round += 1) {
        for (const count of round === 0 ? [10] : counts) {
          const mails = all.slice(0, count);
          await bed.fill('app', mails);
          const ms = await bed.poll();
          await bed.check(mails, 'IMAP');
          samples.get(round === 0 ? 0 : count)?.push(ms);
          if (round > 0) context.say(`  round ${round}: ${count.toLocaleString('en')} mails ${inMs(ms)}`);
        }
      }
    }),
  );
  const series = (count: number) => times(`${count.toLocaleString('en')} mails`, samples.get(count) ?? []);
  const [few, many, most] = [series(counts[0]), series(counts[1]), series(counts[2])];
  return {
    figures: [
      ratioFigure(`IMAP, loopback: ${many.name} / ${few.name}`, many, few),
      ratioFigure(`IMAP, loopback: ${most.name} / ${many.name}`, most, many, atMost(4.2)),
    ],
  };
}
