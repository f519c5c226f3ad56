import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Failure } from '../../../shared/failure/failure.ts';
import {
  type CandidateCommands,
  type CandidateOptions,
  Candidates,
} from '../../../shared/mailbox/imap/candidates.ts';

type Rules = CandidateOptions & { readonly mailboxId?: string };

const everyThird = (uid: number): string => (uid % 3 === 0 ? 'order' : 'news');

/** A folder of unread mails by UID, each with its subject. */
class FakeFolder implements CandidateCommands {
  readonly subjects = new Map<number, string>();
  headersRead = 0;
  /** The mail of which no header is to be had, and what is said about that. */
  silent: number | undefined;
  withheld: readonly number[] = [];

  constructor(count: number, subjectOf = everyThird) {
    for (let uid = 1; uid <= count; uid += 1) this.subjects.set(uid, subjectOf(uid));
  }

  async search(): Promise<readonly number[]> {
    return [...this.subjects.keys()];
  }

  async readHeaders(
    uids: readonly number[],
    take: (uid: number, header: Buffer) => void,
  ): Promise<readonly number[]> {
    for (const uid of uids) {
      this.headersRead += 1;
      const subject = uid === this.silent ? undefined : this.subjects.get(uid);
      if (subject !== undefined) take(uid, Buffer.from(subject));
    }
    return this.withheld;
  }

  async markRead(uids: readonly number[]): Promise<void> {
    for (const uid of uids) this.subjects.delete(uid);
  }

  open({ mailboxId = 'inbox', ...options }: Rules = {}): Candidates {
    const headerFilter = { fingerprint: 'a:b', takes: (header: Buffer) => header.includes('order') };
    return new Candidates(this, mailboxId, { headerFilter, ...options });
  }

  /** A whole session that settles what it lists; gives that, and its mark. */
  async drain(): Promise<[number[], string]> {
    const candidates = this.open();
    const listed: number[] = [];
    for (let page = await candidates.next(10); page.length > 0; page = await candidates.next(10)) {
      listed.push(...page);
      for (const uid of page) this.subjects.delete(uid);
      candidates.settled(page);
    }
    this.headersRead = 0;
    return [listed, candidates.lookedAt ?? ''];
  }
}

test('without a filter all are listed, page by page, and no header is read', async () => {
  const folder = new FakeFolder(25);
  const candidates = new Candidates(folder, 'inbox', {});
  assert.equal((await candidates.next(20)).length, 20);
  assert.equal((await candidates.next(20)).length, 5);
  assert.deepEqual(await candidates.next(20), []);
  assert.equal(candidates.lookedAt, undefined);
  assert.deepEqual([folder.headersRead, folder.subjects.size], [0, 25]);
});

test('a filter lists what it takes, in order, and the same mails are not looked at again', async () => {
  const folder = new FakeFolder(3_000);
  const [listed, mark] = await folder.drain();
  assert.deepEqual(
    listed,
    Array.from({ length: 1_000 }, (_, index) => 3 * (index + 1)),
  );
  const again = folder.open({ lookedAt: mark });
  assert.deepEqual(await again.next(10), []);
  assert.equal(folder.headersRead, 0);
  assert.equal(again.lookedAt, mark);

  folder.subjects.set(3_001, 'order').set(3_002, 'news');
  const later = folder.open({ lookedAt: mark });
  assert.deepEqual(await later.next(10), [3_001]);
  assert.equal(folder.headersRead, 2, 'only what is new is looked at');
});

test('a mail that was marked unread anew, or a filter that changed, has all looked at again', async () => {
  const folder = new FakeFolder(30);
  const [, mark] = await folder.drain();
  folder.subjects.set(3, 'order');
  assert.deepEqual(await folder.open({ lookedAt: mark }).next(10), [3]);
  folder.subjects.delete(3);
  const other = { fingerprint: 'c', takes: (header: Buffer) => header.includes('news') };
  assert.equal((await folder.open({ lookedAt: mark, headerFilter: other }).next(100)).length, 20);
  assert.equal((await folder.open({ lookedAt: mark, mailboxId: 'other' }).next(100)).length, 0);
  assert.ok(folder.headersRead > 20);
});

