import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { QueueClient } from '@azure/storage-queue';
import { mailboxColumns, queueName, startAppTestbed } from '../app/testbed.ts';
import { type Envelope, startIngestion } from './ingestion.ts';

const users = ['anna', 'bert', 'ten', 'many', 'odd', 'kept'];

const mail = (subject: string) =>
  Buffer.from(
    `From: a@example.com\r\nSubject: ${subject}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello\r\n`,
  );
const mails = (count: number) => Array.from({ length: count }, (_, index) => mail(`number ${index}`));
/** Without a boundary: it goes raw, with a warning. */
const oddMail = Buffer.from('Subject: odd\r\nContent-Type: multipart/mixed\r\n\r\nsomething\r\n');

const ingestion = await startIngestion();
const bed = await startAppTestbed({
  users,
  settings: {
    APPLICATIONINSIGHTS_CONNECTION_STRING: ingestion.connectionString,
    WEBSITE_SITE_NAME: 'mail-app',
  },
});
after(async () => {
  await bed.stop();
  await ingestion.stop();
});
await bed.addMailbox('anna', 'IMAP', mails(3));
await bed.addMailbox('bert', 'POP3', mails(2));
await bed.addMailbox('ten', 'IMAP', mails(10));
await bed.addMailbox('many', 'IMAP', mails(300));
await bed.addMailbox('odd', 'IMAP', Array<Buffer>(30).fill(oddMail));
await bed.addMailbox('kept', 'IMAP', mails(1));
const columns = mailboxColumns(bed.dovecot, 'IMAP', 'anna');
await bed.addConnection('wrong', { ...columns, password: 'guess' });
await bed.addConnection('unreadable', { ...columns, hostType: 'MAPI' });
await bed.addConnection('held', columns);
for (const name of ['anna', 'bert', 'ten', 'many', 'odd', 'wrong', 'unreadable']) await bed.poll(name);
const sent = bed.broker.queue(queueName).messages.map(({ applicationProperties }) => applicationProperties);

await bed.container('email-leases').getBlockBlobClient('acme/held').upload('', 0);
await bed.lease('held').acquireLease(60);
await bed.poll('held');
bed.broker.faults.quotaExceeded = true;
await bed.poll('kept');
const poisoned = new QueueClient(bed.azurite.connectionString, 'email-polls-poison');
await poisoned.createIfNotExists();
await poisoned.sendMessage('e30=');
await bed.host.fireTimer('retryDeliveries');
// Its hook sends what is there.
await bed.host.stop();

const total = (name: string, dimensions: Readonly<Record<string, string>>): number =>
  ingestion.metric(name, dimensions).reduce((sum, { value }) => sum + value, 0);
const imapOf = (connection: string) => ({ customer: 'acme', connection, protocol: 'imap' });
const pop3OfBert = { customer: 'acme', connection: 'bert', protocol: 'pop3' };

/** The root of the poll of a connection, and the spans below it. */
function traceOf(connection: string): { root: Envelope; spans: readonly Envelope[] } {
  const roots = ingestion
    .ofType('RequestData')
    .filter(({ data }) => data.baseData.properties.connection === connection);
  const [root] = roots;
  assert.ok(root && roots.length === 1, `${connection} has ${roots.length} polls`);
  const spans = ingestion
    .ofType('RemoteDependencyData')
    .filter(({ tags }) => tags['ai.operation.id'] === root.tags['ai.operation.id']);
  return { root, spans };
}

const logsOf = (connection: string) =>
  ingestion.ofType('MessageData').filter(({ data }) => data.baseData.properties.connection === connection);

test('what is sent arrives at the ingestion endpoint and says which app it is from', () => {
  assert.deepEqual([...ingestion.paths], ['POST /v2.1/track']);
  const roles = new Set(ingestion.envelopes.map(({ tags }) => tags['ai.cloud.role']));
  assert.deepEqual([...roles], ['mail-app']);
});

test('no metric but the app’s own is sent', () => {
  const names = ingestion.ofType('MetricData').flatMap(({ data }) => data.baseData.metrics ?? []);
  assert.deepEqual(
    names.filter(({ name }) => !name.startsWith('email.')),
    [],
  );
});

test('mails, messages and bytes are counted by customer, connection and protocol', () => {
  assert.equal(total('email.mails', imapOf('anna')), 3);
  assert.equal(total('email.messages', imapOf('anna')), 3);
  assert.equal(total('email.bytes', imapOf('anna')), 3 * mail('number 0').length);
  assert.equal(total('email.mails', pop3OfBert), 2);
  assert.equal(total('email.messages', pop3OfBert), 2);
});

test('the duration of each poll is measured, with its outcome', () => {
  const [fine] = ingestion.metric('email.poll.duration', { ...imapOf('anna'), outcome: 'ok' });
  assert.ok(fine && fine.count === 1 && fine.value > 0);
  assert.equal(ingestion.metric('email.poll.duration', { ...imapOf('wrong'), outcome: 'failed' }).length, 1);
});

