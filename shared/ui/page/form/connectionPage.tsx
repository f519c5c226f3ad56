import { useEffect, useState } from 'preact/hooks';
import { ApiError, readConnection, serverNow, type Tagged } from '../api.ts';
import { type Connections, isDisabled } from '../connections.ts';
import { Waiting } from '../list/connectionList.tsx';
import { type Connection, type Key, nameOf } from '../model.ts';
import { hrefOf, leaveTo, type Route } from '../route.ts';
import { useShell } from '../shell.ts';
import { Missing } from '../show/showPage.tsx';
import { statusOf } from '../status.ts';
import { taken } from '../transfer/importPage.tsx';
import { ConnectionForm } from './connectionForm.tsx';
import { emptyDraft, toDraft } from './draft.ts';
import type { Draft } from './draftColumns.ts';

interface ConnectionPageProps {
  readonly route: Route;
  readonly connections: Connections;
  /** False while a key is asked for. */
  readonly isReady: boolean;
}

/** The form for a new connection, a copy of one, one of an imported file, or one that there is. */
export function ConnectionPage({ route, connections, isReady }: ConnectionPageProps) {
  const { notify } = useShell();
  const [read, setRead] = useState<Tagged>();
  const [error, setError] = useState<Error>();
  const [tries, setTries] = useState(0);
  const key: Key = 'key' in route ? route.key : { customer: '', connection: '' };
  const { customer, connection: name } = key;
  const isRead = route.page === 'edit' || route.page === 'copy';

  useEffect(() => {
    if (!isRead || !isReady || tries < 0) return;
    let isOver = false;
    setError(undefined);
    readConnection({ customer, connection: name }).then(
      (found) => !isOver && setRead(found),
      (caught: Error) => !isOver && setError(caught),
    );
    return () => {
      isOver = true;
    };
  }, [customer, name, tries, isReady, isRead]);

  const reload = (): void => {
    setRead(undefined);
    setTries((before) => before + 1);
  };
  const saved = (connection: Connection): void => {
    connections.put(connection);
    leaveTo(hrefOf('show', connection));
    if (isDisabled(connection)) {
      notify(`${nameOf(connection)} is saved.`);
      return;
    }
    notify(`${nameOf(connection)} is saved, and is polled now.`);
    void connections.poll(connection);
  };
  const isMissing = error instanceof ApiError && error.status === 404;
  const start =
    route.page === 'new'
      ? emptyDraft
      : route.page === 'take'
        ? toDraft({ state: {}, ...(taken.get(nameOf(key)) ?? key) })
        : undefined;
  const stored = route.page === 'edit' ? read : undefined;
  const failure = stored && statusOf(stored.connection, serverNow()).error;

  return (
    <>
      <p class="back">
        <a href={route.page === 'edit' ? hrefOf('show', key) : '#/'}>
          ← {route.page === 'edit' ? nameOf(key) : 'Connections'}
        </a>
      </p>
      <div class="heading">
        <h1 tabIndex={-1}>
          {route.page === 'edit' && <span class="customer">Edit {customer}/</span>}
          {titleOf(route.page, name)}
        </h1>
      </div>
      {failure && <p class="banner trouble">{failure}</p>}
      {start !== undefined && (
        <ConnectionForm start={start} stored={undefined} saved={saved} reload={reload} />
      )}
      {isRead && read === undefined && !isMissing && <Waiting error={error} retry={reload} />}
      {isMissing && <Missing shown={key} />}
      {isRead && read !== undefined && (
        <ConnectionForm
          key={read.etag}
          start={route.page === 'copy' ? copyOf(read.connection) : toDraft(read.connection)}
          stored={stored}
          saved={saved}
          reload={reload}
        />
      )}
    </>
  );
}

function titleOf(page: Route['page'], name: string): string {
  return page === 'new' ? 'New connection' : page === 'copy' ? `Copy of ${name}` : name;
}

function copyOf(connection: Connection): Draft {
  const draft = toDraft(connection);
  return { ...draft, key: { ...draft.key, connection: `${draft.key.connection}-copy`.slice(0, 63) } };
}
