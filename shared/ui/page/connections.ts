import { useRef, useState } from 'preact/hooks';
import {
  ApiError,
  deleteConnection,
  listConnections,
  orderPoll,
  readConnection,
  saveConnection,
  serverNow,
} from './api.ts';
import { type Connection, type Key, nameOf, textOf } from './model.ts';
import { type Polled, usePolled } from './polled.ts';
import type { Shell } from './shell.ts';
import { statusOf } from './status.ts';
import { counted } from './words.ts';

/** All connections, and what can be done with one. None of it rejects: the shell says what went wrong. */
export interface Connections extends Pick<Polled<readonly Connection[]>, 'data' | 'error' | 'reload'> {
  /** Those that something is being done with. */
  readonly busy: ReadonlySet<string>;
  /** Shows this one in place of what was known of it. */
  readonly put: (connection: Connection) => void;
  readonly poll: (key: Key) => Promise<void>;
  readonly toggle: (key: Key) => Promise<void>;
  /** Whether it is gone. */
  readonly remove: (key: Key) => Promise<boolean>;
}

interface Change {
  readonly key: Key;
  /** Undefined for one that was removed. */
  readonly connection: Connection | undefined;
  readonly atMs: number;
}

const watchPollMs = 90_000;

export function useConnections({ notify, fail }: Shell, quiet: Pick<Shell, 'fail'>): Connections {
  // A list that was asked for before a change must not undo it when it comes.
  const changes = useRef(new Map<string, Change>());
  const load = async (): Promise<readonly Connection[]> => {
    const startedAtMs = performance.now();
    const listed = await listConnections();
    for (const [id, { atMs }] of changes.current) if (atMs < startedAtMs) changes.current.delete(id);
    return applyChanges(listed, [...changes.current.values()]);
  };
  const { data, error, change, reload } = usePolled(load, quiet.fail);
  const [busy, setBusy] = useState<ReadonlySet<string>>(new Set());

  const record = (key: Key, connection: Connection | undefined): void => {
    const made = { key, connection, atMs: performance.now() };
    changes.current.set(nameOf(key), made);
    change((all) => applyChanges(all, [made]));
  };
  const put = (connection: Connection) => record(connection, connection);

  const during = async (key: Key, work: () => Promise<void>): Promise<void> => {
    const id = nameOf(key);
    setBusy((before) => new Set([...before, id]));
    try {
      await work();
    } catch (caught) {
      fail(caught);
    } finally {
      setBusy((before) => new Set([...before].filter((each) => each !== id)));
    }
  };

  return {
    data,
    error,
    reload,
    busy,
    put,

    poll: (key) =>
      during(key, async () => {
        const before = (await readConnection(key)).connection.state.runId;
        await orderPoll(key);
        const polled = await watchPoll(key, before, put);
        if (polled === undefined) notify(`${nameOf(key)} will be polled within a minute.`);
        else notify(outcomeOf(polled));
      }),

    toggle: (key) =>
      during(key, async () => {
        const { connection, etag } = await readConnection(key);
        const enabled = textOf(connection, 'enabled').toLowerCase() === 'false';
        const saved = await saveConnection(key, { ...connection, enabled }, etag);
        put(saved.connection);
        notify(`${nameOf(key)} is ${enabled ? 'enabled' : 'disabled'}.`);
      }),

    remove: async (key) => {
      let isGone = false;
      await during(key, async () => {
        try {
          const { etag } = await readConnection(key);
          await deleteConnection(key, etag);
        } catch (caught) {
          if (!(caught instanceof ApiError && caught.status === 404)) throw caught;
        }
        record(key, undefined);
        isGone = true;
        notify(`${nameOf(key)} is deleted.`);
      });
      return isGone;
    },
  };
}

/** Shows how a poll goes until it has ended; undefined when it hasn't within its time. */
async function watchPoll(
  key: Key,
  runBefore: string | undefined,
  put: (connection: Connection) => void,
): Promise<Connection | undefined> {
  const startedAtMs = performance.now();
  for (
    let pauseMs = 300;
    performance.now() - startedAtMs < watchPollMs;
    pauseMs = Math.min(pauseMs * 1.5, 3_000)
  ) {
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    const { connection } = await readConnection(key);
    const { runId, lastStatus } = connection.state;
    put(connection);
    if (runId !== runBefore && lastStatus !== 'running') return connection;
  }
  return undefined;
}

function outcomeOf(connection: Connection): string {
  const { state } = connection;
  const name = nameOf(connection);
  if (state.lastStatus === 'ok') {
    const mails = counted(state.lastMailCount ?? 0, 'mail');
    return `${name} was polled: ${mails}, ${counted(state.lastMessageCount ?? 0, 'message')}.`;
  }
  return `${name}: ${statusOf(connection, serverNow()).label}. ${state.lastError ?? ''}`;
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
