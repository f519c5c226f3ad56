import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FetchTries, RiskTries } from '../../shared/poll/tries.ts';

const now = new Date('2026-11-24T10:00:00Z');
const later = (minutes: number) => new Date(now.getTime() + minutes * 60_000);
const mail = (id: number) => ({ key: `imap:1:${id}:INBOX`, id });

/** The column after so many runs in which mail 1 failed, a minute apart. */
function failing(runs: number): string {
  let column = '';
  for (let run = 0; run < runs; run += 1) {
    const tries = new FetchTries(column, later(run));
    assert.equal(tries.choose(mail(1)), 'fetch', `run ${run + 1}`);
    tries.add(mail(1), 'the server will not.');
    column = tries.toColumn();
  }
  return column;
}

test('a mail is tried in three runs in a row, then left and still reported', () => {
  const tries = new FetchTries(failing(3), later(3));
  assert.equal(tries.choose(mail(2)), 'fetch');
  assert.equal(tries.choose(mail(1)), 'leave');
  assert.match(tries.sentence ?? '', /Mail 1 could not be fetched in 3 runs in a row/);
  assert.equal(new FetchTries(tries.toColumn(), later(4)).choose(mail(1)), 'leave', 'it stays left');
});

test('one that was left is tried again after a while, each time after a longer one, up to an hour', () => {
  let column = failing(3);
  let minute = 2;
  for (const waitMinutes of [5, 10, 20, 40, 60, 60]) {
    minute += waitMinutes;
    assert.equal(new FetchTries(column, later(minute - 0.01)).choose(mail(1)), 'leave', `${waitMinutes}`);
    const tries = new FetchTries(column, later(minute));
    assert.equal(tries.choose(mail(1)), 'fetch alone', 'it may end the session of all others');
    tries.add(mail(1), 'still not.');
    column = tries.toColumn();
  }
});

test('one that a run had no time to try again is still to be tried alone by the next', () => {
  const busy = new FetchTries(failing(3), later(63));
  assert.equal(busy.choose(mail(1)), 'fetch alone');
  assert.match(busy.sentence ?? '', /Mail 1 could not be fetched in 3 runs in a row/, 'this run has left it');
  const next = new FetchTries(busy.toColumn(), later(64));
  assert.equal(next.choose(mail(1)), 'fetch alone');
  next.noteTried(mail(1).key);
  assert.equal(next.sentence, undefined);
  assert.equal(next.toColumn(), '', 'it was had');
});

test('passing a mail over does not put off its next try', () => {
  let column = failing(3);
  for (const minutes of [20, 40, 60]) {
    const tries = new FetchTries(column, later(minutes));
    tries.choose(mail(1));
    column = tries.toColumn();
  }
  assert.equal(new FetchTries(column, later(63)).choose(mail(1)), 'fetch alone');
});

test('a run in which it could be fetched, or was not there, ends the row', () => {
  const had = new FetchTries(failing(2), later(2));
  assert.equal(had.choose(mail(1)), 'fetch');
  had.noteTried(mail(1).key);
  had.noteAllListed();
  assert.equal(had.toColumn(), '');
  assert.equal(had.sentence, undefined);
  const gone = new FetchTries(failing(2), later(2));
  gone.noteAllListed();
  assert.equal(gone.toColumn(), '');
});

test('a run that listed nothing, or did not get to the mail, ends no row', () => {
  const unlisted = new FetchTries(failing(2), later(2));
  assert.equal(unlisted.toColumn(), failing(2));
  const cut = new FetchTries(unlisted.toColumn(), later(3));
  cut.choose(mail(2));
  assert.equal(cut.toColumn(), failing(2), 'it may stand on a page that was not listed');
  assert.equal(cut.choose(mail(1)), 'fetch');
  cut.noteAllListed();
  assert.equal(cut.toColumn(), failing(2));
  const third = new FetchTries(cut.toColumn(), later(4));
  third.choose(mail(1));
  third.add(mail(1), 'still not.');
  third.noteAllListed();
  assert.equal(new FetchTries(third.toColumn(), later(5)).choose(mail(1)), 'leave');
});

test('several tries in one run count once', () => {
  const tries = new FetchTries('', now);
  for (let times = 0; times < 5; times += 1) tries.add(mail(1), 'no.');
  assert.match(tries.toColumn(), /"tries":1/);
});

