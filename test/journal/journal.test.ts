import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { after, afterEach, beforeEach, mock, type TestContext, test } from 'node:test';
import { addLaterOutcomes, type JournalOptions, openJournal } from '../../shared/journal/journal.ts';
import { maxLineBytes, type RunLine } from '../../shared/journal/lines.ts';
import { startAzurite } from '../testbed/azurite.ts';
import type { StorageCall, StorageFault } from '../testbed/storageProxy.ts';
import { type JournalStorage, mailLine, openJournalStorage, part } from './storage.ts';

const azurite = await startAzurite();
after(() => azurite.stop());

let storage: JournalStorage;

beforeEach(async () => {
  storage = await openJournalStorage(azurite);
});
afterEach(() => storage.stop());

const file = '2026-11-26/acme/orders.jsonl';
const at = new Date('2026-11-26T09:00:01.000Z');
const run: RunLine = { at, status: 'ok', mails: 1, messages: 2, bytes: 12_345, durationMs: 800 };

const open = (change: Partial<JournalOptions> = {}) =>
  openJournal({
    container: storage.container,
    customer: 'acme',
    connection: 'orders',
    runId: 'run-1',
    mode: 'full',
    ...change,
  });

const partsOf = (count: number) => Array.from({ length: count }, (_, index) => part(index + 2));
const isAppend = ({ url }: StorageCall) => url.includes('comp=appendblock');
const refusal = (status: number, code: string): StorageFault => ({
  ...{ kind: 'answer', status, headers: { 'content-type': 'application/xml' } },
  body: `<?xml version="1.0"?><Error><Code>${code}</Code></Error>`,
});

test('a mail and its run are two lines in one append, with what the messages say and no more', async () => {
  const journal = open();
  const mail = mailLine({
    warning: 'Sent as it is.',
    parts: [part(1), part(2, { claimCheck: 'email-payloads/a/b' })],
  });
  journal.addMail(Object.assign({ body: 'SECRET' }, mail));
  assert.equal(await journal.end(run), undefined);
  assert.deepEqual(await storage.lines(file), [
    {
      kind: 'mail',
      ...mail,
      at: '2026-11-26T09:00:00.000Z',
      receivedAt: '2026-11-26T08:59:30.000Z',
      runId: 'run-1',
      customer: 'acme',
      connection: 'orders',
    },
    { kind: 'run', ...run, at: at.toISOString(), runId: 'run-1' },
  ]);
});

test('the first of a day costs two requests more than any other', async () => {
  await (await storage.container()).create();
  for (const requests of [3, 1]) {
    const before = storage.calls.length;
    const journal = open();
    journal.addMail(mailLine());
    await journal.end(run);
    assert.equal(storage.calls.length - before, requests);
  }
});

test('a run without a line asks nothing of storage', async () => {
  const container = mock.fn(storage.container);
  assert.equal(await open({ container }).end(undefined), undefined);
  const off = open({ container, mode: 'off' });
  off.addMail(mailLine());
  assert.equal(await off.end(run), undefined);
  assert.equal(await addLaterOutcomes({ container, mode: 'off' }, [later('x')]), undefined);
  assert.equal(container.mock.callCount(), 0);
});

test('with ids it has no subject, no address, no file name, and a hash for the Message-ID', async () => {
  const journal = open({ mode: 'ids' });
  journal.addMail(mailLine());
  journal.addMail(mailLine({ emailMessageId: ' ' }));
  await journal.end(run);
  const [mail, nameless] = await storage.lines(file);
  assert.equal(mail?.emailMessageId, hash('sha256', '17@example.com'));
  assert.equal(nameless?.emailMessageId, undefined);
  assert.doesNotMatch(JSON.stringify(mail), /Order|anna|acme\.example|invoice|body\.txt|17@/);
  const members =
    'at connection customer emailDate emailMessageId interchangeId kind outcome parts queueName receivedAt runId sizeBytes';
  assert.deepEqual(Object.keys(mail ?? {}).sort(), members.split(' '));
});

