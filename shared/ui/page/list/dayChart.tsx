import type { RunHistory } from '../../../connection/history.ts';
import { counted } from '../words.ts';
import { lastDay, totalsOf } from './lastDay.ts';

const step = 20;
const left = 34;
const mailHeight = 70;
const failureHeight = 26;
const top = 14;
const baseline = top + mailHeight;
const bottom = baseline + failureHeight;

/** The last day by the hour with its axis: mails upwards, failed runs downwards, hours below, the most at the side. */
export function DayChart({ history, nowMs }: { history: RunHistory | undefined; nowMs: number }) {
  const hours = lastDay(history, nowMs);
  const { most, words } = totalsOf(hours);
  const mostFailures = Math.max(...hours.map(({ failures }) => failures), 0);
  const width = left + hours.length * step;
  return (
    <svg
      class="chart day"
      viewBox={`0 0 ${width} ${bottom + 18}`}
      role="img"
      aria-label={`Last day: ${words}`}
    >
      <line x1={left} x2={width} y1={baseline + 0.5} y2={baseline + 0.5} />
      {most > 0 && (
        <text x={left - 6} y={top + 5} text-anchor="end">
          {most.toLocaleString('en')}
        </text>
      )}
      <text x={left - 6} y={baseline + 4} text-anchor="end">
        0
      </text>
      {mostFailures > 0 && (
        <text x={left - 6} y={bottom} text-anchor="end" class="bad">
          {mostFailures.toLocaleString('en')}
        </text>
      )}
      {hours.map(({ startMs, mails, failures }, index) => {
        const x = left + index * step + 2;
        const size = most === 0 ? 0 : Math.max(mails > 0 ? 2 : 0, Math.round((mails / most) * mailHeight));
        const bad = mostFailures === 0 ? 0 : Math.ceil((failures / mostFailures) * failureHeight);
        const hour = new Date(startMs).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
        return (
          <g key={startMs}>
            <title>{`${hour}: ${counted(mails, 'mail')}, ${counted(failures, 'failed run')}`}</title>
            <rect class="hour" x={x - 2} y={top} width={step} height={bottom - top} />
            {size > 0 && <rect class="mails" x={x} y={baseline - size} width={step - 4} height={size} />}
            {bad > 0 && <rect class="failures" x={x} y={baseline + 1} width={step - 4} height={bad} />}
            {new Date(startMs).getHours() % 4 === 0 && (
              <text x={x} y={bottom + 14}>
                {hour}
              </text>
            )}
          </g>
        );
      })}
    </svg>
  );
}
