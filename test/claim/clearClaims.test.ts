import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import type { TableClient } from '@azure/data-tables';
import { openClaims } from '../../shared/claim/claims.ts';
import { claimId, groupColumns, groupRowKey, readClaims } from '../../shared/claim/claimTable.ts';
import { clearClaims } from '../../shared/claim/clearClaims.ts';
import { type ConnectionStore, openConnectionStore } from '../../shared/connection/connectionStore.ts';
import { openTable } from '../../shared/storage/tables.ts';
import { type Azurite, startAzurite } from '../testbed/azurite.ts';

let azurite: Azurite;
before(async () => {
  azurite = await startAzurite();
});
after(() => azurite.stop());

const minuteMs = 60_000;
const mail = { key: 'imap:1:1:INBOX', id: 1 };

interface Mailbox {
  readonly table: TableClient;
  readonly connections: ConnectionStore;
  /** A run of this mailbox; dead ones just don't go on. */
  run(runId: string, at?: Date): ReturnType<typeof openClaims>;
  clear(at: Date): Promise<number>;
  setState(state: Record<string, string | number>): Promise<void>;
  removeConnection(): Promise<void>;
  /** `{status} of {runId}` of each claim, and the runs. */
  rows(): Promise<string[]>;
}

async function openMailbox(): Promise<Mailbox> {
  const suffix = randomUUID().replaceAll('-', '').slice(0, 12);
  const access = { kind: 'connectionString', connectionString: azurite.connectionString } as const;
  const noCredential = () => Promise.reject(new Error('No identity here.'));
  const table = await openTable(access, `Claims${suffix}`, noCredential);
  const connectionTable = await openTable(access, `Connections${suffix}`, noCredential);
  await connectionTable.createTable();
  const keys = { partitionKey: 'acme', rowKey: 'orders' };
  await connectionTable.createEntity({ ...keys, host: 'mail.example.com' });
  const connections = openConnectionStore(connectionTable);
  return {
    table,
    connections,
    run: (runId, at = new Date()) =>
      openClaims({
        table,
        customer: 'acme',
        connection: 'orders',
        runId,
        holdsLease: () => true,
        now: () => at,
      }),
    clear: (at) => clearClaims({ table, connections, now: () => at, pollTimeBudgetMs: 240_000 }),
    setState: async (state) => {
      await connectionTable.updateEntity({ ...keys, ...state }, 'Merge');
    },
    removeConnection: async () => {
      await connectionTable.deleteEntity('acme', 'orders');
    },
    rows: async () => {
      const rows: string[] = [];
      for await (const row of readClaims(table, { kind: 'all' })) {
        if (row.kind === 'run') rows.push(`run ${row.runId}`);
        if (row.kind === 'group') {
          for (const status of row.claims.values()) rows.push(`${status} of ${row.runId}`);
        }
      }
      return rows.sort();
    },
  };
}

const inMinutes = (minutes: number) => new Date(Date.now() + minutes * minuteMs);

/** The state that a run leaves which has gone through the mailbox and found `mails`. */
const okRun = (startedAt: Date, mails = 0, durationMs = 1_000) => ({
  lastStatus: 'ok',
  lastMailCount: mails,
  lastRunStartedAt: startedAt.toISOString(),
  lastRunEndedAt: new Date(startedAt.getTime() + durationMs).toISOString(),
});

async function leaveClaim(mailbox: Mailbox, status: 'claimed' | 'delivered'): Promise<void> {
  const run = mailbox.run('dead');
  await run.begin([mail]);
  await run.take([mail]);
  if (status === 'delivered') await run.markDelivered([mail]);
}

test('an empty table, or none at all, takes nothing', async () => {
  assert.equal(await (await openMailbox()).clear(new Date()), 0);
});

test('a live run keeps its row and its claims', async () => {
  const mailbox = await openMailbox();
  await leaveClaim(mailbox, 'claimed');
  assert.equal(await mailbox.clear(inMinutes(1)), 0);
  assert.deepEqual(await mailbox.rows(), ['claimed of dead', 'run dead']);
});

