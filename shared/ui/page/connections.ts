import { useRef, useState } from 'preact/hooks';
import { forEachOf } from '../../wait/parallel.ts';
import { deleteConnection, hasStatus, listConnections, poll, readConnection, saveConnection } from './api.ts';
import { type Connection, type Key, nameOf, textOf } from './model.ts';
import { type Polled, toError, usePolled } from './polled.ts';
import type { Shell } from './shell.ts';
import { counted } from './words.ts';

/** All connections, and what can be done with them. None of it rejects: the shell says what went wrong. */
export interface Connections
  extends Pick<Polled<readonly Connection[]>, 'data' | 'error' | 'reload' | 'loadedAtMs'> {
  /** What is being done with some of them. */
  readonly busy: ReadonlyMap<string, Doing>;
  /** Shows this one in place of what was known of it. */
  readonly put: (connection: Connection) => void;
  readonly poll: (key: Key) => Promise<void>;
  readonly toggle: (key: Key) => Promise<void>;
  /** Does it with each of them, a few at a time; gives the names of those that it could not be done with. */
  readonly doAll: (keys: readonly Key[], action: BulkAction) => Promise<ReadonlySet<string>>;
  /** Whether it is gone. */
  readonly remove: (key: Key) => Promise<boolean>;
}

type Doing = 'polled' | 'changed';
export type BulkAction = keyof typeof doneWords;

const doneWords = { poll: 'will be polled at once', enable: 'enabled', disable: 'disabled' };

interface Change {
  readonly key: Key;
  /** Undefined for one that was removed. */
  readonly connection: Connection | undefined;
  readonly atMs: number;
}

const atOnce = 4;
/** After so many loads of what has changed all is loaded anew: what was removed is not told otherwise. */
const fullEvery = 12;

export function useConnections({ notify, fail }: Shell): Connections {
  // A list that was asked for before a change must not undo it when it comes.
  const changes = useRef(new Map<string, Change>());
  const known = useRef<{ all: Map<string, Connection>; asOf: string; loads: number } | undefined>(undefined);
  const load = async (): Promise<readonly Connection[]> => {
    const startedAtMs = performance.now();
    const before = known.current;
    const isFull = before === undefined || before.loads >= fullEvery;
    const { connections, asOf } = await listConnections(isFull ? undefined : before.asOf);
    const all = new Map(isFull ? [] : before.all);
    for (const connection of connections) all.set(nameOf(connection), connection);
    known.current = { all, asOf, loads: isFull ? 0 : before.loads + 1 };
    for (const [id, { atMs }] of changes.current) if (atMs < startedAtMs) changes.current.delete(id);
    return applyChanges([...all.values()], [...changes.current.values()]);
  };
  const { data, error, loadedAtMs, change, reload } = usePolled(load, { fail });
  const [busy, setBusy] = useState<Connections['busy']>(new Map());

  const record = (key: Key, connection: Connection | undefined): void => {
    const made = { key, connection, atMs: performance.now() };
    const id = nameOf(key);
    changes.current.set(id, made);
    if (connection === undefined) known.current?.all.delete(id);
    else known.current?.all.set(id, connection);
    change((all) => applyChanges(all, [made]));
  };
  const put = (connection: Connection) => record(connection, connection);

  const begin = (keys: readonly Key[], what: Doing): void =>
    setBusy((before) => new Map([...before, ...keys.map((key) => [nameOf(key), what] as const)]));
  const end = (key: Key): void =>
    setBusy((before) => new Map([...before].filter(([id]) => id !== nameOf(key))));

  const during = async (key: Key, what: Doing, work: () => Promise<void>): Promise<void> => {
    begin([key], what);
    try {
      await work();
    } catch (caught) {
      fail(caught);
    } finally {
      end(key);
    }
  };

  const setEnabled = async (key: Key, enabled?: boolean): Promise<boolean> => {
    const { connection, etag } = await readConnection(key);
    const wanted = enabled ?? isDisabled(connection);
    if (isDisabled(connection) === wanted) {
      put((await saveConnection(key, { ...connection, enabled: wanted }, etag)).connection);
    }
    return wanted;
  };

  return {
    data,
    error,
    loadedAtMs,
    reload,
    busy,
    put,

    poll: (key) =>
      during(key, 'polled', async () => {
        const state = await poll(key, 60);
        const { connection } = await readConnection(key);
        put(connection);
        if (state === undefined)
          notify(`${nameOf(key)} is still being polled, or waits for another run to end.`);
        else if (state.lastStatus === 'ok') {
          const mails = counted(state.lastMailCount ?? 0, 'mail');
          notify(`${nameOf(key)} was polled: ${mails}, ${counted(state.lastMessageCount ?? 0, 'message')}.`);
        } else if (state.lastStatus === 'skipped') {
          notify(
            `${nameOf(key)} was not polled: another run holds it. It is polled when that one has ended.`,
          );
        } else fail(new Error(`${nameOf(key)} could not be polled. ${state.lastError ?? ''}`));
      }),

    toggle: (key) =>
      during(key, 'changed', async () => {
        const enabled = await setEnabled(key);
        notify(`${nameOf(key)} is ${enabled ? 'enabled' : 'disabled'}.`);
      }),

    doAll: async (keys, action) => {
      const failures = new Map<string, string>();
      begin(keys, 'changed');
      await forEachOf(keys, atOnce, async (key) => {
        try {
          if (action === 'poll') await poll(key, 0);
          else await setEnabled(key, action === 'enable');
        } catch (caught) {
          if (hasStatus(caught, 401)) fail(caught);
          failures.set(nameOf(key), toError(caught).message);
        }
        end(key);
      });
      const done = keys.length - failures.size;
      const [first] = failures;
      const said = `${counted(done, 'connection')} ${doneWords[action]}`;
      if (first === undefined) notify(`${said}.`);
      else fail(new Error(`${said}, ${failures.size} not. ${first.join(': ')}`));
      reload();
      return new Set(failures.keys());
    },

    remove: async (key) => {
      let isGone = false;
      await during(key, 'changed', async () => {
        try {
          const { etag } = await readConnection(key);
          await deleteConnection(key, etag);
        } catch (caught) {
          if (!hasStatus(caught, 404)) throw caught;
        }
        record(key, undefined);
        isGone = true;
        notify(`${nameOf(key)} is deleted.`);
      });
      return isGone;
    },
  };
}

export function isDisabled(connection: Connection): boolean {
  return textOf(connection, 'enabled').toLowerCase() === 'false';
}

function applyChanges(all: readonly Connection[], made: readonly Change[]): readonly Connection[] {
  if (made.length === 0) return all;
  const byId = new Map(all.map((connection) => [nameOf(connection), connection]));
  for (const { key, connection } of made) {
    if (connection === undefined) byId.delete(nameOf(key));
    else byId.set(nameOf(key), connection);
  }
  return [...byId.values()];
}
