import { useMemo, useState } from 'preact/hooks';
import { serverNow } from '../api.ts';
import type { Connections } from '../connections.ts';
import { useNow } from '../polled.ts';
import { type Route, setQuery } from '../route.ts';
import { Table } from '../table.tsx';
import { exportConnections } from '../transfer/transfer.ts';
import { counted, span } from '../words.ts';
import { BulkBar } from './bulkBar.tsx';
import { CauseList } from './causeList.tsx';
import { clearFilter, FilterBar, readFilter } from './filter.tsx';
import { ConnectionRow } from './row.tsx';
import { causesOf, filterRows, type Row } from './rows.ts';

interface ConnectionListProps {
  readonly route: Route;
  /** Undefined while the first load lasts. */
  readonly rows: readonly Row[] | undefined;
  readonly connections: Connections;
}

const pageSize = 50;
/** What is older says so: it is loaded anew every few seconds. */
const staleMs = 20_000;

export function ConnectionList({ route, rows, connections }: ConnectionListProps) {
  const nowMs = useNow(serverNow);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const filter = readFilter(route);
  const found = filterRows(rows ?? [], filter);
  const pages = Math.max(1, Math.ceil(found.length / pageSize));
  const page = Math.min(Math.max(Number(route.query.get('page') ?? 1) - 1 || 0, 0), pages - 1);
  const shown = found.slice(page * pageSize, (page + 1) * pageSize);
  const causes = useMemo(() => causesOf(rows ?? []), [rows]);
  const failing = rows?.filter(({ status }) => status.isFailing).length ?? 0;
  const chosen = found.filter(({ id }) => selected.has(id));
  const areAll = found.length > 0 && chosen.length === found.length;
  const select = (ids: readonly string[], isOn: boolean): void =>
    setSelected((before) => {
      const changed = new Set(ids);
      return isOn ? new Set([...before, ...ids]) : new Set([...before].filter((id) => !changed.has(id)));
    });

  return (
    <>
      <div class="heading">
        <div>
          <h1 tabIndex={-1}>Connections</h1>
          <p class="summary" role="status">
            {rows !== undefined
              ? summaryOf(rows.length, failing, found.length)
              : connections.error === undefined
                ? 'Loading…'
                : ''}
          </p>
          <AsOf connections={connections} />
        </div>
        <div class="buttons">
          <button
            type="button"
            disabled={found.length === 0}
            onClick={() => exportConnections(found.map(({ connection }) => connection))}
          >
            Export
          </button>
          <a class="button" href="#/import">
            Import
          </a>
          <a class="button primary" href="#/new">
            New connection
          </a>
        </div>
      </div>
      <FilterBar rows={rows ?? []} query={route.query} />
      <CauseList causes={causes} chosen={filter.cause ?? ''} nowMs={nowMs} />
      {connections.error && rows && (
        <p class="banner trouble" role="alert">
          What you see is not up to date: {connections.error.message}
        </p>
      )}
      {chosen.length > 0 && <BulkBar chosen={chosen} connections={connections} keep={setSelected} />}
      {found.length > 0 && (
        <p class="select-all">
          <label class="check">
            <input
              type="checkbox"
              checked={areAll}
              onChange={({ currentTarget }) =>
                select(
                  found.map(({ id }) => id),
                  currentTarget.checked,
                )
              }
            />
            Select all {found.length.toLocaleString('en')}
          </label>
        </p>
      )}
      {found.length > 0 && (
        <Table
          kind="connections"
          caption="Connections, failing ones first"
          columns={['Connection', 'Status', 'Schedule', 'Last run', 'Last mail', 'Next run', 'Last day', '']}
        >
          {shown.map((row) => (
            <ConnectionRow
              key={row.id}
              row={row}
              nowMs={nowMs}
              connections={connections}
              isSelected={selected.has(row.id)}
              select={(isOn) => select([row.id], isOn)}
            />
          ))}
        </Table>
      )}
      {pages > 1 && <Pager page={page} pages={pages} />}
      {rows === undefined && <Waiting error={connections.error} retry={connections.reload} />}
      {rows?.length === 0 && (
        <div class="empty">
          <h2>No connections yet</h2>
          <p>
            A connection is a mailbox whose mails go to a Service Bus queue. It takes a host, a user and a
            password.
          </p>
          <a class="button primary" href="#/new">
            Add the first one
          </a>
        </div>
      )}
      {rows !== undefined && rows.length > 0 && found.length === 0 && (
        <div class="empty">
          <h2>None matches</h2>
          <p>No connection matches the search and filters.</p>
          <button type="button" onClick={clearFilter}>
            Show all
          </button>
        </div>
      )}
    </>
  );
}

/** How old what is shown is; conspicuous once it is older than it should be. */
function AsOf({ connections: { loadedAtMs } }: { connections: Connections }) {
  const monotonicMs = useNow(monotonicNow);
  // As high as what will stand here, so that nothing moves when it comes.
  if (loadedAtMs === undefined) return <p class="as-of">&nbsp;</p>;
  const ageMs = Math.max(monotonicMs - loadedAtMs, 0);
  const isStale = ageMs > staleMs;
  const at = new Date(Date.now() - ageMs).toLocaleTimeString('en-GB');
  return (
    <p class={`as-of${isStale ? ' stale' : ''}`}>
      as of {at}
      {isStale && `, ${span(ageMs)} old`}
    </p>
  );
}

function monotonicNow(): number {
  return performance.now();
}

function summaryOf(all: number, failing: number, found: number): string {
  const shown = found === all ? '' : ` · ${found.toLocaleString('en')} shown`;
  return `${counted(all, 'connection')} · ${failing === 0 ? 'none' : failing.toLocaleString('en')} failing${shown}`;
}

export function Waiting({ error, retry }: { error: Error | undefined; retry: () => void }) {
  return error === undefined ? (
    <div class="waiting" aria-hidden="true">
      <span />
      <span />
      <span />
    </div>
  ) : (
    <div class="empty" role="alert">
      <h2>Nothing could be loaded</h2>
      <p>{error.message}</p>
      <button type="button" onClick={retry}>
        Try again
      </button>
    </div>
  );
}

interface PagerProps {
  readonly page: number;
  readonly pages: number;
}

function Pager({ page, pages }: PagerProps) {
  const go = (to: number): void => {
    setQuery({ page: to === 0 ? '' : String(to + 1) });
    scrollTo(0, 0);
  };
  return (
    <nav class="pager" aria-label="Pages of the list">
      <button type="button" disabled={page === 0} onClick={() => go(page - 1)}>
        Previous
      </button>
      <span>
        Page {(page + 1).toLocaleString('en')} of {pages.toLocaleString('en')}
      </span>
      <button type="button" disabled={page === pages - 1} onClick={() => go(page + 1)}>
        Next
      </button>
    </nav>
  );
}
