/**
 * The torture test: `npm run torture -- --minutes 10 --seed 1`. Prints how it goes and what came of it; ends
 * with 1 when anything was lost, doubled or left behind. With `--gentle` nothing is killed, and what goes wrong
 * leaves the app no reason to send anything twice: then not even duplicate detection may have seen a repeat.
 */
import { parseArgs } from 'node:util';
import { ensureBundle } from '../demo/bundle.ts';
import { programs, requirePrograms } from '../testbed/programs.ts';
import { torment } from './torment.ts';

const usage = `Usage: npm run torture -- [--minutes 10] [--seed 1] [--mails 1000] [--gentle]
Kills the app and faults everything around it, and looks whether each part came once. With --gentle nothing is killed.`;
const { values } = parseArgs({
  options: {
    help: { type: 'boolean', short: 'h', default: false },
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    mails: { type: 'string', default: '1000' },
    gentle: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(usage);
  process.exit(0);
}
const minutes = Number(values.minutes);
const seed = Number(values.seed);
const mails = Number(values.mails);
if (!(minutes > 0 && minutes <= 600) || !Number.isSafeInteger(seed) || !(mails >= 0 && mails <= 100_000)) {
  console.error(usage);
  process.exit(2);
}
requirePrograms([programs.dovecot]);
await ensureBundle();
console.log(
  `Seed ${seed}: ${minutes} minutes of kills and interruptions, over ${mails} mails to begin with.`,
);
const { figures, problems } = await torment({
  durationMs: minutes * 60_000,
  seed,
  mails,
  killEveryMs: 6_000,
  interruptEveryMs: 2_500,
  longestMs: 70_000,
  gentle: values.gentle,
  report: (line) => console.log(line),
});
console.log(`
Kills of the app          ${figures.kills}
Interruptions             ${figures.interruptions}
Mails                     ${figures.mails}
Parts                     ${figures.parts}
Repeats that were dropped ${figures.repeatsDropped}
Undelivered, at most      ${figures.storedAtMost}
Whole run                 ${Math.round(figures.durationMs / 1_000)} s`);
for (const problem of problems.slice(0, 50)) console.error(problem);
if (problems.length > 0) {
  console.error(`FAILED with seed ${seed}: ${problems.length} problems.`);
  process.exit(1);
}
console.log('Passed: every part is on the queue once, every mail is settled, nothing is left behind.');
