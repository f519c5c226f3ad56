import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { FoundRun } from '../../../journal/found.ts';
import {
  findMails,
  findRuns,
  hasStatus,
  type ListFilter,
  listUndelivered,
  readConnection,
  serverNow,
} from '../api.ts';
import { type Connections, isDisabled } from '../connections.ts';
import { JournalNote, Mails } from '../journal/mailsPage.tsx';
import { type Search, useSearch } from '../journal/search.ts';
import { Chart } from '../list/chart.tsx';
import { Waiting } from '../list/connectionList.tsx';
import { lastDay, lastMail, totalsOf } from '../list/lastDay.ts';
import { DeleteDialog } from '../list/moreActions.tsx';
import { lastRun, serverOf } from '../list/row.tsx';
import { StatusMark } from '../list/statusMark.tsx';
import { type Connection, type JournalPage, type Key, nameOf } from '../model.ts';
import { useLoaded, useNow, usePolled } from '../polled.ts';
import { RecordTable } from '../recordTable.tsx';
import { hrefOf, hrefWith } from '../route.ts';
import { useShell } from '../shell.ts';
import { statusOf } from '../status.ts';
import { ahead, clock, counted, exact, schedule, size } from '../words.ts';

interface ShowPageProps {
  readonly shown: Key;
  readonly connections: Connections;
  /** False while a key is asked for. */
  readonly isReady: boolean;
}

/** A connection's own page: how it fares, what its runs did, its mails and those that wait. */
export function ShowPage({ shown, connections, isReady }: ShowPageProps) {
  const read = useLoaded(isReady ? nameOf(shown) : undefined, () => readConnection(shown));
  const listed = connections.data?.find((each) => nameOf(each) === nameOf(shown));
  const isListed = listed !== undefined;
  const isMissing = !isListed && hasStatus(read.error, 404);
  const connection = isMissing ? undefined : (listed ?? read.data?.connection);
  const wasListed = useRef(isListed);
  // One that is no longer listed is asked for again: it may have been deleted.
  useEffect(() => {
    if (wasListed.current && !isListed) read.reload();
    wasListed.current = isListed;
  }, [isListed]);
  return (
    <>
      <p class="back">
        <a href="#/">← Connections</a>
      </p>
      <div class="heading">
        <h1 tabIndex={-1}>
          <span class="customer">{shown.customer}/</span>
          {shown.connection}
        </h1>
        {connection !== undefined && <Actions connection={connection} connections={connections} />}
      </div>
      {connection !== undefined && (
        <>
          <Health connection={connection} />
          <Runs connection={connection} />
          <WaitingMails shown={shown} />
          <LatestMails connection={connection} />
        </>
      )}
      {connection === undefined && !isMissing && <Waiting error={read.error} retry={read.reload} />}
      {isMissing && <Missing shown={shown} />}
    </>
  );
}

export function Missing({ shown }: { shown: Key }) {
  return (
    <div class="empty" role="alert">
      <h2>There is no connection {nameOf(shown)}</h2>
      <p>It may have been deleted meanwhile. What became of its mails is still under Mails.</p>
      <a class="button" href={hrefWith('mails', { ...shown })}>
        Its mails
      </a>
    </div>
  );
}

