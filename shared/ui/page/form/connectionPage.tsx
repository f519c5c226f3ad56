import { hasStatus, readConnection, serverNow } from '../api.ts';
import { type Connections, isDisabled } from '../connections.ts';
import { Waiting } from '../list/connectionList.tsx';
import { type Connection, type Key, nameOf } from '../model.ts';
import { useLoaded } from '../polled.ts';
import { hrefOf, leaveTo, type Route } from '../route.ts';
import { useShell } from '../shell.ts';
import { Missing } from '../show/showPage.tsx';
import { statusOf } from '../status.ts';
import { taken } from '../transfer/importPage.tsx';
import { ConnectionForm } from './connectionForm.tsx';
import { emptyDraft, toDraft } from './draft.ts';
import type { Draft } from './fields.ts';

interface ConnectionPageProps {
  readonly route: Route;
  readonly connections: Connections;
  /** False while a key is asked for. */
  readonly isReady: boolean;
}

/** The form for a new connection, a copy of one, one of an imported file, or one that there is. */
export function ConnectionPage({ route, connections, isReady }: ConnectionPageProps) {
  const { notify } = useShell();
  const key: Key = 'key' in route ? route.key : { customer: '', connection: '' };
  const { customer, connection: name } = key;
  const isRead = 'key' in route;
  const { data, error, reload } = useLoaded(isRead && isReady ? nameOf(key) : undefined, () =>
    readConnection(key),
  );
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
  const isMissing = hasStatus(error, 404);
  const imported =
    route.page === 'take' ? toDraft({ state: {}, ...(taken.get(nameOf(key)) ?? key) }) : undefined;
  const stored = route.page === 'copy' ? undefined : data;
  const start =
    imported ??
    (data === undefined
      ? emptyDraft
      : route.page === 'copy'
        ? copyOf(data.connection)
        : toDraft(data.connection));
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
          {route.page === 'new' ? 'New connection' : route.page === 'copy' ? `Copy of ${name}` : name}
        </h1>
      </div>
      {failure && <p class="banner trouble">{failure}</p>}
      {!isRead || (imported && (data || error)) || (data && !isMissing) ? (
        <ConnectionForm key={data?.etag} start={start} stored={stored} saved={saved} reload={reload} />
      ) : isMissing ? (
        <Missing shown={key} />
      ) : (
        <Waiting error={error} retry={reload} />
      )}
    </>
  );
}

function copyOf(connection: Connection): Draft {
  const draft = toDraft(connection);
  return { ...draft, key: { ...draft.key, connection: `${draft.key.connection}-copy`.slice(0, 63) } };
}
