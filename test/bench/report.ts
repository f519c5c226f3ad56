import { type Figure, isMet, median, type Series } from './figures.ts';

/** The result as a Markdown table, which a terminal shows well enough, too. Without `judges` it doesn't say which bars are met. */
export function toTable(figures: readonly Figure[], judges: boolean): string {
  const rows = [
    ['scenario', 'measured', 'result', 'bar', 'met'],
    ...figures.map((figure) => [
      figure.scenario,
      figure.series.map(describe).join('; '),
      amount(figure, figure.value),
      figure.bar === undefined
        ? ''
        : `${figure.bar.is === 'at most' ? '≤' : '≥'} ${amount(figure, figure.bar.value)}`,
      judges ? met(figure) : '',
    ]),
  ];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map(
    (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`,
  );
  lines.splice(1, 0, `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`);
  return lines.join('\n');
}

function describe({ name, unit, samples }: Series): string {
  const value = median(samples);
  if (unit === 'ms')
    return `${name} ${value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en')} ms`;
  const list = samples.map((sample) => sample.toFixed(0)).join(', ');
  return unit === 'MiB' ? `${list} MiB` : list;
}

function amount({ unit }: Figure, value: number): string {
  if (unit === 'ratio') return Number(value.toFixed(2)).toString();
  return unit === 'MiB' ? `${value.toFixed(0)} MiB` : value.toFixed(0);
}

function met(figure: Figure): string {
  const isIt = isMet(figure);
  if (isIt === undefined) return '';
  return isIt ? 'yes' : '**no**';
}
