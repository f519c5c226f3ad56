import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Troubles } from '../../shared/poll/troubles.ts';

const now = new Date('2026-11-24T10:00:00Z');
const later = (minutes: number) => new Date(now.getTime() + minutes * 60_000);
const mail = (id: number) => ({ key: `imap:1:${id}:INBOX`, id });

/** The column after so many runs in which mail 1 failed, a minute apart. */
function failing(runs: number): string {
  let column = '';
  for (let run = 0; run < runs; run += 1) {
    const troubles = new Troubles(column, later(run));
    assert.equal(troubles.isLeft(mail(1)), false, `run ${run + 1}`);
    troubles.add(mail(1), 'the server will not.');
    column = troubles.toColumn();
  }
  return column;
}

test('a mail is tried in three runs in a row, then left and still reported', () => {
  const troubles = new Troubles(failing(3), later(3));
  assert.equal(troubles.isLeft(mail(2)), false);
  assert.equal(troubles.isLeft(mail(1)), true);
  assert.match(troubles.sentence ?? '', /Mail 1 could not be fetched in 3 runs in a row/);
  assert.equal(new Troubles(troubles.toColumn(), later(4)).isLeft(mail(1)), true, 'it stays left');
});

test('an hour after its last try it is tried again, and left at once when it fails', () => {
  const troubles = new Troubles(failing(3), later(63));
  assert.equal(troubles.isLeft(mail(1)), false);
  troubles.add(mail(1), 'still not.');
  assert.equal(new Troubles(troubles.toColumn(), later(64)).isLeft(mail(1)), true);
});

test('passing a mail over does not put off its next try', () => {
  let column = failing(3);
  for (const minutes of [20, 40, 60]) {
    const troubles = new Troubles(column, later(minutes));
    troubles.isLeft(mail(1));
    column = troubles.toColumn();
  }
  assert.equal(new Troubles(column, later(63)).isLeft(mail(1)), false);
});

test('a run in which it could be fetched, or was not there, ends the row', () => {
  const between = new Troubles(failing(2), later(2));
  assert.equal(between.isLeft(mail(1)), false);
  assert.equal(between.toColumn(), '');
  assert.equal(between.sentence, undefined);
});

test('several tries in one run count once', () => {
  const troubles = new Troubles('', now);
  for (let times = 0; times < 5; times += 1) troubles.add(mail(1), 'no.');
  assert.match(troubles.toColumn(), /"tries":1/);
});

test('many bad mails make one sentence and a bounded column', () => {
  const troubles = new Troubles('', now);
  for (let id = 1; id <= 5_000; id += 1) troubles.add(mail(id), 'no.');
  assert.match(troubles.sentence ?? '', /^Mail 1 .*\(99 more such mails\)$/);
  assert.ok(troubles.toColumn().length < 16_384);
});

test('a mail that was gone once is not told', () => {
  const troubles = new Troubles('', now);
  troubles.addGone(mail(1));
  assert.equal(troubles.sentence, undefined);
  troubles.add(mail(2), 'no.');
  assert.match(troubles.sentence ?? '', /^Mail 2 .*no\.$/);
  const next = new Troubles(troubles.toColumn(), later(1));
  next.addGone(mail(1));
  assert.match(next.sentence ?? '', /Mail 1 .*try 2 of 3/);
});

test('a column that someone has edited begins the counting anew', () => {
  for (const column of ['{', '[]', 'null', '17', '{"a":null}', '{"a":{"tries":"9"}}', 42, null, undefined]) {
    const troubles = new Troubles(column, now);
    assert.equal(troubles.isLeft(mail(1)), false);
    assert.equal(troubles.toColumn(), '');
  }
});
