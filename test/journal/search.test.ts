import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, test } from 'node:test';
import type { ConnectionKey } from '../../shared/connection/connectionStore.ts';
import { addLaterOutcomes, type LaterOutcome, openJournal } from '../../shared/journal/journal.ts';
import { type MailLine, mailText } from '../../shared/journal/lines.ts';
import { listPortions, maxPortionBytes } from '../../shared/journal/scan.ts';
import { findMails, findRuns, type JournalQuery } from '../../shared/journal/search.ts';
import type { JournalMode } from '../../shared/settings/settings.ts';
import { startAzurite } from '../testbed/azurite.ts';
import { type JournalStorage, mailLine, openJournalStorage, part } from './storage.ts';

const azurite = await startAzurite();
after(() => azurite.stop());

let storage: JournalStorage;

beforeEach(async () => {
  storage = await openJournalStorage(azurite);
});
afterEach(() => storage.stop());

const time = (text: string) => new Date(`2026-11-${text}Z`);
const window = { from: time('25T00:00:00.000'), to: time('27T23:59:59.999'), limit: 100 };

interface Written {
  readonly mails?: readonly MailLine[];
  readonly mode?: JournalMode;
  readonly status?: 'ok' | 'failed';
  readonly runAt?: Date;
}

async function write(
  owner: ConnectionKey,
  { mails = [], mode = 'full', status, runAt = time('26T10:00:00.000') }: Written,
): Promise<void> {
  const runId = `run of ${owner.connection} ${status ?? ''}`;
  const journal = openJournal({ ...owner, container: storage.container, runId, mode });
  for (const mail of mails) journal.addMail(mail);
  const run = { at: runAt, mails: mails.length, messages: 0, bytes: 0, durationMs: 5, error: 'It failed.' };
  assert.equal(await journal.end(status && { ...run, status }), undefined);
}

type Query = Partial<JournalQuery> & { readonly q?: string };

const mails = async (query: Query = {}) =>
  await findMails(await storage.container(), { ...window, ...query });

const ids = async (query: Query = {}) => (await mails(query)).found.map(({ interchangeId }) => interchangeId);

/** All pages of an answer. */
async function pagesOf(query: Query): Promise<Awaited<ReturnType<typeof mails>>[]> {
  const pages = [await mails(query)];
  for (let after = pages[0]?.next; after !== undefined; after = pages.at(-1)?.next) {
    assert.ok(pages.length < 100);
    pages.push(await mails({ ...query, after }));
  }
  return pages;
}

const becameLater = async (outcome: LaterOutcome): Promise<void> =>
  void (await addLaterOutcomes({ container: storage.container, mode: 'full' }, [outcome]));

const orders = { customer: 'acme', connection: 'orders' };
const other = { customer: 'acme', connection: 'orders2' };
const foreign = { customer: 'zeta', connection: 'orders' };

test('mails are found newest first over connections and days, within a window, a page at a time', async () => {
  assert.deepEqual((await mails()).found, []);
  const named = (interchangeId: string, at: string) => mailLine({ interchangeId, at: time(at) });
  await write(orders, {
    mails: [named('a', '24T23:59:59.999'), named('b', '25T00:00:00.000'), named('c', '26T10:00:00.000')],
  });
  await write(other, { mails: [named('d', '25T12:00:00.000'), named('e', '26T10:00:00.000')] });
  await write(foreign, { mails: [named('f', '26T09:00:00.000'), named('g', '28T00:00:00.000')] });
  assert.deepEqual(await ids(), ['e', 'c', 'f', 'd', 'b']);
  assert.deepEqual(await ids({ customer: 'acme' }), ['e', 'c', 'd', 'b']);
  assert.deepEqual(await ids({ customer: 'acme', connection: 'orders' }), ['c', 'b']);
  assert.deepEqual(await ids({ connection: 'orders' }), ['c', 'f', 'b']);
  assert.deepEqual(await ids({ customer: 'acm' }), []);
  assert.deepEqual(await ids({ from: time('25T12:00:00.000'), to: time('26T09:00:00.000') }), ['f', 'd']);

  const pages = (await pagesOf({ limit: 2 })).map(({ found }) => found.map((mail) => mail.interchangeId));
  assert.deepEqual(pages, [['e', 'c'], ['f', 'd'], ['b']]);
});