function Health({ connection }: { connection: Connection }) {
  const nowMs = useNow(serverNow);
  const status = statusOf(connection, nowMs);
  const { state } = connection;
  const { lastRunStartedAt, lastMailAt, nextRunAt, history } = state;
  const facts: readonly (readonly [name: string, value: ComponentChildren, title?: string])[] = [
    ['Status', <StatusMark key="status" status={status} />],
    ['Last run', lastRun({ id: '', connection, status }, nowMs), exact(lastRunStartedAt)],
    ['Last mail', lastMail(lastMailAt, history, nowMs), exact(lastMailAt)],
    ['Next run', status.kind === 'disabled' ? '–' : ahead(nextRunAt, nowMs), exact(nextRunAt)],
    ['Mailbox', serverOf(connection)],
    ['Schedule', schedule(connection)],
    [
      'Last day',
      <div key="day">
        <Chart history={history} nowMs={nowMs} isLarge />
        <p class="hint" aria-hidden="true">
          {totalsOf(lastDay(history, nowMs)).words}
        </p>
      </div>,
    ],
  ];
  return (
    <section class={`health ${status.isFailing ? 'failing' : ''}`} aria-label="Last run">
      {status.error !== '' && <p class="why">{status.error}</p>}
      <dl>
        {facts.map(([name, value, title]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd title={title}>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Actions({ connection, connections }: { connection: Connection; connections: Connections }) {
  const [asksDelete, setAsksDelete] = useState(false);
  const busy = connections.busy.get(nameOf(connection));
  const isBusy = busy !== undefined;
  const isOff = isDisabled(connection);
  return (
    <div class="buttons">
      <button type="button" disabled={isBusy || isOff} onClick={() => connections.poll(connection)}>
        {busy === 'polled' ? 'Polling…' : 'Poll now'}
      </button>
      <button type="button" disabled={isBusy} onClick={() => connections.toggle(connection)}>
        {isOff ? 'Enable' : 'Disable'}
      </button>
      <a class="button" href={hrefOf('copy', connection)}>
        Duplicate
      </a>
      <button type="button" class="danger" onClick={() => setAsksDelete(true)}>
        Delete…
      </button>
      <a class="button primary" href={hrefOf('edit', connection)}>
        Edit
      </a>
      {asksDelete && (
        <DeleteDialog
          connection={connection}
          remove={async () => {
            if (await connections.remove(connection)) location.hash = '#/';
          }}
          close={() => setAsksDelete(false)}
        />
      )}
    </div>
  );
}

const weekMs = 7 * 86_400_000;

const shownFirst = 20;

/** A search in what the connection has done, begun anew when there is more, but not while older ones are read. */
function useOwn<T>(
  find: (filter: ListFilter) => Promise<JournalPage<T>>,
  { customer, connection, state }: Connection,
  readFrom?: () => string,
): Search<T> {
  const search = useSearch(find, `${customer}/${connection}`, () => ({
    customer,
    connection,
    from: readFrom?.(),
    limit: String(shownFirst),
  }));
  // It changes with each run that has a line.
  const history = JSON.stringify(state.history);
  const seen = useRef(history);
  useEffect(() => {
    if (seen.current === history) return;
    seen.current = history;
    if ((search.page?.found.length ?? 0) <= shownFirst) search.reload();
  });
  return search;
}

/** The last runs that moved mail or failed, each with its sentence. */
function Runs({ connection }: { connection: Connection }) {
  const nowMs = useNow(serverNow);
  const search = useOwn(findRuns, connection, () => new Date(serverNow() - weekMs).toISOString());
  const { page, error, isLoading, loadMore, reload } = search;
  return (
    <section class="part" aria-label="Runs">
      <div class="part-heading">
        <h2>Runs</h2>
        <button type="button" class="quiet" disabled={isLoading} onClick={reload}>
          {isLoading ? 'Loading…' : 'Load again'}
        </button>
      </div>
      <JournalNote page={page} />
      {error !== undefined && <p class="field-error">{error.message}</p>}
      {page?.found.length === 0 && <p class="hint">No run has moved mail or failed in the last week.</p>}
      {page !== undefined && page.found.length > 0 && (
        <ul class="runs">
          {page.found.map((run) => (
            <li key={run.runId} class={run.status === 'failed' ? 'failing' : ''}>
              <span title={exact(run.at)}>{clock(run.at, nowMs)}</span>
              <span>{sentenceOf(run)}</span>
            </li>
          ))}
        </ul>
      )}
      {page?.next !== undefined && (
        <p class="pager">
          <button type="button" disabled={isLoading} onClick={loadMore}>
            Older runs
          </button>
        </p>
      )}
    </section>
  );
}

function sentenceOf({ status, mails, messages, bytes, durationMs, error }: FoundRun): string {
  const seconds =
    durationMs < 1_000 ? `${Math.round(durationMs)} ms` : `${(durationMs / 1_000).toFixed(1)} s`;
  const moved = `${counted(mails, 'mail')}, ${counted(messages, 'message')}, ${size(bytes)} in ${seconds}.`;
  if (status !== 'failed') return `${moved}${error ? ` ${error}` : ''}`;
  return `Failed: ${error ?? 'no reason was given.'}${mails > 0 ? ` Before: ${moved}` : ''}`;
}

/** Its mails that wait to be sent. */
function WaitingMails({ shown: { customer, connection } }: { shown: Key }) {
  // Where it can't be loaded, the page above says so.
  const { data, reload } = usePolled(() => listUndelivered({ customer, connection }, shownFirst), useShell());
  if (data === undefined || data.undelivered.length === 0) return null;
  return (
    <section class="part" aria-label="Undelivered mails">
      <div class="part-heading">
        <h2>Undelivered</h2>
        <a href={hrefWith('undelivered', { customer, connection })}>All of them</a>
      </div>
      <RecordTable records={data.undelivered} showsConnection={false} reload={reload} />
    </section>
  );
}

function LatestMails({ connection }: { connection: Connection }) {
  const nowMs = useNow(serverNow);
  const search = useOwn(findMails, connection);
  return (
    <section class="part" aria-label="Mails">
      <div class="part-heading">
        <h2>Mails of the last two days</h2>
        <a href={hrefWith('mails', { customer: connection.customer, connection: connection.connection })}>
          Search in them
        </a>
      </div>
      <Mails search={search} nowMs={nowMs} showsConnection={false} isFiltered={false} />
    </section>
  );
}
