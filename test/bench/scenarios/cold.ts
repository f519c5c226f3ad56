import { type ChildProcess, spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { TableClient } from '@azure/data-tables';
import { mainFile } from '../../demo/bundle.ts';
import { type Azurite, startAzurite } from '../../testbed/azurite.ts';
import { exited, onExit } from '../../testbed/child.ts';
import { atMost, median, ratioFigure, type ScenarioResult, type Series } from '../figures.ts';
import { buildBareApp } from './bareApps.ts';
import { type Context, inMs } from './context.ts';

const loader = join(import.meta.dirname, '..', 'coldStart.cjs');
const oneStartTimeoutMs = 30_000;

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
    await TableClient.fromConnectionString(connectionString, 'EmailConnections', {
      allowInsecureConnection: true,
    }).createTable();
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
  const series = (name: keyof typeof samples): Series => ({ name, unit: 'ms', samples: samples[name] });
  for (const name of ['main', 'library', 'tick', 'bare'] as const)
    say(`  ${name} ${inMs(median(samples[name]))}`);
  return {
    figures: [
      ratioFigure('Load of main / load of @azure/functions', series('main'), series('library'), atMost(4)),
      ratioFigure(
        'Fresh process to first tick done / bare timer app',
        series('tick'),
        series('bare'),
        atMost(2.5),
      ),
    ],
  };
}

/** One fresh process. `ms`: from starting it until it printed its line. */
async function start(
  azurite: Azurite,
  file: string,
  what: 'load' | 'tick',
): Promise<{ line: string; ms: number }> {
  const startedMs = performance.now();
  const child = spawn(process.execPath, [loader, file, what], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env.PATH,
      AzureWebJobsStorage: azurite.connectionString,
      ServiceBusConnection: 'Endpoint=sb://localhost;SharedAccessKeyName=name;SharedAccessKey=key',
      POLL_SCHEDULE: '0 * * * * *',
      RETRY_SCHEDULE: '30 * * * * *',
    },
  });
  const forget = onExit(() => child.kill('SIGKILL'));
  const deadline = setTimeout(() => child.kill('SIGKILL'), oneStartTimeoutMs);
  try {
    const line = await firstLine(child);
    const ms = performance.now() - startedMs;
    return { line, ms };
  } finally {
    child.kill('SIGKILL');
    await exited(child);
    clearTimeout(deadline);
    forget();
  }
}

async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('The process has no output.');
  for await (const line of createInterface({ input: child.stdout })) return line;
  throw new Error('The process ended before it was done.');
}