test('mails that were recorded in the same moment are found once each, over pages', async () => {
  const expected: string[] = [];
  for (const owner of [orders, other]) {
    const written = Array.from({ length: 70 }, (_, index) =>
      mailLine({ interchangeId: `${owner.connection}-${(index * 37) % 70}` }),
    );
    expected.push(...written.map(({ interchangeId }) => interchangeId));
    await write(owner, { mails: written });
  }
  for (const limit of [20, 100]) {
    const found = (await pagesOf({ limit })).flatMap((page) => page.found.map((mail) => mail.interchangeId));
    assert.deepEqual(found, expected.toSorted().reverse());
  }
});

test('a page of mails with very many parts ends at 8 MiB, and the next one goes on', async () => {
  const parts = Array.from({ length: 600 }, (_, index) => part(index + 1));
  const written = Array.from({ length: 48 }, () => mailLine({ parts }));
  await write(orders, { mails: written });
  const pages = await pagesOf({ limit: 100 });
  const sizes = pages.map(({ found }) => JSON.stringify(found).length);
  assert.ok(Math.max(...sizes) <= 8 * 1_024 * 1_024, `${sizes}`);
  const found = pages.flatMap((page) => page.found.map(({ interchangeId }) => interchangeId));
  assert.deepEqual(found.sort(), written.map(({ interchangeId }) => interchangeId).sort());
});

test('a mail is given whole, and with what became of it later', async () => {
  const stored = mailLine({ outcome: 'undelivered', warning: 'Kept.' } as Partial<MailLine>);
  const reason = 'The filters leave it out.';
  const left = mailLine({ outcome: 'left-out', reason, parts: [] } as Partial<MailLine>);
  await write(orders, { mails: [stored, left] });
  const find = async () =>
    (await mails()).found.find(({ interchangeId }) => interchangeId === stored.interchangeId);
  const { at, receivedAt, ...rest } = stored;
  assert.deepEqual(await find(), {
    ...rest,
    at: at.toISOString(),
    receivedAt: receivedAt?.toISOString(),
    runId: 'run of orders ',
    ...orders,
  });
  assert.ok((await mails()).found.some((mail) => mail.reason === reason));
  const later = { ...orders, mailAt: at, at: time('27T10:00:00.000'), interchangeId: stored.interchangeId };
  await becameLater({ ...later, outcome: 'given-up' });
  assert.equal((await find())?.outcome, 'given-up');
  await becameLater({ ...later, outcome: 'delivered' });
  assert.equal((await find())?.outcome, 'delivered');
});

test('words are looked for in Message-ID, subject, addresses and file names, in any case, and nowhere else', async () => {
  const found = mailLine({
    emailMessageId: '<Ab"c\\@Example.com>',
    emailSubject: 'ÜBER "alles" — 発注書 ΑΣΦΑΛΕΙΑ',
    emailFrom: 'Müller <mueller@example.org>',
    emailTo: 'einkauf@acme.example',
    parts: [
      part(1),
      part(2, { inboundFileName: 'Rechnung 5_2024.PDF' }),
      // As macOS names a file.
      part(3, { inboundFileName: 'Übersicht Größe.pdf'.normalize('NFD') }),
    ],
  });
  await write(orders, { mails: [found, mailLine({ emailSubject: 'other', queueName: 'über' })] });
  for (const q of [
    'ab"c\\@',
    'über "ALLES"',
    '発注書',
    'ΑΣ',
    'MÜLLER',
    'einkauf@',
    'rechnung 5_2024.pdf',
    'übersicht größe',
    'ÜBERSICHT'.normalize('NFD'),
  ]) {
    assert.deepEqual(await ids({ q }), [found.interchangeId], q);
  }
  for (const q of ['application/pdf', 'delivered', 'aaaaaaaa', 'interchangeId']) {
    assert.deepEqual(await ids({ q }), [], q);
  }
});

