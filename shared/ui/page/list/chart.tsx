import type { RunHistory } from '../../../connection/history.ts';
import { counted, timeOfDay } from '../words.ts';
import { lastDay, totalsOf } from './lastDay.ts';

interface ChartProps {
  readonly history: RunHistory | undefined;
  readonly nowMs: number;
  /** With its axis: hours below, the most at the side. */
  readonly isLarge?: boolean;
}

/** In units of the drawing. */
const small = { step: 5, gap: 1, left: 0, top: 0, mailHeight: 20, failureHeight: 8, below: 2 };
const large = { step: 20, gap: 4, left: 36, top: 14, mailHeight: 70, failureHeight: 26, below: 18 };

/** The last day by the hour: mails upwards, failed runs downwards from the line. */
export function Chart({ history, nowMs, isLarge = false }: ChartProps) {
  const { step, gap, left, top, mailHeight, failureHeight, below } = isLarge ? large : small;
  const hours = lastDay(history, nowMs);
  const { most, words } = totalsOf(hours);
  const mostFailures = Math.max(...hours.map(({ failures }) => failures));
  const width = left + hours.length * step - gap;
  const baseline = top + mailHeight + 1;
  const bottom = baseline + failureHeight;
  // What is there is seen, however little it is beside the most.
  const sizeOf = (count: number, ofMost: number, height: number) =>
    count === 0 ? 0 : Math.max(2, Math.round((count / ofMost) * height));
  const sideLabel = (count: number, y: number, kind = '') => (
    <text x={left - 8} y={y} text-anchor="end" class={kind}>
      {count.toLocaleString('en')}
    </text>
  );
  return (
    <svg
      class={`chart${isLarge ? ' day' : ''}`}
      viewBox={`0 0 ${width} ${bottom + below}`}
      role="img"
      aria-label={`Last day: ${words}`}
    >
      {!isLarge && <title>{words}</title>}
      <line x1={left} x2={width} y1={baseline + 0.5} y2={baseline + 0.5} />
      {isLarge && most > 0 && sideLabel(most, top + 5)}
      {isLarge && sideLabel(0, baseline + 4)}
      {isLarge && mostFailures > 0 && sideLabel(mostFailures, bottom, 'bad')}
      {hours.map(({ startMs, mails, failures }, index) => {
        const bar = { x: left + index * step, width: step - gap };
        const size = sizeOf(mails, most, mailHeight);
        const bad = sizeOf(failures, mostFailures, failureHeight);
        // Fifty of them are drawn anew each second: no more than what is seen.
        const hour = isLarge && timeOfDay(startMs);
        return (
          <g key={startMs}>
            {hour && (
              <>
                <title>{`${hour}: ${counted(mails, 'mail')}, ${counted(failures, 'failed run')}`}</title>
                <rect class="hour" x={bar.x} y={top} width={step} height={bottom - top} />
              </>
            )}
            {size > 0 && <rect class="mails" {...bar} y={baseline - size} height={size} />}
            {bad > 0 && <rect class="failures" {...bar} y={baseline + 1} height={bad} />}
            {hour && new Date(startMs).getHours() % 4 === 0 && (
              <text x={bar.x} y={bottom + 14}>
                {hour}
              </text>
            )}
          </g>
        );
      })}
    </svg>
  );
}
