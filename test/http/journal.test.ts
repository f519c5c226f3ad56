import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type AppTestbed, startAppTestbed } from '../app/testbed.ts';
import { mailLine } from '../journal/storage.ts';
import { type Api, list, type Operation, object, openApi } from './api.ts';
import { writeJournal } from './writeJournal.ts';

let bed: AppTestbed;
let api: Api;
const minuteMs = 60_000;
const ago = (minutes: number) => new Date(Date.now() - minutes * minuteMs);

before(async () => {
  bed = await startAppTestbed({ users: [] });
  api = await openApi(bed.host);
  for (const [index, connection] of ['orders', 'invoices'].entries()) {
    const mails = [3, 2].map((minutes) =>
      mailLine({ at: ago(minutes + index / 2), emailSubject: `${connection} ${minutes}` }),
    );
    const older = mailLine({ at: ago(3 * 24 * 60), emailSubject: 'older' });
    const counts = { mails: 2, messages: 4, bytes: 24_690, durationMs: 900 };
    const end = index === 0 ? ({ status: 'ok' } as const) : ({ status: 'failed', error: 'Away.' } as const);
    const run = { at: ago(1 + index), ...counts, ...end };
    await writeJournal(bed, connection, [...mails, older], run, `run-${index}`);
  }
});
after(() => bed.stop());

async function subjects(query: Record<string, string> = {}) {
  const answer = object((await api.call('GET /api/mails', { query })).json());
  assert.equal(answer.journal, 'full');
  return { found: list(answer.mails).map(({ emailSubject }) => emailSubject), next: answer.next };
}

test('the mails of the last two days are found, by connection and words, a page at a time', async () => {
  assert.deepEqual((await subjects()).found, ['orders 2', 'invoices 2', 'orders 3', 'invoices 3']);
  assert.deepEqual((await subjects({ connection: 'invoices' })).found, ['invoices 2', 'invoices 3']);
  assert.deepEqual((await subjects({ q: 'ORDERS 3' })).found, ['orders 3']);
  assert.deepEqual((await subjects({ from: ago(7 * 24 * 60).toISOString(), q: 'older' })).found.length, 2);
  const first = await subjects({ limit: '3' });
  assert.equal(first.found.length, 3);
  assert.deepEqual(await subjects({ limit: '3', after: String(first.next) }), {
    found: ['invoices 3'],
    next: undefined,
  });
  assert.deepEqual((await subjects({ to: ago(2.7).toISOString() })).found, ['orders 3', 'invoices 3']);
});

test('a day alone is the whole of it, at the end of the window too', async () => {
  const day = ago(3 * 24 * 60)
    .toISOString()
    .slice(0, 10);
  assert.deepEqual((await subjects({ from: day, to: day })).found, ['older', 'older']);
  assert.deepEqual((await subjects({ to: day })).found, ['older', 'older']);
});

test('the runs that moved mail or failed are found by their status', async () => {
  const runs = async (query: Record<string, string>) =>
    list(object((await api.call('GET /api/runs', { query })).json()).runs);
  assert.deepEqual(
    (await runs({})).map(({ connection, error }) => [connection, error]),
    [
      ['orders', undefined],
      ['invoices', 'Away.'],
    ],
  );
  assert.deepEqual(
    (await runs({ status: 'failed', customer: 'acme' })).map(({ runId }) => runId),
    ['run-1'],
  );
});

test('what can’t be is refused with a sentence', async () => {
  const wrong: Record<string, string>[] = [
    { from: 'yesterday' },
    { to: '2026-13-01' },
    { to: '2026-02-30T08:00:00+14:00' },
    { to: '2027-02-29' },
    // By now in the year 10000.
    { to: '9999-12-31T23:59:59-10:00' },
    { from: '2026-11-27T10:00:00' },
    { from: '2026-11-27', to: '2026-11-26' },
    { limit: '0' },
    { after: 'x' },
    { after: Buffer.from('["2026-11-27"]').toString('base64url') },
    { q: 'x'.repeat(257) },
  ];
  for (const query of wrong) {
    assert.equal((await api.call('GET /api/mails', { query })).status, 400, JSON.stringify(query));
  }
  assert.equal((await api.call('GET /api/runs', { query: { status: 'running' } })).status, 400);
});

test('all that is described of these calls was seen', () => {
  const isMeant = ({ path }: Operation, status: string) =>
    ['/api/mails', '/api/runs'].includes(path) && !['401', '405', '500', '503'].includes(status);
  assert.deepEqual(api.unmet(isMeant), []);
});
