import type { Status, StatusKind } from '../status.ts';

/** A shape for each status, so that none is told by its colour alone. */
const shapes: Readonly<Record<StatusKind, string>> = {
  failing: 'M8 1.5 15.2 14H.8ZM8 6v4m0 2v.5',
  running: 'M8 2a6 6 0 1 1-6 6',
  ok: 'M2.5 8.5 6.5 12.5 13.5 4',
  skipped: 'M3 3.5 8 8l-5 4.5m6-9L14 8l-5 4.5',
  disabled: 'M5 3v10m6-10v10',
  new: 'M8 2.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 1 1 0-11',
};

export function StatusMark({ status }: { status: Status }) {
  return (
    <>
      <span class={`status ${status.kind}${status.isFailing ? ' is-failing' : ''}`}>
        <svg viewBox="0 0 16 16" aria-hidden="true">
          <path d={shapes[status.kind]} />
        </svg>
        {status.label}
      </span>
      {status.note !== '' && <span class="sub">{status.note}</span>}
    </>
  );
}