test('with a journal of ids a mail is found by its whole Message-ID, with or without its brackets', async () => {
  const mail = mailLine();
  await write(orders, { mails: [mail], mode: 'ids' });
  assert.deepEqual(await ids({ q: '<17@example.com>' }), [mail.interchangeId]);
  assert.deepEqual(await ids({ q: '17@example.com' }), [mail.interchangeId]);
  assert.deepEqual(await ids({ q: '17@' }), []);
  const [part_] = (await mails()).found[0]?.parts ?? [];
  assert.equal(part_?.inboundFileName, undefined);
});

test('runs are found by connection and status', async () => {
  await write(orders, { status: 'ok', mails: [mailLine()] });
  // Both in the same moment.
  await write(orders, { status: 'failed', runAt: time('26T11:00:00.000') });
  await write(other, { status: 'failed', runAt: time('26T11:00:00.000') });
  await write(foreign, { status: 'failed', runAt: time('26T10:30:00.000') });
  const runs = async (query: object = {}) =>
    (await findRuns(await storage.container(), { ...window, ...query })).found.map(
      ({ customer, status, mails: count }) => `${customer} ${status} ${count}`,
    );
  assert.deepEqual(await runs(), ['acme failed 0', 'acme failed 0', 'zeta failed 0', 'acme ok 1']);
  assert.deepEqual(await runs({ status: 'ok' }), ['acme ok 1']);
  assert.deepEqual(await runs({ customer: 'zeta' }), ['zeta failed 0']);
});

test('what was written twice is told once, and lines that are none are passed over', async () => {
  const mail = mailLine();
  await write(orders, { mails: [mail, mail], status: 'ok' });
  await write(orders, { mails: [mail], status: 'ok' });
  const blob = (await storage.container()).getAppendBlobClient('2026-11-26/acme/orders.jsonl');
  const junk = `{"kind":"mail","at":"2026-11-26T10:00:00.000Z"}\n\nnull\n{"kind":"mail","at":"${'x'.repeat(400_000)}\n`;
  await blob.appendBlock(junk, Buffer.byteLength(junk));
  const again = mailLine({ interchangeId: mail.interchangeId, at: time('26T09:00:01.000') });
  await write(orders, { mails: [again] });
  assert.deepEqual(await ids(), [mail.interchangeId, mail.interchangeId]);
  assert.equal((await findRuns(await storage.container(), window)).found.length, 1);
});

test('what is no file of the journal is passed over', async () => {
  const container = await storage.container();
  await container.create();
  for (const name of [
    'readme.txt',
    '2026-11-26/x.jsonl',
    '2026-11-26/a/b/c.jsonl',
    '2026-11-26/a/../b.jsonl',
  ]) {
    await container.getBlockBlobClient(name).upload('x\n', 2);
  }
  assert.deepEqual((await mails()).found, []);
});