test('failures are counted by reason', () => {
  assert.equal(total('email.poll.failures', { ...imapOf('wrong'), reason: 'login' }), 1);
  assert.equal(
    total('email.poll.failures', { connection: 'unreadable', protocol: 'unknown', reason: 'config' }),
    1,
  );
  assert.equal(total('email.poll.failures', { connection: 'anna' }), 0);
});

test('the lag is the age of the oldest unread mail of a run', () => {
  const [lag] = ingestion.metric('email.lag', imapOf('many'));
  assert.ok(lag && lag.count === 1 && lag.value >= 0 && lag.value < 120, JSON.stringify(lag));
  assert.deepEqual(ingestion.metric('email.lag', pop3OfBert), [], 'POP3 has no time of receipt');
});

test('a poll while another holds the lease is counted', () => {
  assert.equal(total('email.lease.skipped', imapOf('held')), 1);
});

test('undelivered mails and given up orders are gauged', () => {
  const [kept] = ingestion.metric('email.undelivered', { ...imapOf('kept'), status: 'waiting' });
  assert.equal(kept?.value, 1);
  assert.equal(ingestion.metric('email.orders.poisoned')[0]?.value, 1);
});

test('a poll is one trace: its own span, and below it connect, list, fetch, parse, push, settle', () => {
  for (const connection of ['anna', 'bert']) {
    const { root, spans } = traceOf(connection);
    assert.equal(root.data.baseData.name, 'poll');
    assert.equal(root.data.baseData.success, true);
    const names = new Set(spans.map(({ data }) => data.baseData.name));
    assert.deepEqual([...names].toSorted(), ['connect', 'fetch', 'list', 'parse', 'push', 'settle']);
    for (const { tags } of spans) assert.equal(tags['ai.operation.parentId'], root.data.baseData.id);
  }
});

test('a failed poll is a failed trace that says why, down to the step', () => {
  const { root, spans } = traceOf('wrong');
  assert.equal(root.data.baseData.success, false);
  assert.equal(root.data.baseData.properties.reason, 'login');
  assert.match(root.data.baseData.properties.error ?? '', /user name|password|login/i);
  const connect = spans.find(({ data }) => data.baseData.name === 'connect');
  assert.equal(connect?.data.baseData.success, false);
  assert.equal(
    traceOf('kept').spans.find(({ data }) => data.baseData.name === 'push')?.data.baseData.success,
    false,
  );
});

test('spans and log lines of a run do not grow with its mails', () => {
  const { root, spans } = traceOf('many');
  const pushes = spans.filter(({ data }) => data.baseData.name === 'push');
  assert.equal(pushes.length, 50);
  assert.equal(root.data.baseData.properties['push.count'], '300');
  assert.equal(logsOf('many').length, logsOf('ten').length);
  const odd = logsOf('odd');
  assert.equal(odd.length, 12, 'ten mails, the word that there are more, and the run');
});

test('a run leaves one line, which stands with its trace and carries its numbers', () => {
  const { root } = traceOf('anna');
  const lines = logsOf('anna');
  assert.equal(lines.length, 1);
  assert.match(lines[0]?.data.baseData.message ?? '', /^Poll of acme\/anna: 3 mails, 3 messages/);
  assert.equal(lines[0]?.data.baseData.properties.mails, '3');
  assert.equal(lines[0]?.data.baseData.properties.runId, root.data.baseData.properties.runId);
  assert.equal(lines[0]?.tags['ai.operation.id'], root.tags['ai.operation.id']);
  assert.equal(lines[0]?.tags['ai.operation.parentId'], root.data.baseData.id);
});

test('a failed mail leaves one line, and so does its failed run; the host has the same lines', () => {
  const messages = logsOf('kept').map(({ data }) => data.baseData.message ?? '');
  assert.equal(messages.length, 2);
  assert.match(messages[0] ?? '', /^Mail 1: it could not be sent and is kept to be sent later: /);
  assert.match(messages[1] ?? '', /^Poll of acme\/kept failed: /);
  for (const message of messages) {
    assert.ok(
      bed.host.logs.some((entry) => entry.message.includes(message)),
      message,
    );
  }
});

test('each message carries the trace context of its push, so that a consumer goes on in the same trace', () => {
  const { root, spans } = traceOf('anna');
  const pushes = new Set(
    spans.filter(({ data }) => data.baseData.name === 'push').map(({ data }) => data.baseData.id),
  );
  const properties = sent.filter(({ connection }) => connection === 'anna');
  assert.equal(properties.length, 3);
  for (const each of properties) {
    const [version, traceId, spanId = '', flags] = String(each.traceparent).split('-');
    assert.deepEqual([version, traceId, flags], ['00', root.tags['ai.operation.id'], '01']);
    assert.ok(pushes.delete(spanId));
    assert.equal(each['Diagnostic-Id'], each.traceparent);
  }
});
