/**
 * The benchmark; README.md in this folder says what is measured and how. Exits with 1 when something arrived wrong
 * or could not be measured; a bar that is not met is shown and changes nothing.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ensureBundle } from '../demo/bundle.ts';
import { programs, requirePrograms } from '../testbed/programs.ts';
import { benchFolder } from './bed.ts';
import { toSvg } from './chart.ts';
import { startContenders } from './contenders.ts';
import type { Figure, Relative, ScenarioResult } from './figures.ts';
import { type BenchOptions, readOptions, type ScenarioName, usage } from './options.ts';
import { publish } from './publish.ts';
import { toTable } from './report.ts';
import { measureCold } from './scenarios/cold.ts';
import type { Context } from './scenarios/context.ts';
import { measureExtras } from './scenarios/extras.ts';
import { measureGrowth } from './scenarios/growth.ts';
import { measureIdle } from './scenarios/idle.ts';
import { measureLatency } from './scenarios/latency.ts';
import { measureImap, measurePop3 } from './scenarios/loopback.ts';
import { measureMemory } from './scenarios/memory.ts';
import { measureOne } from './scenarios/one.ts';
import { measureSchedule } from './scenarios/schedule.ts';

const scenarios: Readonly<Record<ScenarioName, (context: Context) => Promise<ScenarioResult>>> = {
  imap: measureImap,
  pop3: measurePop3,
  latency: measureLatency,
  memory: measureMemory,
  growth: measureGrowth,
  schedule: measureSchedule,
  idle: measureIdle,
  one: measureOne,
  extras: measureExtras,
  cold: measureCold,
};
/** For one scenario with three rounds; more rounds get more. */
const scenarioTimeoutMs = 20 * 60_000;

const say = (line: string) => console.log(line);

async function main(options: BenchOptions): Promise<void> {
  requirePrograms([programs.dovecot]);
  if (options.main === undefined) say(`Bundle: ${await ensureBundle()}`);
  const contenders = await startContenders();
  const figures: Figure[] = [];
  const relatives: Relative[] = [];
  for (const name of options.only) {
    const startedMs = performance.now();
    say(`${name}`);
    const result = await inTime(name, options, scenarios[name]({ options, contenders, say }));
    figures.push(...result.figures);
    relatives.push(...(result.relatives ?? []));
    say(`  (${((performance.now() - startedMs) / 1000).toFixed(0)} s)`);
  }
  await contenders.stop();

  const table = toTable(figures, !options.quick);
  const machine = `${options.rounds} rounds, medians; Node ${process.version}, ${cpus().length} cores (${cpus()[0]?.model.trim()}), ${Math.round(totalmem() / 1_073_741_824)} GiB, queue limit ${(options.messageLimitBytes / 1_048_576).toFixed(0)} MiB (memory: 256 KiB), ${new Date().toISOString().slice(0, 10)}.`;
  const svg = relatives.length > 0 ? toSvg(relatives) : undefined;
  const folder = options.quick ? join(benchFolder, 'quick') : benchFolder;
  await mkdir(folder, { recursive: true });
  await writeFile(
    join(folder, 'results.json'),
    JSON.stringify({ machine, options, figures, relatives }, null, 2),
  );
  if (svg !== undefined) await writeFile(join(folder, 'bench.svg'), svg);
  say(`\n${table}\n\n${machine}`);
  if (options.quick) say('A quick run: it shows that everything works, and its figures say nothing.');
  if (options.write) await publish(table, svg, machine);
}

async function inTime<T>(name: string, { rounds }: BenchOptions, work: Promise<T>): Promise<T> {
  const timeoutMs = scenarioTimeoutMs * Math.max(1, rounds / 3);
  const late = delay(timeoutMs, undefined, { ref: false }).then(() => {
    throw new Error(`${name} took more than ${timeoutMs / 60_000} minutes.`);
  });
  return await Promise.race([work, late]);
}

// What was started ends with this process, however it ends.
try {
  const args = process.argv.slice(2);
  if (args.includes('--help') || args.includes('-h')) say(usage);
  else await main(readOptions(args));
  process.exit(0);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