test('one exchanged for another is noticed: the number alone is the same', async () => {
  const folder = new FakeFolder(30);
  const [, mark] = await folder.drain();
  folder.subjects.delete(1);
  folder.subjects.set(3, 'order');
  assert.deepEqual(await folder.open({ lookedAt: mark }).next(10), [3]);
});

test('the mark never passes a mail that was taken and not settled', async () => {
  const folder = new FakeFolder(30);
  const first = folder.open();
  const page = await first.next(100);
  first.settled(page.filter((uid) => uid !== 12));
  for (const uid of page) if (uid !== 12) folder.subjects.delete(uid);
  const second = folder.open({ lookedAt: first.lookedAt ?? '' });
  assert.deepEqual(await second.next(100), [12]);
  assert.ok(folder.headersRead <= 30 + 13 + 6, `${folder.headersRead}`);
});

test('a mail that stays has no header behind it read again, and keeps no session from getting further', async () => {
  const folder = new FakeFolder(3_000, (uid) => (uid === 5 || uid === 3_000 ? 'order' : 'news'));
  let mark = '';
  const listed: number[][] = [];
  for (let session = 0; session < 7; session += 1) {
    const looks = [true];
    const candidates = folder.open({ lookedAt: mark });
    const page = await candidates.next(10, () => looks.pop() === true);
    listed.push([...page]);
    candidates.settled(page.filter((uid) => uid !== 5));
    for (const uid of page) if (uid !== 5) folder.subjects.delete(uid);
    mark = candidates.lookedAt ?? '';
  }
  assert.deepEqual(listed, [[5], [5], [5], [5], [5, 3_000], [5], [5]]);
  assert.ok(folder.headersRead < 3_010, `${folder.headersRead}`);
  folder.subjects.set(5, 'news');
  for (const headers of [1, 0]) {
    folder.headersRead = 0;
    const candidates = folder.open({ lookedAt: mark });
    assert.deepEqual(await candidates.next(10), []);
    assert.equal(folder.headersRead, headers);
    mark = candidates.lookedAt ?? '';
  }
});

test('of very many mails that stay the mark names a few, and ends before the others', async () => {
  const folder = new FakeFolder(3_000);
  const candidates = folder.open();
  const listed = await candidates.next(3_000);
  const { lookedAt = '' } = candidates;
  assert.ok(lookedAt.length < 600, lookedAt);
  const again = folder.open({ lookedAt });
  assert.deepEqual(await again.next(3_000), listed);
  assert.equal(again.lookedAt, lookedAt);
  const stopped = folder.open({ lookedAt });
  assert.deepEqual(await stopped.next(10, () => false), []);
  assert.equal(stopped.lookedAt, lookedAt, 'what was not looked at is still named');
});

test('a hundred mails that stay have no header behind them read again', async () => {
  const folder = new FakeFolder(3_000, (uid) => (uid <= 100 ? 'order' : 'news'));
  const first = folder.open();
  assert.equal((await first.next(3_000)).length, 100);
  folder.headersRead = 0;
  assert.equal((await folder.open({ lookedAt: first.lookedAt ?? '' }).next(3_000)).length, 100);
  assert.equal(folder.headersRead, 100);
});

for (const filters of [false, true]) {
  test(`two million unread mails are gone through in seconds, ${filters ? 'with' : 'without'} a filter`, async () => {
    const found = Array.from({ length: 2_000_000 }, (_, index) => index + 1);
    const commands: CandidateCommands = {
      search: async () => found,
      readHeaders: async (uids, take) => {
        for (const uid of uids) take(uid, Buffer.of());
        return [];
      },
      markRead: async () => {},
    };
    const headerFilter = { fingerprint: 'a', takes: () => false };
    const candidates = new Candidates(commands, 'inbox', filters ? { headerFilter } : {});
    const startedAt = performance.now();
    let listed = 0;
    for (let page = await candidates.next(2_000); page.length > 0; page = await candidates.next(2_000))
      listed += page.length;
    assert.equal(listed, filters ? 0 : found.length);
    assert.ok(performance.now() - startedAt < 15_000);
  });
}

