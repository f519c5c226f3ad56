import { createRequire } from 'node:module';
import { join } from 'node:path';
import { mainFile } from '../../demo/bundle.ts';
import { type Azurite, startAzurite } from '../../testbed/azurite.ts';
import { openTable } from '../../testbed/storage.ts';
import { atMost, median, ratioFigure, type ScenarioResult, times } from '../figures.ts';
import { runFresh } from '../freshProcess.ts';
import { buildBareApp } from './bareApps.ts';
import { type Context, inMs } from './context.ts';

const loader = join(import.meta.dirname, '..', 'coldStart.cjs');

/** What a cold start costs, in fresh processes: loading the app, and the first tick with nothing due. */
export async function measureCold({ options, say }: Context): Promise<ScenarioResult> {
  const app = options.main ?? mainFile;
  const library = createRequire(import.meta.url).resolve('@azure/functions');
  const bareTimer = await buildBareApp('bareTimer');
  const azurite = await startAzurite();
  const samples = {
    main: [] as number[],
    library: [] as number[],
    tick: [] as number[],
    bare: [] as number[],
  };
  try {
    const { connectionString } = azurite;
    await openTable(connectionString, 'EmailConnections').createTable();
    // The first of each only brings the files into memory.
    for (let round = 0; round <= options.sizes.coldStarts; round += 1) {
      const main = await start(azurite, app, 'load');
      const alone = await start(azurite, library, 'load');
      const tick = await start(azurite, app, 'tick');
      const bare = await start(azurite, bareTimer, 'tick');
      if (round === 0) continue;
      samples.main.push(Number(main.line));
      samples.library.push(Number(alone.line));
      samples.tick.push(tick.ms);
      samples.bare.push(bare.ms);
    }
  } finally {
    await azurite.stop();
  }
  const series = (name: keyof typeof samples) => times(name, samples[name]);
  for (const name of ['main', 'library', 'tick', 'bare'] as const)
    say(`  ${name} ${inMs(median(samples[name]))}`);
  return {
    figures: [
      ratioFigure('Load of main / load of @azure/functions', series('main'), series('library'), atMost(1.5)),
      ratioFigure(
        'Fresh process to first tick done / bare timer app',
        series('tick'),
        series('bare'),
        atMost(2.2),
      ),
    ],
  };
}

function start(azurite: Azurite, file: string, what: 'load' | 'tick'): Promise<{ line: string; ms: number }> {
  return runFresh([loader, file, what], {
    AzureWebJobsStorage: azurite.connectionString,
    ServiceBusConnection: 'Endpoint=sb://localhost;SharedAccessKeyName=name;SharedAccessKey=key',
    POLL_SCHEDULE: '0 * * * * *',
    RETRY_SCHEDULE: '30 * * * * *',
  });
}
