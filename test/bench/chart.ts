import type { Relative } from './figures.ts';

const labels: Readonly<Record<string, string>> = {
  raw: 'raw fetch',
  app: 'this app',
  mbsync: 'mbsync',
  packages: 'packages alone',
  plain: 'plain script',
  fetchmail: 'fetchmail',
};

const width = 760;
const labelWidth = 120;
const valueWidth = 60;
const rowHeight = 22;
const groupHeight = 40;
/** Longer bars are cut, and shown so: one very slow contender would flatten all others. */
const longest = 40;

/** The times as bars, in multiples of the raw fetch; readable on light and on dark ground. */
export function toSvg(relatives: readonly Relative[]): string {
  const groups = Map.groupBy(relatives, ({ group }) => group);
  const scale = Math.min(longest, Math.max(...relatives.map(({ timesRaw }) => timesRaw), 1));
  const room = width - labelWidth - valueWidth;
  const parts: string[] = [];
  let y = 28;
  for (const [group, bars] of groups) {
    y += 14;
    parts.push(`<text class="group" x="0" y="${y}">${escapeText(group)}</text>`);
    y += 8;
    for (const { contender, timesRaw } of bars) {
      const isCut = timesRaw > scale;
      const length = Math.max((Math.min(timesRaw, scale) / scale) * room, 2);
      const own = contender === 'app' ? ' own' : '';
      const value = timesRaw < 10 ? timesRaw.toFixed(1) : timesRaw.toFixed(0);
      const middle = y + rowHeight / 2 + 4;
      parts.push(
        `<text class="label${own}" x="${labelWidth - 8}" y="${middle}">${escapeText(labels[contender] ?? contender)}</text>`,
        `<rect class="bar${own}" x="${labelWidth}" y="${y + 3}" width="${length.toFixed(1)}" height="${rowHeight - 6}" rx="2"/>`,
        ...(isCut ? [cutMark(labelWidth + length - 24, y)] : []),
        `<text class="value${own}" x="${(labelWidth + length + 6).toFixed(1)}" y="${middle}">${value}×</text>`,
      );
      y += rowHeight;
    }
    y += groupHeight - 22;
  }
  const height = y;
  const title =
    'Time for the same mailbox, in multiples of a raw fetch that throws the bytes away (shorter is better)';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${title}">
<style>
text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328; }
.title { font-weight: 600; }
.group { font-weight: 600; font-size: 12px; fill: #59636e; }
.label { text-anchor: end; }
.own { font-weight: 600; }
.bar { fill: #9aa4af; }
.bar.own { fill: #0969da; }
.cut { stroke: #ffffff; stroke-width: 3; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .group { fill: #9198a1; }
  .bar { fill: #59636e; }
  .bar.own { fill: #4493f8; }
  .cut { stroke: #0d1117; }
}
</style>
<text class="title" x="0" y="16">${title}</text>
${parts.join('\n')}
</svg>
`;
}

function cutMark(x: number, y: number): string {
  const line = (at: number) =>
    `<line class="cut" x1="${at.toFixed(1)}" y1="${y + rowHeight - 1}" x2="${(at + 8).toFixed(1)}" y2="${y + 1}"/>`;
  return line(x) + line(x + 7);
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
