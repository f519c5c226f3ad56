import { join } from 'node:path';
import { mainFile } from '../../demo/bundle.ts';
import { mixedMail } from '../benchMails.ts';
import { atMost, median, ratioFigure, type ScenarioResult, times } from '../figures.ts';
import { runFresh } from '../freshProcess.ts';
import { password, queueName } from '../parts.ts';
import { withStock } from '../stock.ts';
import { buildBareApp } from './bareApps.ts';
import { type Context, inMs, withBed } from './context.ts';

const loader = join(import.meta.dirname, '..', 'coldStart.cjs');
const distances = { mailRttMs: 0, cloudRttMs: 0, serviceBusRttMs: 20 };

/** What a single mail takes, by IMAP with Service Bus 20 ms away: in a fresh process, and in a warm one. */
export async function measureOne(context: Context): Promise<ScenarioResult> {
  const { options, contenders, say } = context;
  const { messageLimitBytes, sizes } = options;
  const script = await buildBareApp('plainPoll', 'script');
  const samples = {
    app: [] as number[],
    plain: [] as number[],
    freshApp: [] as number[],
    fresh: [] as number[],
  };
  const bedOptions = { name: 'one', users: ['app', 'plain'], messageLimitBytes, distances };
  await withStock(1, mixedMail, (mails) =>
    withBed(context, bedOptions, async (bed) => {
      const { imapPort, broker, storageConnectionString, serviceBusConnectionString } = bed.parts;
      await bed.connect('IMAP');
      const login = { port: imapPort, user: 'plain', password };
      const env = {
        AzureWebJobsStorage: storageConnectionString,
        ServiceBusConnection: serviceBusConnectionString,
        POLL_SCHEDULE: '0 * * * * *',
        RETRY_SCHEDULE: '30 * * * * *',
      };
      const order = JSON.stringify({ customer: 'bench', connection: 'app' });
      for (let round = 0; round <= sizes.singlePolls; round += 1) {
        await bed.fill('app', mails);
        const app = await bed.poll();
        await bed.check(mails, 'IMAP');
        await bed.fill('plain', mails);
        const job = { do: 'plainScript', login, serviceBusConnectionString, queueName } as const;
        const plain = await contenders.perform(job);
        await broker.clear(queueName);
        // The first of each warms what it uses.
        if (round === 0) continue;
        samples.app.push(app);
        samples.plain.push(plain.ms);
      }
      for (let round = 0; round <= sizes.coldStarts; round += 1) {
        await bed.fill('app', mails);
        const app = await runFresh([loader, options.main ?? mainFile, 'poll', order], env);
        await bed.check(mails, 'IMAP');
        await bed.fill('plain', mails);
        const plain = await runFresh([script, String(imapPort), 'plain', password, queueName], env);
        await broker.clear(queueName);
        if (round === 0) continue;
        samples.freshApp.push(app.ms);
        samples.fresh.push(plain.ms);
      }
    }),
  );
  for (const name of ['app', 'plain', 'freshApp', 'fresh'] as const)
    say(`  ${name} ${inMs(median(samples[name]))}`);
  return {
    figures: [
      ratioFigure(
        'One mail, Service Bus 20 ms away, warm: poll / plain script',
        times('poll', samples.app),
        times('plain script', samples.plain),
        atMost(0.18),
      ),
      ratioFigure(
        'One mail, Service Bus 20 ms away: fresh process to mail settled / plain script',
        times('app', samples.freshApp),
        times('plain script', samples.fresh),
        atMost(0.65),
      ),
    ],
  };
}
