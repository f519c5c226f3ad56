import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { TableClient } from '@azure/data-tables';
import {
  type ConnectionEntity,
  type ConnectionStore,
  openConnectionStore,
} from '../../shared/connection/connectionStore.ts';
import { RunState } from '../../shared/poll/runState.ts';
import { startAzurite } from '../testbed/azurite.ts';

const azurite = await startAzurite();
after(() => azurite.stop());
const table = TableClient.fromConnectionString(azurite.connectionString, 'Connections', {
  allowInsecureConnection: true,
});
await table.createTable();
const store = openConnectionStore(table);

const time = new Date('2026-11-24T10:00:00.000Z');

async function connection(name: string): Promise<ConnectionEntity> {
  await table.createEntity({ partitionKey: 'acme', rowKey: name, host: 'mail.example.com' });
  return await read(name);
}

async function read(name: string): Promise<ConnectionEntity> {
  const entity = await store.read({ customer: 'acme', connection: name });
  assert.ok(entity);
  return entity;
}

/** A run as long as it holds its mailbox's lease. */
function runOf(entity: ConnectionEntity, runId: string, isHeld = true): RunState {
  return new RunState({ store, entity, runId, lease: { isHeld: () => isHeld } });
}

/** A run that loses its lease, to a run `next` that begins, between its first look at the row and its next word. */
function overtaken(entity: ConnectionEntity, runId: string): RunState {
  const lease = { isHeld: () => isHeld };
  let isHeld = true;
  const next = runOf(entity, 'next');
  const read: ConnectionStore['read'] = async (key) => {
    const found = await store.read(key);
    await next.begin({ lastStatus: 'running', cleanMailbox: '' });
    isHeld = false;
    return found;
  };
  return new RunState({ store: { ...store, read }, entity, runId, lease });
}

const columns = async (name: string) => (await read(name)).columns;

test('a run that outlived its lease leaves the columns to the newer run, from whatever moment on', async () => {
  const entity = await connection('overlapping');
  const old = runOf(entity, 'old');
  await old.begin({ lastStatus: 'running', heartbeatAt: time });
  const next = runOf(entity, 'next');
  await next.begin({ lastStatus: 'running', heartbeatAt: time });
  await old.write({ heartbeatAt: new Date(0) });
  await next.write({ lastStatus: 'ok', lastMailCount: 7 });
  await old.write({ lastStatus: 'failed', lastError: 'The old run failed.' });
  const { runId, lastStatus, lastMailCount, lastError, heartbeatAt } = await columns('overlapping');
  assert.deepEqual([runId, lastStatus, lastMailCount, lastError], ['next', 'ok', 7, undefined]);
  assert.equal(heartbeatAt, time.toISOString());
});

test('nor does it take them when the newer one begins between its look at the row and its word', async () => {
  for (const [name, word] of [
    ['at its end', (run: RunState) => run.write({ lastStatus: 'ok', cleanMailbox: 'clean' })],
    ['at its beginning', (run: RunState) => assert.rejects(run.begin({ lastStatus: 'running' }), /lease/)],
  ] as const) {
    const entity = await connection(name);
    await store.merge(entity.key, { lastStatus: 'skipped' });
    await word(overtaken(entity, 'old'));
    const { runId, lastStatus, cleanMailbox } = await columns(name);
    assert.deepEqual([runId, lastStatus, cleanMailbox], ['next', 'running', ''], name);
  }
});

test('an operator who edits the config in the middle does not cost the run its state', async () => {
  const entity = await connection('edited');
  const run = runOf(entity, 'run');
  await run.begin({ lastStatus: 'running' });
  await table.updateEntity({ partitionKey: 'acme', rowKey: 'edited', host: 'new.example.com' }, 'Merge');
  await run.write({ lastStatus: 'ok' });
  const { host, lastStatus } = await columns('edited');
  assert.deepEqual({ host, lastStatus }, { host: 'new.example.com', lastStatus: 'ok' });
});

test('writes at once are done in order', async () => {
  const entity = await connection('ordered');
  const run = runOf(entity, 'run');
  await run.begin({ lastStatus: 'running' });
  await Promise.all(Array.from({ length: 10 }, (_, count) => run.write({ lastMailCount: count })));
  assert.equal((await columns('ordered')).lastMailCount, 9);
});

test('a connection that is removed in the middle is not made anew', async () => {
  const entity = await connection('removed');
  const run = runOf(entity, 'run');
  await run.begin({ lastStatus: 'running' });
  await table.deleteEntity('acme', 'removed');
  await run.write({ lastStatus: 'ok' });
  await run.write({ lastStatus: 'ok' });
  assert.equal(await store.read({ customer: 'acme', connection: 'removed' }), undefined);
  const late = runOf(entity, 'late');
  await assert.rejects(late.begin({ lastStatus: 'running' }), /acme\/removed was removed/);
});

test('a run that begins nothing writes its outcome in one request, over a skipped run’s columns', async () => {
  const entity = await connection('idle');
  const idle = runOf(entity, 'idle');
  assert.equal(idle.hasBegun, false);
  await store.merge(entity.key, { lastStatus: 'skipped' });
  await idle.write({ lastStatus: 'ok' });
  const { runId, lastStatus } = await columns('idle');
  assert.deepEqual({ runId, lastStatus }, { runId: 'idle', lastStatus: 'ok' });
  assert.equal(idle.hasBegun, true);
});

