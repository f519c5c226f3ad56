/**
 * The soak: `npm run soak -- --minutes 30`. Polls mailboxes of every kind, good and bad, for a long time in one
 * process, without telemetry and with it, and fails when heap, sockets or open files do not end where they began.
 */
import { parseArgs } from 'node:util';
import { ensureBundle } from '../demo/bundle.ts';
import { programs, requirePrograms } from '../testbed/programs.ts';
import { type SoakFigures, soak } from './soakRun.ts';

const usage = `Usage: npm run soak -- [--minutes 30]
Polls mailboxes that are idle, behind TLS, full, with large mails, refused, with a wrong password and of a queue that
throttles, half of the time without telemetry and half with it; looks whether heap, sockets and open files come back.`;
const { values } = parseArgs({
  options: {
    help: { type: 'boolean', short: 'h', default: false },
    minutes: { type: 'string', default: '30' },
  },
});
if (values.help) {
  console.log(usage);
  process.exit(0);
}
const minutes = Number(values.minutes);
if (!(minutes > 0 && minutes <= 600)) {
  console.error(usage);
  process.exit(2);
}
requirePrograms([programs.dovecot]);
await ensureBundle();

const problems: string[] = [];
for (const telemetry of [false, true]) {
  console.log(`${minutes / 2} minutes ${telemetry ? 'with' : 'without'} telemetry`);
  const figures = await soak({
    durationMs: minutes * 30_000,
    telemetry,
    report: (line) => console.log(line),
  });
  show(figures);
  problems.push(...figures.problems);
}
for (const problem of problems) console.error(problem);
if (problems.length > 0) {
  console.error(`FAILED: ${problems.length} problems.`);
  process.exit(1);
}
console.log('Passed: heap, sockets and open files ended where they began.');

function show({ begin, end, polls, mails, messages }: SoakFigures): void {
  const mebibytes = (bytes: number) => (bytes / 1_048_576).toFixed(1);
  console.log(`
Polls             ${polls}
Mails, messages   ${mails}, ${messages}
Heap              ${mebibytes(begin.heapUsedBytes)} → ${mebibytes(end.heapUsedBytes)} MiB
Resident          ${mebibytes(begin.rssBytes)} → ${mebibytes(end.rssBytes)} MiB, at most ${mebibytes(end.maxRssBytes)}
Sockets           ${begin.sockets} → ${end.sockets}
Open files        ${begin.openFiles} → ${end.openFiles}
`);
}
