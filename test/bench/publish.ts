import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..', '..');
const chartFile = 'docs/performance/bench.svg';
const begin = '<!-- bench:start -->';
const end = '<!-- bench:end -->';

/** Writes the chart, and the README's section between the marks. Throws when the marks aren't there. */
export async function publish(table: string, svg: string | undefined, machine: string): Promise<void> {
  const readmePath = join(root, 'README.md');
  const readme = await readFile(readmePath, 'utf8');
  const from = readme.indexOf(begin);
  const to = readme.indexOf(end);
  if (from === -1 || to < from) throw new Error(`README.md has no ${begin} … ${end}.`);
  if (svg !== undefined) {
    await mkdir(dirname(join(root, chartFile)), { recursive: true });
    await writeFile(join(root, chartFile), svg);
  }
  const section = [
    begin,
    ...(svg === undefined
      ? []
      : [`![Time for the same mailbox, in multiples of a raw fetch](${chartFile})`, '']),
    table,
    '',
    machine,
    '',
  ].join('\n');
  await writeFile(readmePath, `${readme.slice(0, from)}${section}${readme.slice(to)}`);
}