test('many bad mails make one sentence and a bounded column', () => {
  const tries = new FetchTries('', now);
  for (let id = 1; id <= 5_000; id += 1) tries.add(mail(id), 'no.');
  assert.match(tries.sentence ?? '', /^Mail 1 .*\(99 more such mails\)$/);
  const later = new FetchTries(tries.toColumn(), now);
  for (let id = 5_001; id <= 5_100; id += 1) later.add(mail(id), 'no.');
  assert.ok(later.toColumn().length < 16_384);
});

test('a mail that was gone once is not told', () => {
  const tries = new FetchTries('', now);
  tries.addGone(mail(1));
  assert.equal(tries.sentence, undefined);
  tries.add(mail(2), 'no.');
  assert.match(tries.sentence ?? '', /^Mail 2 .*no\.$/);
  const next = new FetchTries(tries.toColumn(), later(1));
  next.addGone(mail(1));
  assert.match(next.sentence ?? '', /Mail 1 .*try 2 of 3/);
});

test('a column that someone has edited begins the counting anew', () => {
  for (const column of [
    '{',
    '[]',
    'null',
    '17',
    '{"a":null}',
    '{"a":{"tries":"9"}}',
    '{"a":{"tries":9}}',
    42,
    null,
    undefined,
  ]) {
    const tries = new FetchTries(column, now);
    assert.equal(tries.choose(mail(1)), 'fetch');
    assert.equal(tries.toColumn(), '');
  }
});

/** Counts what a run writes at once. */
function risky(column: unknown) {
  const written: string[] = [];
  const risks = new RiskTries(column, async (text) => {
    written.push(text);
  });
  return { risks, written };
}

const id = (n: number) => String(n).repeat(64);

test('a risk is written before the mail is taken apart, and is counted by the next run where this one died', async () => {
  const first = risky(undefined);
  assert.equal(first.risks.countOf(id(1)), 0);
  await first.risks.begin(id(1));
  const second = risky(first.written.at(-1));
  assert.equal(second.risks.countOf(id(1)), 1);
  await second.risks.begin(id(1));
  assert.equal(risky(second.written.at(-1)).risks.countOf(id(1)), 2);
});

test('a mail that brought nothing down is counted no more', async () => {
  const { risks } = risky(undefined);
  await risks.begin(id(1));
  await risks.begin(id(2));
  risks.end(id(1));
  const next = risky(risks.toColumn());
  assert.deepEqual([next.risks.countOf(id(1)), next.risks.countOf(id(2))], [0, 1]);
  risks.end(id(2));
  assert.equal(risks.toColumn(), '');
});

test('a run that took every risk well leaves no count in the row, though it wrote one', async () => {
  const { risks } = risky('');
  assert.equal(risks.changedColumn, undefined);
  await risks.begin(id(1));
  risks.end(id(1));
  assert.equal(risks.changedColumn, '');
});

test('a mail that is taken apart anew in the same run counts once', async () => {
  const { risks, written } = risky(undefined);
  await risks.begin(id(1));
  await risks.begin(id(1));
  assert.equal(risky(written.at(-1)).risks.countOf(id(1)), 1);
  assert.equal(written.length, 1);
});

test('a try of this run is no death: a mail that brought the process down once is taken apart anew all the same', async () => {
  const { risks } = risky(`{"${id(1).slice(0, 32)}":1}`);
  await risks.begin(id(1));
  assert.equal(risks.countOf(id(1)), 1);
  risks.end(id(1));
  assert.equal(risks.toColumn(), '');
});

test('a risk that can’t be written is not run, and taken back, since it may have been written', async () => {
  const risks = new RiskTries('', () => Promise.reject(new Error('Storage is away.')));
  await assert.rejects(risks.begin(id(1)), { message: 'Storage is away.' });
  risks.end(id(1));
  assert.equal(risks.changedColumn, '');
});

test('the risks that are remembered are bounded, and the last ones stay', async () => {
  const { risks } = risky(undefined);
  const idOf = (n: number) => String(n).padStart(8, '0').repeat(8);
  for (let n = 1; n <= 300; n += 1) await risks.begin(idOf(n));
  const column = risks.toColumn();
  assert.ok(column.length < 16_384);
  const next = risky(column).risks;
  for (let n = 201; n <= 300; n += 1) assert.equal(next.countOf(idOf(n)), 1);
});

test('risks that someone has edited begin anew', () => {
  for (const column of ['{', '[]', 'null', '17', '{"a":"9"}', 42, null, undefined]) {
    assert.equal(risky(column).risks.toColumn(), '', String(column));
  }
});
