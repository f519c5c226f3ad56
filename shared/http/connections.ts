import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { odata } from '@azure/data-tables';
import { configColumnNames, secretColumns } from '../connection/columns.ts';
import {
  type ConnectionEntity,
  type ConnectionKey,
  type ConnectionStore,
  nameOf,
  type StoredColumns,
} from '../connection/connectionStore.ts';
import { innerColumns, runStatuses, stateColumns } from '../connection/state.ts';
import { Failure } from '../failure/failure.ts';
import { type Answer, problem, refuse } from './answer.ts';
import type { HttpDependencies } from './dependencies.ts';
import { keepSecrets } from './heldSecrets.ts';
import { mayChange } from './preconditions.ts';
import { maxLimit, queryText, readChoice, readTime, readWhole } from './query.ts';
import { configTag, connectionJson, secretsVersionColumn, writeIdColumn } from './representation.ts';
import { type ApiRequest, readJsonObject } from './request.ts';

/** How often a change is tried anew when a run writes its state in between. */
const maxConflicts = 10;

export const connectionsQuery = ['customer', 'status', 'since', 'limit', 'after'] as const;

const shownColumns = [...configColumnNames, ...stateColumns.filter((name) => !innerColumns.has(name))];

/** What storage's clock and this one may differ by, and how long a write may take to be seen. */
const sinceOverlapMs = 15_000;

/** `GET /api/connections`: in the table's order, a page at a time. */
export async function listConnections(request: ApiRequest, dependencies: HttpDependencies): Promise<Answer> {
  const limit = readWhole(request, 'limit', maxLimit, 1, maxLimit);
  const status = readChoice(request, 'status', runStatuses);
  const asOf = dependencies.now();
  const since = readTime(request, 'since');
  const changedAfter = since && new Date(Math.max(since.getTime() - sinceOverlapMs, 0)).toISOString();
  const customer = queryText(request, 'customer');
  const after = queryText(request, 'after');
  const conditions = [
    ...(customer === undefined ? [] : [odata`PartitionKey eq ${customer}`]),
    ...(status === undefined ? [] : [odata`lastStatus eq ${status}`]),
    ...(changedAfter === undefined ? [] : [`Timestamp ge datetime'${changedAfter}'`]),
    ...(after === undefined ? [] : [filterAfter(after)]),
  ];
  const found: ConnectionEntity[] = [];
  const store = await dependencies.connections();
  for await (const entity of store.find(conditions.join(' and ') || undefined, shownColumns)) {
    found.push(entity);
    if (found.length > limit) break;
  }
  const page = found.slice(0, limit);
  const last = found.length > limit ? page.at(-1) : undefined;
  return {
    status: 200,
    json: { connections: page.map(connectionJson), asOf, next: last && nameOf(last.key) },
  };
}

/** `GET /api/connections/{customer}/{connection}` */
export async function readConnection(request: ApiRequest, dependencies: HttpDependencies): Promise<Answer> {
  return shown(200, await findExisting(keyOf(request), await dependencies.connections()));
}

/** `PUT /api/connections/{customer}/{connection}`: makes it, or replaces its config; state and notes stay. */
export async function putConnection(request: ApiRequest, dependencies: HttpDependencies): Promise<Answer> {
  const key = keyOf(request);
  const body = (await readJsonObject(request)) ?? {};
  const [store, { readConnectionBody }] = await Promise.all([
    dependencies.connections(),
    import('./connectionBody.ts'),
  ]);
  return await untilChanged(key, async () => {
    const stored = await store.read(key);
    if (!mayChange(request, stored && configTag(stored.columns))) return changed(key, stored);
    const kept = keepSecrets(readConnectionBody(body, key, stored, dependencies.secrets), stored);
    const columns = await writeConfig(store, key, stored, { ...kept, ...marksOf(kept, stored) });
    return columns && shown(stored === undefined ? 201 : 200, { key, columns });
  });
}

/** What is written beside the config: whose write it is, and the version of its secrets. */
function marksOf(columns: StoredColumns, stored: ConnectionEntity | undefined): StoredColumns {
  const isSame = secretColumns.every((name) => columns[name] === stored?.columns[name]);
  const writeId = randomUUID();
  return { [writeIdColumn]: writeId, ...(isSame && stored ? {} : { [secretsVersionColumn]: writeId }) };
}

