import { useEffect, useState } from 'preact/hooks';
import { ApiError, readConnection, serverNow, type Tagged } from '../api.ts';
import type { Connections } from '../connections.ts';
import { Chart } from '../list/chart.tsx';
import { Waiting } from '../list/connectionList.tsx';
import { lastDay, totalsOf } from '../list/lastDay.ts';
import { DeleteDialog } from '../list/moreActions.tsx';
import { lastRun } from '../list/row.tsx';
import { StatusMark } from '../list/statusMark.tsx';
import { type Connection, nameOf } from '../model.ts';
import { useNow } from '../polled.ts';
import { hrefOf, type Route } from '../route.ts';
import { useShell } from '../shell.ts';
import { statusOf } from '../status.ts';
import { ahead, counted } from '../words.ts';
import { ConnectionForm } from './connectionForm.tsx';
import { emptyDraft, toDraft } from './draft.ts';
import type { Draft } from './draftColumns.ts';

export type FormRoute = Extract<Route, { page: 'new' | 'copy' | 'edit' }>;

interface ConnectionPageProps {
  readonly route: FormRoute;
  readonly connections: Connections;
  /** False while a key is asked for. */
  readonly isReady: boolean;
}

/** The form for a new connection, a copy of one, or one that there is. */
export function ConnectionPage({ route, connections, isReady }: ConnectionPageProps) {
  const { notify } = useShell();
  const [read, setRead] = useState<Tagged>();
  const [error, setError] = useState<Error>();
  const [tries, setTries] = useState(0);
  const source = route.page === 'new' ? undefined : route.key;
  const { customer = '', connection: name = '' } = source ?? {};

  useEffect(() => {
    if (name === '' || !isReady || tries < 0) return;
    let isOver = false;
    setError(undefined);
    readConnection({ customer, connection: name }).then(
      (found) => !isOver && setRead(found),
      (caught: Error) => !isOver && setError(caught),
    );
    return () => {
      isOver = true;
    };
  }, [customer, name, tries, isReady]);

  const reload = (): void => {
    setRead(undefined);
    setTries((before) => before + 1);
  };
  const saved = (connection: Connection): void => {
    connections.put(connection);
    notify(`${nameOf(connection)} is saved.`);
    location.hash = '#/';
  };
  const title = route.page === 'new' ? 'New connection' : route.page === 'copy' ? `Copy of ${name}` : name;
  const isMissing = error instanceof ApiError && error.status === 404;

  return (
    <>
      <p class="back">
        <a href="#/">← Connections</a>
      </p>
      <div class="heading">
        <h1 tabIndex={-1}>
          {route.page === 'edit' && <span class="customer">{customer}/</span>}
          {title}
        </h1>
        {route.page === 'edit' && read !== undefined && (
          <Actions connection={read.connection} connections={connections} />
        )}
      </div>
      {source === undefined && (
        <ConnectionForm start={emptyDraft} stored={undefined} saved={saved} reload={reload} />
      )}
      {source !== undefined && read === undefined && !isMissing && <Waiting error={error} retry={reload} />}
      {isMissing && (
        <div class="empty" role="alert">
          <h2>There is no connection {nameOf({ customer, connection: name })}</h2>
          <p>It may have been deleted meanwhile.</p>
          <a class="button" href="#/">
            Back to the list
          </a>
        </div>
      )}
      {source !== undefined && read !== undefined && (
        <div class="sides">
          {route.page === 'edit' && <Health connection={currentOf(connections, read.connection)} />}
          <ConnectionForm
            key={read.etag}
            start={route.page === 'copy' ? copyOf(read.connection) : toDraft(read.connection)}
            stored={route.page === 'copy' ? undefined : read}
            saved={saved}
            reload={reload}
          />
        </div>
      )}
    </>
  );
}

function copyOf(connection: Connection): Draft {
  const draft = toDraft(connection);
  return { ...draft, key: { ...draft.key, connection: `${draft.key.connection}-copy`.slice(0, 63) } };
}

/** With the state of the list, which is newer. */
function currentOf({ data }: Connections, connection: Connection): Connection {
  return data?.find((each) => nameOf(each) === nameOf(connection)) ?? connection;
}

/** How the connection fares: the form's neighbour, since this is why people come to it. */
function Health({ connection }: { connection: Connection }) {
  const nowMs = useNow(serverNow);
  const status = statusOf(connection, nowMs);
  const { state } = connection;
  return (
    <section class={`health ${status.isFailing ? 'failing' : ''}`} aria-label="Last run">
      {status.error !== '' && <p class="why">{status.error}</p>}
      <dl>
        <div>
          <dt>Status</dt>
          <dd>
            <StatusMark status={status} />
          </dd>
        </div>
        <div>
          <dt>Last run</dt>
          <dd>{lastRun({ id: '', connection, status }, nowMs)}</dd>
        </div>
        <div>
          <dt>Last time</dt>
          <dd>
            {state.lastMailCount === undefined
              ? '–'
              : `${counted(state.lastMailCount, 'mail')}, ${counted(state.lastMessageCount ?? 0, 'message')}`}
          </dd>
        </div>
        <div>
          <dt>Next run</dt>
          <dd>{status.kind === 'disabled' ? '–' : ahead(state.nextRunAt, nowMs)}</dd>
        </div>
        <div>
          <dt>Last day</dt>
          <dd>
            <Chart history={state.history} nowMs={nowMs} />
            <p class="hint" aria-hidden="true">
              {totalsOf(lastDay(state.history, nowMs)).words}
            </p>
          </dd>
        </div>
      </dl>
    </section>
  );
}

function Actions({ connection, connections }: { connection: Connection; connections: Connections }) {
  const [asksDelete, setAsksDelete] = useState(false);
  const isBusy = connections.busy.has(nameOf(connection));
  return (
    <div class="buttons">
      <button type="button" disabled={isBusy} onClick={() => connections.poll(connection)}>
        {isBusy ? 'Polling…' : 'Poll now'}
      </button>
      <a class="button" href={hrefOf('copy', connection)}>
        Duplicate
      </a>
      <button type="button" class="danger" onClick={() => setAsksDelete(true)}>
        Delete…
      </button>
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
