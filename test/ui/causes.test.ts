import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inFormWords } from '../../shared/ui/page/form/words.ts';
import { lastMail, mailsToday } from '../../shared/ui/page/list/lastDay.ts';
import { causesOf, sortRows } from '../../shared/ui/page/list/rows.ts';
import { parseRoute } from '../../shared/ui/page/route.ts';
import { fromFile, toFile } from '../../shared/ui/page/transfer/transfer.ts';

const nowMs = Date.parse('2026-11-24T12:00:20.000Z');
const failing = (connection: string, username: string, lastError: string, consecutiveFailures = 1) =>
  ({
    customer: 'acme',
    connection,
    username,
    state: {
      lastStatus: 'failed',
      lastError,
      consecutiveFailures,
      lastRunStartedAt: '2026-11-24T12:00:00.000Z',
    },
  }) as const;

test('connections that fail by the same sentence but for their own names are one cause, the largest first', () => {
  const rows = sortRows(
    [
      failing('a', 'anna', 'IMAP login to anna.example.com:993 as anna was refused.', 31),
      failing('b', 'bert@x.example', 'IMAP login to anna.example.com:993 as bert@x.example was refused.', 5),
      failing('c', 'carl', 'Queue inbound is full.'),
      { customer: 'acme', connection: 'd', state: { lastStatus: 'ok' } },
      failing('e', 'acme', 'The lease of acme/e is held by another (0.012 + 0.000 secs).'),
      failing('f', 'acme', 'The lease of acme/f is held by another (0.713 + 0.100 secs).'),
    ],
    nowMs,
  );
  assert.deepEqual(
    causesOf(rows).map(({ sentence, rows: ofCause, sinceMs }) => [
      sentence,
      ofCause.map(({ id }) => id),
      new Date(sinceMs).toISOString().slice(11, 16),
    ]),
    [
      ['IMAP login to anna.example.com:993 as … was refused.', ['acme/a', 'acme/b'], '11:30'],
      ['The lease of … is held by another .', ['acme/e', 'acme/f'], '12:00'],
      ['Queue inbound is full.', ['acme/c'], '12:00'],
    ],
  );
});

test('the mails of today are those since midnight of the reader’s clock', () => {
  const midnight = new Date(nowMs).setHours(0, 0, 0, 0);
  const history = {
    since: new Date(midnight - 2 * 3_600_000).toISOString(),
    mails: [5, 7, 11, 13],
    failures: [0, 0, 0, 0],
  };
  assert.equal(mailsToday(history, midnight + 2.5 * 3_600_000), 24);
  assert.equal(lastMail(undefined, undefined, nowMs), '0 today');
  assert.equal(lastMail(new Date(nowMs - 7_200_000).toISOString(), undefined, nowMs), '2 h ago, 0 today');
});

test('the address tells page, connection and query', () => {
  const route = parseRoute('#/show/a%20b/c?x=1&q=a%2Fb');
  assert.deepEqual(
    [route.page, 'key' in route && route.key, route.query.get('q')],
    ['show', { customer: 'a b', connection: 'c' }, 'a/b'],
  );
  assert.equal(parseRoute('#/mails?q=x').page, 'mails');
  for (const hash of ['', '#', '#/', '#/show/a', '#/nothing', '#/?q=x'])
    assert.equal(parseRoute(hash).page, 'list');
});

test('a file of connections has no secret and no state, and comes back as it was', () => {
  const connection = {
    customer: 'acme',
    connection: 'a',
    host: 'h',
    port: 993,
    passwordSet: true,
    state: { lastStatus: 'ok' },
  } as const;
  assert.deepEqual(fromFile(toFile([connection])), [
    { customer: 'acme', connection: 'a', host: 'h', port: 993 },
  ]);
  assert.equal(fromFile('{'), 'This is not a JSON file.');
  assert.match(String(fromFile('{}')), /has no list of connections/);
  const other = { customer: 'acme', connection: 'b' };
  const fileOf = (...connections: readonly object[]) => fromFile(JSON.stringify({ connections }));
  assert.equal(fileOf(other, { customer: 'a' }), 'Entry 2 of this file has no customer and connection.');
  assert.match(String(fileOf(connection, other, connection)), /^acme\/a stands more than once in this file;/);
});

test('errors are told in the words of the form', () => {
  const told = (column: string, message: string) => inFormWords({ column, message }).message;
  assert.equal(
    told('host', 'host is missing; name the mail server.'),
    'Host is missing; name the mail server.',
  );
  assert.equal(
    told('startTls', 'startTls is only possible with useSsl=false.'),
    'Start TLS is only possible with Use SSL=false.',
  );
  assert.equal(told('cron', 'cron is "x"; the host is fine.'), 'Cron is "x"; the host is fine.');
});