test('a day that is too much for one portion is read piece by piece, each mail once and with its latest outcome', async () => {
  const expected = new Map<string, string>();
  for (const owner of [orders, other, foreign]) {
    const id = (index: number) => `${owner.customer}-${owner.connection}-${index}`;
    const written = Array.from({ length: 24 }, (_, index) => {
      const outcome = index % 4 === 0 ? 'undelivered' : 'delivered';
      expected.set(id(index), outcome);
      const at = new Date(time('26T08:00:00.000').getTime() + index * 1_000);
      return mailLine({ outcome, at, interchangeId: id(index) } as Partial<MailLine>);
    });
    // Of the day before, where the connections begin anew.
    const before = mailLine({ at: time('25T08:00:00.000'), interchangeId: id(24) });
    expected.set(id(24), 'delivered');
    await write(owner, { mails: [before, ...written] });
    // In the newest piece, of a mail in the oldest.
    const later = { mailAt: time('26T08:00:00.000'), at: time('27T08:00:00.000'), interchangeId: id(0) };
    await becameLater({ ...owner, ...later, outcome: 'given-up' });
    expected.set(id(0), 'given-up');
  }
  for (const [portionBytes, limit] of [
    [3_000, 50],
    [30_000, 7],
    // More than half of it for each connection: a page goes on from one portion to the next.
    [45_000, 7],
  ] as const) {
    const pages = await pagesOf({ portionBytes, limit });
    const found = pages.flatMap((page) => page.found.map((mail) => [mail.interchangeId, mail.outcome]));
    assert.deepEqual(found.sort(), [...expected].sort(), `${portionBytes} bytes, ${limit} a page`);
    if (limit === 50) assert.ok(pages.some(({ incomplete }) => incomplete !== undefined));
  }
});

test('a journal that is refused, or is not read in its time, is a failure that says so', async (t) => {
  await write(orders, { mails: [mailLine()] });
  storage.fault = () => ({ kind: 'answer', status: 403 });
  const refused = /refused access \(403\) while reading the journal, container email-journal/;
  await assert.rejects(mails(), { reason: 'storage', message: refused });
  storage.fault = () => undefined;
  t.mock.method(AbortSignal, 'timeout', () => AbortSignal.abort());
  await assert.rejects(mails(), { reason: 'storage', message: /could not be read in time\. Ask for less/ });
});

test('what became of a mail before it was picked up again says nothing of the second time', async () => {
  const line = mailLine({ at: time('26T08:00:00.000'), outcome: 'undelivered' });
  const again = mailLine({ ...line, at: time('26T16:00:00.000') });
  const { interchangeId } = line;
  await write(orders, { mails: [line] });
  await becameLater({
    ...orders,
    mailAt: line.at,
    at: time('26T12:00:00.000'),
    interchangeId,
    outcome: 'given-up',
  });
  await write(orders, { mails: [again] });
  const outcomes = async () => (await mails()).found.map(({ outcome }) => outcome);
  assert.deepEqual(await outcomes(), ['undelivered', 'given-up']);
  // By a clock that is somewhat behind.
  await becameLater({
    ...orders,
    mailAt: again.at,
    at: time('26T15:59:00.000'),
    interchangeId,
    outcome: 'delivered',
  });
  assert.deepEqual(await outcomes(), ['delivered', 'delivered']);
});

test('very many later outcomes are read in time in proportion to them', async () => {
  await write(orders, { mails: [mailLine({ at: time('26T08:00:00.000'), outcome: 'undelivered' })] });
  const later = (index: number): LaterOutcome => ({
    ...orders,
    ...{ mailAt: time('26T08:00:00.000'), at: time('26T09:00:00.000'), outcome: 'delivered' },
    interchangeId: `mail-${index}`,
  });
  const outcomes = Array.from({ length: 400_000 }, (_, index) => later(index));
  await addLaterOutcomes({ container: storage.container, mode: 'full' }, outcomes);
  const startedAt = process.cpuUsage();
  assert.equal((await mails()).found.length, 1);
  const { user } = process.cpuUsage(startedAt);
  assert.ok(user < 5_000_000, `${user / 1000} ms`);
});