for (const status of ['claimed', 'delivered'] as const) {
  test(`a ${status} mail of a dead run is not forgotten while it may be on the server`, async () => {
    const mailbox = await openMailbox();
    await leaveClaim(mailbox, status);
    assert.equal(await mailbox.clear(inMinutes(3)), 1);
    assert.deepEqual(await mailbox.rows(), [`${status} of dead`]);

    const startedAt = inMinutes(5);
    await mailbox.setState({ ...okRun(startedAt), lastStatus: 'failed' });
    await mailbox.clear(inMinutes(6));
    await mailbox.setState({ ...okRun(startedAt), lastStatus: 'running' });
    await mailbox.clear(inMinutes(6));
    await mailbox.setState(okRun(startedAt, 3));
    await mailbox.clear(inMinutes(6));
    await mailbox.setState(okRun(startedAt, 0, 240_000));
    await mailbox.clear(inMinutes(6));
    await mailbox.setState(okRun(inMinutes(2)));
    await mailbox.clear(inMinutes(6));
    assert.deepEqual(await mailbox.rows(), [`${status} of dead`]);
  });

  test(`a ${status} mail of a dead run is forgotten once a later run has found the mailbox empty`, async () => {
    const mailbox = await openMailbox();
    await leaveClaim(mailbox, status);
    await mailbox.clear(inMinutes(3));
    await mailbox.setState(okRun(inMinutes(4)));
    assert.equal(await mailbox.clear(inMinutes(5)), 1);
    assert.deepEqual(await mailbox.rows(), []);
  });

  test(`a ${status} mail of a dead run is forgotten with its connection`, async () => {
    const mailbox = await openMailbox();
    await leaveClaim(mailbox, status);
    await mailbox.removeConnection();
    assert.equal(await mailbox.clear(inMinutes(3)), 2);
    assert.deepEqual(await mailbox.rows(), []);
  });
}

test('a run that began before the claim’s run was seen to be dead proves nothing', async () => {
  const mailbox = await openMailbox();
  await leaveClaim(mailbox, 'claimed');
  // It left the mail to the run that was alive then.
  await mailbox.setState(okRun(inMinutes(1)));
  await mailbox.clear(inMinutes(3));
  await mailbox.clear(inMinutes(4));
  assert.deepEqual(await mailbox.rows(), ['claimed of dead']);
});

test('a claim that was taken over after it was marked begins anew', async () => {
  const mailbox = await openMailbox();
  await leaveClaim(mailbox, 'claimed');
  await mailbox.clear(inMinutes(3));
  const second = mailbox.run('second', inMinutes(4));
  await second.begin([mail]);
  await second.take([mail]);
  await mailbox.setState(okRun(inMinutes(5)));
  await mailbox.clear(inMinutes(9));
  assert.deepEqual(await mailbox.rows(), ['claimed of second']);
});

test('while any run is alive, nothing but the rows of dead runs is cleared', async () => {
  const mailbox = await openMailbox();
  await leaveClaim(mailbox, 'delivered');
  await mailbox.run('alive', inMinutes(3)).begin(undefined);
  await mailbox.table.upsertEntity({
    partitionKey: 'acme|orders',
    rowKey: groupRowKey('earlier', 1),
    ...groupColumns('earlier', new Map([[claimId('imap:1:2:INBOX'), 'settled']])),
  });
  await mailbox.setState(okRun(inMinutes(4)));
  await mailbox.clear(inMinutes(4.5));
  assert.deepEqual(await mailbox.rows(), ['delivered of dead', 'run alive', 'settled of earlier']);
});

test('a tombstone goes after two minutes', async () => {
  const mailbox = await openMailbox();
  await mailbox.table.createTable();
  await mailbox.table.createEntity({
    partitionKey: 'acme|orders',
    rowKey: groupRowKey('dead', 1),
    ...groupColumns('dead', new Map([[claimId(mail.key), 'settled']])),
  });
  assert.equal(await mailbox.clear(inMinutes(1)), 0);
  assert.equal(await mailbox.clear(inMinutes(3)), 1);
});

test('a row that changes after it was read stays', async () => {
  const mailbox = await openMailbox();
  await leaveClaim(mailbox, 'claimed');
  const slow: ConnectionStore = {
    ...mailbox.connections,
    read: async () => {
      const second = mailbox.run('second', inMinutes(4));
      await second.begin([mail]);
      await second.take([mail]);
      return undefined;
    },
  };
  const { table } = mailbox;
  await clearClaims({ table, connections: slow, now: () => inMinutes(3), pollTimeBudgetMs: 240_000 });
  assert.deepEqual(await mailbox.rows(), ['claimed of second', 'run second']);
});

test('what is left in many mailboxes is cleared in one go', async () => {
  const mailbox = await openMailbox();
  await mailbox.table.createTable();
  for (let box = 0; box < 4; box += 1) {
    const partitionKey = `acme|box${box}`;
    const rows = Array.from({ length: 100 }, (_, index) => ({
      partitionKey,
      rowKey: groupRowKey('dead', index),
      ...groupColumns('dead', new Map([[claimId(`pop3:${index}`), 'delivered']])),
    }));
    await mailbox.table.submitTransaction(rows.map((row) => ['create', row]));
  }
  assert.equal(await mailbox.clear(inMinutes(3)), 400);
  assert.deepEqual(await mailbox.rows(), []);
});