test('many mails are written in groups: no more requests than one for 500 mails', async () => {
  const journal = open();
  const count = 2_000;
  for (let mail = 0; mail < count; mail += 1) {
    journal.addMail(mailLine());
    if (mail % 100 === 99) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await journal.end(run);
  // The first finds no container.
  const appends = storage.calls.filter(isAppend).length;
  assert.ok(appends - 1 <= count / 500, `${appends} appends`);
  assert.equal((await storage.lines(file)).length, count + 1);
});

test('a group of few mails is written all the same while the run goes on', async (t) => {
  const realTimeout = setTimeout;
  const waits: number[] = [];
  t.mock.method(globalThis, 'setTimeout', (work: () => void, ms: number) => {
    if (ms !== 30_000) return realTimeout(work, ms);
    waits.push(ms);
    return realTimeout(work, 1);
  });
  const journal = open();
  journal.addMail(mailLine());
  assert.equal(storage.calls.length, 0);
  while (storage.calls.filter(isAppend).length < 2) await new Promise((resolve) => setImmediate(resolve));
  await journal.end(undefined);
  assert.equal(waits.length, 1);
  assert.equal((await storage.lines(file)).length, 1);
});

test('mails of two days stand in two files, and what is appended at a time is cut at 4 MiB', async (t) => {
  withoutHaste(t);
  const journal = open();
  const parts = partsOf(500);
  for (let mail = 0; mail < 40; mail += 1) journal.addMail(mailLine({ parts }));
  journal.addMail(mailLine({ at: new Date('2026-11-27T00:00:00.001Z') }));
  assert.equal(await journal.end(undefined), undefined);
  assert.equal((await storage.lines(file)).length, 40);
  assert.equal((await storage.lines('2026-11-27/acme/orders.jsonl')).length, 1);
});

test('a line of very many parts is cut, and says how many it leaves out', async () => {
  const journal = open();
  const parts = partsOf(3_000);
  journal.addMail(mailLine({ parts, warning: 'Sent in parts.' }));
  await journal.end(undefined);
  const [line] = await storage.lines(file);
  assert.ok(Array.isArray(line?.parts));
  const listed = line.parts.length;
  assert.ok(listed > 500 && JSON.stringify(line).length < maxLineBytes);
  assert.equal(line?.warning, `Sent in parts. ${3_000 - listed} more parts are not listed here.`);
});

test('a full file is followed by a numbered one', async () => {
  storage.fault = (call) =>
    isAppend(call) && call.url.includes('orders.jsonl') ? refusal(409, 'BlockCountExceedsLimit') : undefined;
  const journal = open();
  journal.addMail(mailLine());
  assert.equal(await journal.end(undefined), undefined);
  assert.deepEqual(await storage.names(), ['2026-11-26/acme/orders~2.jsonl']);
});

test('an append whose answer was lost stands there twice, and nothing is lost', async () => {
  // The first finds no container.
  const losses: StorageFault[] = [{ kind: 'loseAnswer' }];
  storage.fault = () => (storage.calls.filter(isAppend).length === 2 ? losses.pop() : undefined);
  const journal = open();
  const mail = mailLine();
  journal.addMail(mail);
  assert.equal(await journal.end(undefined), undefined);
  const ids = (await storage.lines(file)).map(({ interchangeId }) => interchangeId);
  assert.deepEqual(ids, [mail.interchangeId, mail.interchangeId]);
});

test('several writers of one file, the first of the day, leave every line whole', async () => {
  const writers = Array.from({ length: 8 }, async (_, writer) => {
    const journal = open({ runId: `run-${writer}` });
    for (let mail = 0; mail < 50; mail += 1) journal.addMail(mailLine());
    return await journal.end(run);
  });
  assert.deepEqual(await Promise.all(writers), Array(8).fill(undefined));
  assert.equal((await storage.lines(file)).length, 8 * 51);
});

test('what can’t be written is a sentence, and is held no longer', async () => {
  storage.fault = () => refusal(403, 'AuthorizationPermissionMismatch');
  for (let round = 0; round < 3; round += 1) {
    const journal = open();
    const parts = partsOf(400);
    for (let mail = 0; mail < 60; mail += 1) journal.addMail(mailLine({ parts }));
    assert.match(
      (await journal.end(run)) ?? '',
      /^The journal misses 61 lines of this run\. Storage at .* refused access \(403 AuthorizationPermissionMismatch\) while writing the journal of connection acme\/orders\. Check/,
    );
  }
});

test('storage that is silent ends a run in time', async (t) => {
  storage.fault = () => ({ kind: 'silent' });
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  t.mock.method(AbortSignal, 'timeout', (ms: number) => {
    assert.ok(ms <= 15_000);
    return timeout(50);
  });
  const journal = open();
  journal.addMail(mailLine());
  assert.match(
    (await journal.end(run)) ?? '',
    /misses 2 lines of this run\. The storage account did not answer in time/,
  );
});

test('no more than a bound is held while storage does not answer; what came beyond it is counted', async (t) => {
  withoutHaste(t);
  const held = Promise.withResolvers<undefined>();
  storage.fault = () => held.promise;
  const journal = open();
  const parts = partsOf(800);
  for (let mail = 0; mail < 200; mail += 1) journal.addMail(mailLine({ parts }));
  held.resolve(undefined);
  const warning =
    /^The journal misses (\d+) lines of this run\. They came faster than storage took them\.$/.exec(
      (await journal.end(run)) ?? '',
    );
  const written = await storage.lines(file);
  assert.equal(written.length + Number(warning?.[1]), 201);
  assert.ok(JSON.stringify(written).length < 16.1 * 1_024 * 1_024);
  const next = open();
  for (let mail = 0; mail < 40; mail += 1) next.addMail(mailLine({ parts }));
  assert.equal(await next.end(run), undefined);
});

const later = (interchangeId: string, connection = 'orders') => ({
  customer: 'acme',
  connection,
  mailAt: new Date('2026-11-26T23:59:59.999Z'),
  at: new Date('2026-11-28T10:00:00.000Z'),
  interchangeId,
  outcome: 'delivered' as const,
});

test('later outcomes stand in the file of the mail’s own line', async () => {
  const outcomes = [later('a'), later('b', 'other'), later('c')];
  assert.equal(await addLaterOutcomes({ container: storage.container, mode: 'ids' }, outcomes), undefined);
  const line = { kind: 'later', at: '2026-11-28T10:00:00.000Z', outcome: 'delivered' };
  assert.deepEqual(await storage.lines(file), [
    { ...line, interchangeId: 'a' },
    { ...line, interchangeId: 'c' },
  ]);
  assert.deepEqual(await storage.lines('2026-11-26/acme/other.jsonl'), [{ ...line, interchangeId: 'b' }]);
  storage.fault = () => refusal(403, 'AuthorizationFailure');
  for (const [lost, mails] of [
    [outcomes, '3 undelivered mails'],
    [[later('a')], '1 undelivered mail'],
  ] as const) {
    const sentence = await addLaterOutcomes({ container: storage.container, mode: 'full' }, lost);
    const expected = new RegExp(`^The journal misses what became of ${mails}\\. Storage .* refused access`);
    assert.match(sentence ?? '', expected);
  }
});

test('a connection whose name can’t be polled has no journal, and reaches no other’s', async () => {
  for (const owner of [{ customer: '..' }, { connection: 'a/b' }, { connection: 'orders~2' }]) {
    const journal = open(owner);
    journal.addMail(mailLine());
    assert.equal(await journal.end(run), undefined);
  }
  assert.equal(storage.calls.length, 0);
});

/** Megabytes are written here, beside other tests: how long that takes is not the question. */
function withoutHaste(t: TestContext): void {
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  t.mock.method(AbortSignal, 'timeout', (ms: number) => timeout(10 * ms));
}