/**
 * Makes a connection or replaces its config, and gives all columns that it has then; undefined where someone
 * else was quicker. A write that storage did and whose answer was lost is refused when the library repeats it, as
 * though another had made it: the id that only this call can have written tells.
 */
async function writeConfig(
  store: ConnectionStore,
  key: ConnectionKey,
  stored: ConnectionEntity | undefined,
  columns: StoredColumns,
): Promise<ConnectionEntity['columns'] | undefined> {
  const readOwn = async () => {
    const now = await store.read(key);
    return now?.columns[writeIdColumn] === columns[writeIdColumn] ? now?.columns : undefined;
  };
  try {
    if (stored === undefined) return (await store.insert(key, columns)) ? columns : await readOwn();
    const replaced = await store.replaceConfig(stored, columns);
    return replaced.kind === 'replaced' ? replaced.columns : await readOwn();
  } catch (error) {
    const own = await readOwn().catch(() => undefined);
    if (own === undefined) throw error;
    return own;
  }
}

/** `DELETE /api/connections/{customer}/{connection}` */
export async function deleteConnection(request: ApiRequest, dependencies: HttpDependencies): Promise<Answer> {
  const key = keyOf(request);
  const store = await dependencies.connections();
  return await untilChanged(key, async () => {
    const stored = await findExisting(key, store);
    if (!mayChange(request, configTag(stored.columns))) return changed(key, stored);
    if (!(await removeConnection(store, stored))) return undefined;
    await dependencies.forget(stored.key);
    return { status: 204 };
  });
}

/**
 * False where someone else has changed it meanwhile. It was there a moment ago: one that is missing now was
 * removed by this call, whose answer was lost, or by another, which comes to the same.
 */
async function removeConnection(store: ConnectionStore, { key, etag }: ConnectionEntity): Promise<boolean> {
  try {
    return (await store.remove(key, etag)).kind !== 'changed';
  } catch (error) {
    const isGone = await store.read(key).then(
      (entity) => entity === undefined,
      () => false,
    );
    if (!isGone) throw error;
    return true;
  }
}

export function keyOf({ params }: ApiRequest): ConnectionKey {
  return { customer: params.customer ?? '', connection: params.connection ?? '' };
}

/** Refuses the call where there is no such connection. */
export async function findExisting(key: ConnectionKey, store: ConnectionStore): Promise<ConnectionEntity> {
  return (await store.read(key)) ?? refuseMissing(key);
}

export function refuseMissing(key: ConnectionKey): never {
  return refuse(404, `There is no connection ${nameOf(key)}.`);
}

function shown(status: 200 | 201, entity: Omit<ConnectionEntity, 'etag'>): Answer {
  return { status, headers: { ETag: configTag(entity.columns) }, json: connectionJson(entity) };
}

function changed(key: ConnectionKey, stored: ConnectionEntity | undefined): Answer {
  const sentence =
    stored === undefined
      ? `There is no connection ${nameOf(key)} any more, which If-Match asks for.`
      : `Connection ${nameOf(key)} is not as If-Match or If-None-Match asks: it has been made or changed meanwhile. Read it again and repeat the change.`;
  return problem(412, sentence, stored && { ETag: configTag(stored.columns) });
}

/** Tries a change until it has an answer; undefined is that someone was quicker, whom it lets finish: 10 to 320 ms. */
async function untilChanged(key: ConnectionKey, change: () => Promise<Answer | undefined>): Promise<Answer> {
  for (let conflicts = 0; conflicts < maxConflicts; conflicts += 1) {
    const answer = await change();
    if (answer !== undefined) return answer;
    await delay((0.5 + Math.random() / 2) * 20 * 2 ** Math.min(conflicts, 4));
  }
  throw new Failure('storage', `Connection ${nameOf(key)} is being changed by others. Try again.`);
}

/** What comes after `customer/connection` in the table's order. */
function filterAfter(after: string): string {
  const [customer, ...connection] = after.split('/');
  return odata`(PartitionKey gt ${customer} or (PartitionKey eq ${customer} and RowKey gt ${connection.join('/')}))`;
}