test('a mail whose header was not read is looked at by the next session, and listed where it is withheld', async () => {
  for (const withheld of [[], [4]]) {
    const folder = Object.assign(new FakeFolder(7), { silent: 4, withheld });
    const candidates = folder.open();
    const listed = await candidates.next(10);
    assert.deepEqual(listed, [3, ...withheld, 6]);
    candidates.settled(listed.filter((uid) => uid !== 4));
    assert.match(candidates.lookedAt ?? '', /^[^:]+:7,4:/);
  }
});

test('what is left out is marked as read and told once, with its header', async () => {
  const folder = new FakeFolder(9);
  const candidates = folder.open({ unmatchedMails: 'markRead' });
  assert.deepEqual(await candidates.next(10), [3, 6, 9]);
  const told = candidates.takeLeftOut();
  assert.deepEqual(
    told.map(({ mail, header }) => `${mail.key} ${header}`),
    ['1 news', '2 news', '4 news', '5 news', '7 news', '8 news'],
  );
  assert.deepEqual(candidates.takeLeftOut(), []);
  assert.deepEqual([...folder.subjects.keys()], [3, 6, 9]);
  const large = new FakeFolder(1, () => 'x'.repeat(20_000)).open({ unmatchedMails: 'markRead' });
  await large.next(10);
  assert.equal(large.takeLeftOut()[0]?.header.length, 16 * 1024);
});

test('what is left out is held for a page of headers at most, and what lies behind it is listed all the same', async () => {
  const folder = new FakeFolder(3_500, (uid) => (uid % 1_750 === 0 ? 'order' : 'news'));
  const candidates = folder.open({ unmatchedMails: 'markRead' });
  const listed: number[] = [];
  const told: number[] = [];
  for (;;) {
    const page = await candidates.next(10);
    const leftOut = candidates.takeLeftOut().length;
    if (page.length === 0 && leftOut === 0) break;
    listed.push(...page);
    told.push(leftOut);
  }
  assert.deepEqual(listed, [1_750, 3_500]);
  assert.equal(
    told.reduce((sum, count) => sum + count, 0),
    3_498,
  );
  assert.ok(Math.max(...told) < 2_000, told.join());
});

test('a mark that is none counts as none', async () => {
  const [mailbox] = (await new FakeFolder(9).drain())[1].split(':');
  const ends = ['x:y:z:a:b', '5:0::a:b', `9:9:${'x'.repeat(22)}:a:b`];
  for (const lookedAt of ['', 'nonsense', ...ends.map((end) => `${mailbox}:${end}`)]) {
    const folder = new FakeFolder(9);
    assert.deepEqual(await folder.open({ lookedAt }).next(10), [3, 6, 9], lookedAt);
  }
});

test('what was left unread before it was to be marked as read is marked, too', async () => {
  const folder = new FakeFolder(9);
  const [, lookedAt] = await folder.drain();
  await folder.open({ unmatchedMails: 'markRead', lookedAt }).next(10);
  assert.equal(folder.subjects.size, 0);
});

test('what could not be marked as read is told as left out only where nobody knows whether it was', async () => {
  for (const [reason, count] of [
    ['protocol', 0],
    ['busy', 0],
    ['connection-lost', 6],
    ['timeout', 6],
  ] as const) {
    const folder = new FakeFolder(9);
    folder.markRead = () => Promise.reject(new Failure(reason, 'No.'));
    const candidates = folder.open({ unmatchedMails: 'markRead' });
    await assert.rejects(candidates.next(10), { reason });
    assert.equal(candidates.takeLeftOut().length, count, reason);
  }
});