test('the files of a day are divided in time in proportion to them', async (t) => {
  const container = await storage.container();
  const files = 20_000;
  t.mock.method(container, 'listBlobsFlat', async function* () {
    for (let index = 0; index < files; index += 1) {
      yield { name: `2026-11-26/acme/c${index}.jsonl`, properties: { contentLength: 1_000 } };
    }
  });
  const startedAt = process.cpuUsage();
  const divide = async (portionBytes: number) =>
    (await listPortions(container, '2026-11-26', {}, portionBytes)).map(({ spans }) => spans.length);
  assert.deepEqual(await divide(maxPortionBytes), [files / 2, files / 2]);
  assert.deepEqual(await divide(8_000_000), [8_000, 8_000, 4_000]);
  const { user } = process.cpuUsage(startedAt);
  assert.ok(user < 4_000_000, `${user / 1000} ms`);
});

/** Writes `count` mails of one day into a file, each with a body and an attachment; the oldest first. Gives the bytes. */
async function fillFile(owner: ConnectionKey, count: number): Promise<number> {
  const container = await storage.container();
  await container.createIfNotExists();
  const startMs = time('26T00:00:00.000').getTime();
  const lines = Array.from({ length: count }, (_, mail) =>
    mailText(
      'full',
      owner,
      'run-1',
      mailLine({
        at: new Date(startMs + Math.floor((mail / count) * 86_399_000)),
        interchangeId: `${owner.connection}-${mail}`,
        emailMessageId: `<${mail}.${owner.connection}@example.com>`,
        emailSubject: `Order ${mail} – Ümlaut`,
      }),
    ),
  ).join('');
  const blob = container.getAppendBlobClient(`2026-11-26/${owner.customer}/${owner.connection}.jsonl`);
  await blob.create();
  await blob.appendBlock(lines, Buffer.byteLength(lines));
  return Buffer.byteLength(lines);
}

test('a day of 100,000 mails is one portion: each file is read once, and no more lines are parsed than are answered', async (t) => {
  const connections = Array.from({ length: 20 }, (_, index) => ({
    customer: 'acme',
    connection: `c${index}`,
  }));
  let dayBytes = 0;
  for (const owner of connections) dayBytes += await fillFile(owner, 500);
  // Outside the window.
  await write(orders, { mails: ['24', '28'].map((day) => mailLine({ at: time(`${day}T12:00:00.000`) })) });
  assert.ok((100_000 / (20 * 500)) * dayBytes < maxPortionBytes);
  const parse = t.mock.method(JSON, 'parse');
  const ask = async (query: Query) => {
    storage.calls.length = 0;
    parse.mock.resetCalls();
    const page = await mails(query);
    // The days, the day's files, and each of these.
    assert.equal(storage.calls.length, 2 + connections.length);
    const parsed = parse.mock.callCount();
    assert.ok(parsed <= 2 * page.found.length, `${parsed} lines parsed`);
    return page;
  };
  const listed = await ask({});
  assert.equal(listed.found.length, 100);
  const { found } = await ask({ q: '471.c7@example' });
  assert.deepEqual(
    found.map(({ interchangeId }) => interchangeId),
    ['c7-471'],
  );
  const second = await ask({ after: listed.next ?? '' });
  assert.ok((second.found[0]?.at ?? 'z') <= (listed.found.at(-1)?.at ?? ''));
});

test('the work grows as the day does, whether it is listed or searched', async () => {
  const few = { customer: 'acme', connection: 'few' };
  const many = { customer: 'acme', connection: 'many' };
  await fillFile(few, 500);
  for (const connection of ['many', 'many1', 'many2', 'many3'])
    await fillFile({ ...many, connection }, 4_000);
  /** CPU time, which other processes don't add to; the best of three, since the first compiles. */
  const cpuOf = async (query: Query) => {
    const all: number[] = [];
    for (let tries = 0; tries < 3; tries += 1) {
      const before = process.cpuUsage();
      await mails(query);
      const { user, system } = process.cpuUsage(before);
      all.push(user + system);
    }
    return Math.min(...all);
  };
  for (const q of [{}, { q: '471.few@example' }]) {
    const growth = (await cpuOf(q)) / (await cpuOf({ ...few, ...q }));
    assert.ok(growth < 33, `33 times the mails took ${growth} times the time`);
  }
});
