import type { RunHistory } from '../../../connection/history.ts';
import { type DayHour, lastDay, totalsOf } from './lastDay.ts';

interface ChartProps {
  readonly history: RunHistory | undefined;
  readonly nowMs: number;
}

const step = 5;
const barWidth = 4;
const mailHeight = 20;
const failureHeight = 8;
const baseline = mailHeight + 1;
const height = baseline + failureHeight + 2;

/** The last day by the hour: mails upwards, failures downwards from the line. */
export function Chart({ history, nowMs }: ChartProps) {
  const hours = lastDay(history, nowMs);
  const { mails, failures, most, words } = totalsOf(hours);
  return (
    <svg
      class="chart"
      viewBox={`0 0 ${hours.length * step - 1} ${height}`}
      role="img"
      aria-label={`Last day: ${words}`}
    >
      <title>{words}</title>
      {mails > 0 && hours.map((hour, index) => bar(hour, index, most))}
      {failures > 0 && hours.map(failureBar)}
      <line x1="0" x2={hours.length * step - 1} y1={baseline + 0.5} y2={baseline + 0.5} />
    </svg>
  );
}

function bar({ mails, startMs }: DayHour, index: number, most: number) {
  if (mails === 0) return null;
  const size = Math.max(2, Math.round((mails / most) * mailHeight));
  return (
    <rect key={startMs} class="mails" x={index * step} y={baseline - size} width={barWidth} height={size} />
  );
}

function failureBar({ failures, startMs }: DayHour, index: number) {
  if (failures === 0) return null;
  const size = Math.min(failureHeight, 2 + failures);
  return (
    <rect key={startMs} class="failures" x={index * step} y={baseline + 2} width={barWidth} height={size} />
  );
}