test('a poll that is ordered before a run has begun is still to come, and one that was skipped is not', async () => {
  const words = {
    begins: (run: RunState) => run.begin({ lastStatus: 'running', nextRunAt: time }),
    ends: (run: RunState) => run.write({ lastStatus: 'ok', nextRunAt: time }),
  };
  for (const [name, word] of Object.entries(words)) {
    for (const order of [{}, { runRequestedAt: '2026-11-24T09:00:01.000Z' }]) {
      const isOrdered = 'runRequestedAt' in order;
      const entity = await connection(`${name}-${isOrdered}`);
      const skipped = { lastStatus: 'skipped', nextRunAt: '2026-11-24T09:01:00.000Z' };
      await store.merge(entity.key, { ...order, ...skipped });
      await word(runOf(entity, 'run'));
      const { nextRunAt } = await columns(entity.key.connection);
      assert.equal(nextRunAt, isOrdered ? skipped.nextRunAt : time.toISOString(), name);
    }
  }
});

test('one that was fenced off before it had begun leaves the columns to a run that has', async () => {
  const entity = await connection('late');
  const late = runOf(entity, 'late', false);
  await runOf(entity, 'live').begin({ lastStatus: 'running' });
  await assert.rejects(late.begin({ lastStatus: 'running' }), /lease of this poll could not be renewed/);
  await late.write({ lastStatus: 'failed' });
  const { runId, lastStatus } = await columns('late');
  assert.deepEqual({ runId, lastStatus }, { runId: 'live', lastStatus: 'running' });
});

test('it begins once', async () => {
  const entity = await connection('twice');
  const run = runOf(entity, 'run');
  await Promise.all([run.begin({ lastMailCount: 1 }), run.begin({ lastMailCount: 2 })]);
  assert.equal((await columns('twice')).lastMailCount, 1);
});

test('one that holds the lease writes its outcome over that of a run that ended just before', async () => {
  const entity = await connection('next');
  await runOf(entity, 'ended').write({ lastStatus: 'ok' });
  const next = runOf(entity, 'next');
  await next.write({ lastStatus: 'failed', cleanMailbox: 'clean' });
  const { runId, lastStatus, cleanMailbox } = await columns('next');
  assert.deepEqual([runId, lastStatus], ['next', 'failed']);
  assert.equal(cleanMailbox, '', 'what that one left is unknown');
});

test('one that begins tells whether another run has written since its row was read', async () => {
  const entity = await connection('begun');
  await store.merge(entity.key, { lastStatus: 'skipped' });
  const first = runOf(entity, 'first');
  await first.begin({ lastStatus: 'running' });
  assert.equal(first.isAfterAnother, false, 'a skipped run is none');
  const second = runOf(entity, 'second');
  await second.begin({ lastStatus: 'running' });
  assert.equal(second.isAfterAnother, true);
  await second.write({ lastStatus: 'ok', cleanMailbox: 'clean' });
  const { runId, cleanMailbox } = await columns('begun');
  assert.deepEqual([runId, cleanMailbox], ['second', 'clean']);
});

test('an outcome waits for one heartbeat at most, however long storage has kept it waiting', async (t) => {
  const entity = await connection('waiting');
  const answer = Promise.withResolvers<void>();
  const merged: unknown[] = [];
  const merge: ConnectionStore['merge'] = async (_key, { lastStatus }) => {
    merged.push(lastStatus);
    await answer.promise;
    return { kind: 'merged', etag: 'next' };
  };
  const lease = { isHeld: () => true };
  const run = new RunState({ store: { ...store, merge }, entity, runId: 'run', lease });
  const over = new AbortController();
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const saying = run.sayAtWork({ lastStatus: 'running' }, over.signal);
  for (let minute = 0; minute < 10; minute += 1) {
    t.mock.timers.tick(60_000);
    await new Promise(setImmediate);
  }
  over.abort();
  const ending = run.write({ lastStatus: 'ok' });
  answer.resolve();
  await Promise.all([saying, ending]);
  assert.deepEqual(merged, ['running', 'ok']);
});

test('a run whose first write had its answer lost does not take itself for another', async () => {
  const entity = await connection('lost');
  const run = runOf(entity, 'run');
  // What the service has done before the repeat comes.
  await store.merge(entity.key, { lastStatus: 'running', runId: 'run' });
  await run.begin({ lastStatus: 'running' });
  assert.equal(run.isAfterAnother, false);
});

test('a connection that was made anew meanwhile gets no outcome of the old one', async () => {
  const entity = await connection('anew');
  await runOf(entity, 'earlier').write({ lastStatus: 'ok' });
  const run = runOf(await read('anew'), 'run');
  await table.deleteEntity('acme', 'anew');
  await connection('anew');
  await run.write({ lastStatus: 'failed' });
  const begun = runOf(await read('anew'), 'begun');
  await begun.begin({ lastStatus: 'running' });
  await table.deleteEntity('acme', 'anew');
  await connection('anew');
  await begun.write({ lastStatus: 'failed' });
  const { runId, lastStatus } = await columns('anew');
  assert.deepEqual({ runId, lastStatus }, { runId: undefined, lastStatus: undefined });
});
