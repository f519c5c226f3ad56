import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { identifyMail } from '../../shared/message/identity.ts';
import { KnownMails } from '../../shared/poll/knownMails.ts';
import { until } from '../reliability/mails.ts';
import { startAzurite } from '../testbed/azurite.ts';
import { openStorage, passMinutes, type Storage, undeliveredMail } from '../undelivered/storage.ts';

const azurite = await startAzurite();
after(() => azurite.stop());

const mailboxId = 'imap|mail.example.com|box|INBOX|7';
const mail = (n: number, box = mailboxId) => identifyMail(box, `imap:7:${n}:INBOX`, `fields ${n}`);

/** What a new run knows; `box` is where its connection points. */
function knownOf(storage: Storage, box = mailboxId, runId = 'run') {
  return new KnownMails({
    ...{ customer: 'acme', connection: 'orders', mailboxId: box, runId },
    table: storage.delivered,
    openUndelivered: async () => storage.store,
    now: () => storage.clock.now,
  });
}

/** What the next run has read. */
async function readKnown(storage: Storage, box = mailboxId) {
  const known = knownOf(storage, box, 'next');
  await known.read();
  return known;
}

/** Stores mail `n` for the retry; gives when. */
const storeMail = (storage: Storage, n: number, box = mailboxId) =>
  storage.store.store(undeliveredMail(['x'], { mailboxId: box, identity: mail(n, box) }));

test('delivered and stored mails are found by the next run, each as what it is', async () => {
  const storage = await openStorage(azurite);
  const first = knownOf(storage);
  await Promise.all([first.record(mail(1)), first.record(mail(2))]);
  const storedAt = await storeMail(storage, 3);
  first.noteStored(mail(3), storedAt);
  assert.deepEqual(first.find(mail(3)), { kind: 'stored', at: storedAt });
  await first.forget([mail(1).id, mail(2).id]);
  assert.equal(first.isEmpty, false, 'the stored one is still to be settled');
  await Promise.all([first.record(mail(1)), first.record(mail(2))]);
  const next = await readKnown(storage);
  assert.equal(next.isEmpty, false);
  assert.deepEqual(
    [1, 2, 3, 4].map((n) => next.find(mail(n))),
    [
      { kind: 'delivered', at: storage.clock.now },
      { kind: 'delivered', at: storage.clock.now },
      { kind: 'stored', at: storedAt },
      undefined,
    ],
  );
  assert.deepEqual(next.keyHashes(), new Set([1, 2, 3].map((n) => mail(n).keyHash)));
});

test('after a store that may have been done the mailbox is not clean, so that the next run looks', async () => {
  const known = await readKnown(await openStorage(azurite));
  assert.equal(known.isEmpty, true, 'nothing was left, and there is no table');
  known.noteDoubt();
  assert.equal(known.isEmpty, false);
});

test('nor is it where a delivery could not be recorded, which may have been done', async (t) => {
  const storage = await openStorage(azurite);
  const known = await readKnown(storage);
  const upsert = storage.delivered.upsertEntity.bind(storage.delivered);
  t.mock.method(storage.delivered, 'upsertEntity', async (...args: Parameters<typeof upsert>) => {
    if ((await upsert(...args)) !== undefined) throw new Error('The answer was lost.');
  });
  await assert.rejects(known.record(mail(1)));
  assert.equal((await readKnown(storage)).find(mail(1))?.kind, 'delivered');
  assert.equal(known.isEmpty, false);
});

test('what could not be recorded is tried again as long as it is not settled', async (t) => {
  const storage = await openStorage(azurite);
  const known = await readKnown(storage);
  const upsert = storage.delivered.upsertEntity.bind(storage.delivered);
  let isAway = true;
  let refused = 0;
  t.mock.method(storage.delivered, 'upsertEntity', async (...args: Parameters<typeof upsert>) => {
    refused += Number(isAway);
    if (isAway) throw new Error('Storage is away.');
    return await upsert(...args);
  });
  const recorded = async () => (await readKnown(storage)).keyHashes();
  const hashesOf = (...numbers: number[]) => new Set(numbers.map((n) => mail(n).keyHash));
  const failing = async (...numbers: number[]) => {
    isAway = true;
    await Promise.all(numbers.map((n) => assert.rejects(known.record(mail(n)))));
  };
  await failing(1, 2);
  await known.forget([mail(1).id]);
  isAway = false;
  await until('it is recorded', async () => (await recorded()).size === 1);
  await failing(3);
  isAway = false;
  await known.land();
  // Of the next session.
  refused = 0;
  await failing(4);
  await until('it was refused again', () => refused === 2);
  isAway = false;
  await until('it is recorded, too', async () => (await recorded()).size === 3);
  await failing(5);
  await known.land();
  isAway = false;
  assert.deepEqual(await recorded(), hashesOf(2, 3, 4));
  let bytes = 0;
  for await (const { mails } of storage.delivered.listEntities())
    bytes += Buffer.byteLength(mails as Uint8Array);
  assert.equal(bytes, 3 * 48, 'each once');
});

