import { setQuery } from '../route.ts';
import { clock, counted } from '../words.ts';
import type { Cause } from './rows.ts';

interface CauseListProps {
  readonly causes: readonly Cause[];
  /** The key of the one whose connections alone are shown; empty: all. */
  readonly chosen: string;
  readonly nowMs: number;
}

const shown = 5;

/** What is wrong, at a glance: one line a cause, however many connections fail by it. */
export function CauseList({ causes, chosen, nowMs }: CauseListProps) {
  if (causes.length === 0) return null;
  const more = causes.length - shown;
  return (
    <section class="causes" aria-label="Why connections fail">
      <ul>
        {causes.slice(0, shown).map((cause) => (
          <li key={cause.key}>
            <button
              type="button"
              aria-pressed={cause.key === chosen}
              onClick={() => setQuery({ cause: cause.key === chosen ? '' : cause.key, page: '' })}
            >
              <b>{counted(cause.rows.length, 'connection')}:</b> {cause.sentence || 'No reason was given.'}
              {!Number.isNaN(cause.sinceMs) && (
                <span class="sub">since about {clock(new Date(cause.sinceMs).toISOString(), nowMs)}</span>
              )}
            </button>
          </li>
        ))}
      </ul>
      {more > 0 && <p class="hint">{`and ${counted(more, 'other cause')}, each of fewer connections`}</p>}
    </section>
  );
}
