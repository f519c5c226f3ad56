import { serverNow } from '../api.ts';
import type { Connections } from '../connections.ts';
import { useNow } from '../polled.ts';
import { filterRows, type Row } from '../status.ts';
import { counted } from '../words.ts';
import { FilterBar, type FilterState, noFilter } from './filter.tsx';
import { ConnectionRow } from './row.tsx';

interface ConnectionListProps {
  /** Undefined while the first load lasts. */
  readonly rows: readonly Row[] | undefined;
  readonly connections: Connections;
  readonly filter: FilterState;
}

const pageSize = 50;

export function ConnectionList({ rows, connections, filter: state }: ConnectionListProps) {
  const nowMs = useNow(serverNow);
  const { filter, setFilter, setPage } = state;
  const found = filterRows(rows ?? [], filter);
  const pages = Math.max(1, Math.ceil(found.length / pageSize));
  const page = Math.min(state.page, pages - 1);
  const failing = rows?.filter(({ status }) => status.isFailing).length ?? 0;

  return (
    <>
      <div class="heading">
        <div>
          <h1 tabIndex={-1}>Connections</h1>
          <p class="summary" role="status">
            {rows === undefined ? 'Loading…' : summaryOf(rows.length, failing, found.length)}
          </p>
        </div>
        <a class="button primary" href="#/new">
          New connection
        </a>
      </div>
      <FilterBar rows={rows ?? []} filter={filter} setFilter={setFilter} />
      {connections.error !== undefined && rows !== undefined && (
        <p class="banner trouble" role="alert">
          What you see is not up to date: {connections.error.message}
        </p>
      )}
      {rows !== undefined && found.length > 0 && (
        <table class="rows">
          <caption class="hidden">Connections, failing ones first</caption>
          <thead>
            <tr>
              <th scope="col">Connection</th>
              <th scope="col">Status</th>
              <th scope="col">Schedule</th>
              <th scope="col">Last run</th>
              <th scope="col">Last time</th>
              <th scope="col">Next run</th>
              <th scope="col">Last day</th>
              <th scope="col">
                <span class="hidden">Actions</span>
              </th>
            </tr>
          </thead>
          {found.slice(page * pageSize, (page + 1) * pageSize).map((row) => (
            <ConnectionRow key={row.id} row={row} nowMs={nowMs} connections={connections} />
          ))}
        </table>
      )}
      {pages > 1 && <Pager page={page} pages={pages} setPage={setPage} />}
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
          <button type="button" onClick={() => setFilter(noFilter)}>
            Show all
          </button>
        </div>
      )}
    </>
  );
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
  readonly setPage: (page: number) => void;
}

function Pager({ page, pages, setPage }: PagerProps) {
  const go = (to: number): void => {
    setPage(to);
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