test('nor is it where the record of what was settled, or is gone, could not be removed', async (t) => {
  for (const end of ['forget', 'keepOnly'] as const) {
    const storage = await openStorage(azurite);
    const known = await readKnown(storage);
    await known.record(mail(1));
    const away = () => Promise.reject(new Error('Storage is away.'));
    t.mock.method(storage.delivered, 'deleteEntity', away);
    await assert.rejects(end === 'forget' ? known.forget([mail(1).id]) : known.keepOnly(new Set()));
    assert.equal((await readKnown(storage)).find(mail(1))?.kind, 'delivered');
    assert.equal(known.isEmpty, false, end);
  }
});

test('the same number with other fields is another mail', async () => {
  const storage = await openStorage(azurite);
  await knownOf(storage).record(mail(1));
  const next = await readKnown(storage);
  assert.equal(next.find(identifyMail(mailboxId, 'imap:7:1:INBOX', 'other fields')), undefined);
});

test('what is settled is forgotten, the marks of stored mails too', async () => {
  const storage = await openStorage(azurite);
  const first = knownOf(storage);
  await first.record(mail(1));
  first.noteStored(mail(2), await storeMail(storage, 2));
  await first.forget([mail(1).id, mail(2).id]);
  assert.equal(first.isEmpty, true);
  assert.deepEqual(await storage.store.readMarks('acme', 'orders'), []);
  const next = await readKnown(storage);
  assert.equal(next.isEmpty, true);
});

test('what a complete list no longer has is forgotten', async () => {
  const storage = await openStorage(azurite);
  const first = knownOf(storage);
  await Promise.all([1, 2].map((n) => first.record(mail(n))));
  for (const n of [3, 4]) first.noteStored(mail(n), await storeMail(storage, n));
  await first.keepOnly(new Set([mail(2).keyHash, mail(4).keyHash]));
  assert.deepEqual(
    [1, 2, 3, 4].map((n) => first.find(mail(n))?.kind),
    [undefined, 'delivered', undefined, 'stored'],
  );
  assert.deepEqual(
    (await storage.store.readMarks('acme', 'orders')).map(({ identityId }) => identityId),
    [mail(4).id],
  );
});

test('marks of another mailbox are kept and not seen; they count again when the connection points there', async () => {
  const storage = await openStorage(azurite);
  const other = 'imap|other.example.com|box|INBOX|7';
  await storeMail(storage, 1, other);
  const here = await readKnown(storage);
  assert.equal(here.isEmpty, true);
  await here.keepOnly(new Set());
  const there = await readKnown(storage, other);
  assert.equal(there.find(mail(1, other))?.kind, 'stored');
});

test('marks older than seven days go', async () => {
  const storage = await openStorage(azurite);
  await storeMail(storage, 1);
  passMinutes(storage, 7 * 24 * 60);
  const young = await readKnown(storage);
  assert.equal(young.find(mail(1))?.kind, 'stored');
  passMinutes(storage, 1);
  const old = await readKnown(storage);
  assert.equal(old.isEmpty, true);
  assert.deepEqual(await storage.store.readMarks('acme', 'orders'), []);
});

test('many mails that are recorded together cost one row', async () => {
  const storage = await openStorage(azurite);
  const known = knownOf(storage);
  await Promise.all(Array.from({ length: 300 }, (_, n) => known.record(mail(n))));
  let rows = 0;
  for await (const _ of storage.delivered.listEntities()) rows += 1;
  assert.equal(rows, 1);
  known.hurry();
  const startedMs = performance.now();
  for (let n = 300; n < 305; n += 1) await known.record(mail(n));
  assert.ok(performance.now() - startedMs < 400, 'nobody rests once someone waits');
});
