import assert from 'node:assert/strict';
import { test } from 'node:test';
import { maxLabelledConnections } from '../../shared/telemetry/meters.ts';
import { openTelemetry } from '../../shared/telemetry/openTelemetry.ts';
import { type ConnectionLabels, noTelemetry } from '../../shared/telemetry/telemetry.ts';
import { connectionStringFor, startIngestion } from './ingestion.ts';
import { failure, keepUnsentApart, quiet, startTelemetry } from './support.ts';

keepUnsentApart();

const labels: ConnectionLabels = { customer: 'acme', connection: 'anna', protocol: 'imap' };
const nothing = { mails: 0, messages: 0, bytes: 0, durationMs: 5 };

test('the host’s span is the parent of the poll and of its log lines', async (context) => {
  const { ingestion, telemetry } = await startTelemetry(context);
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  const invocation = telemetry.follow(quiet, `00-${traceId}-b7ad6b7169203331-00`);
  invocation.startPoll(labels, 'run').end({ ...nothing, failure });
  invocation.log.info('A line.');
  await telemetry.shutdown(5_000);
  const [root] = ingestion.ofType('RequestData');
  const [line] = ingestion.ofType('MessageData');
  assert.equal(root?.tags['ai.operation.id'], traceId);
  assert.equal(root?.tags['ai.operation.parentId'], 'b7ad6b7169203331');
  assert.equal(line?.tags['ai.operation.id'], traceId);
});

test('two polls that the host gives the same trace both keep their request and their steps', async (context) => {
  const { ingestion, telemetry } = await startTelemetry(context);
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const polls = ['anna', 'bert'].map((connection) =>
    telemetry.follow(quiet, traceparent).startPoll({ ...labels, connection }, `run of ${connection}`),
  );
  const steps = polls.map((poll) => poll.startStep('connect'));
  for (const step of steps) step.end();
  for (const poll of polls) poll.end({ ...nothing, failure });
  await telemetry.shutdown(5_000);
  const roots = ingestion.ofType('RequestData');
  assert.deepEqual(roots.map(({ data }) => data.baseData.properties.connection).toSorted(), ['anna', 'bert']);
  const parents = ingestion.ofType('RemoteDependencyData').map(({ tags }) => tags['ai.operation.parentId']);
  assert.deepEqual(parents.toSorted(), roots.map(({ data }) => data.baseData.id).toSorted());
});

test('without a trace of the host’s each poll begins one of its own', async (context) => {
  const { ingestion, telemetry } = await startTelemetry(context);
  for (const traceparent of ['', undefined, '00-0-0-00']) {
    telemetry
      .follow(quiet, traceparent)
      .startPoll(labels, 'run')
      .end({ ...nothing, failure });
  }
  await telemetry.shutdown(5_000);
  const traces = new Set(ingestion.ofType('RequestData').map(({ tags }) => tags['ai.operation.id']));
  assert.equal(traces.size, 3);
});

test('every failed poll’s trace is sent, and of a thousand idle ones no more than a few', async (context) => {
  const { ingestion, telemetry } = await startTelemetry(context);
  for (let poll = 0; poll < 1_000; poll += 1) {
    const idle = telemetry.follow(quiet, undefined).startPoll(labels, `idle ${poll}`);
    idle.startStep('connect').end();
    idle.end(nothing);
    const failed = telemetry.follow(quiet, undefined).startPoll(labels, `failed ${poll}`);
    failed.startStep('connect').end(failure);
    failed.end({ ...nothing, failure });
  }
  await telemetry.shutdown(5_000);
  const roots = ingestion.ofType('RequestData').map(({ data }) => data.baseData.success);
  assert.equal(roots.filter((success) => success === false).length, 1_000);
  const idle = roots.filter((success) => success === true).length;
  // The minute may change in between.
  assert.ok(idle >= 10 && idle <= 20, `${idle}`);
  assert.equal(ingestion.ofType('RemoteDependencyData').length, 1_000 + idle);
  const counted = ingestion.metric('email.poll.duration').reduce((sum, { count }) => sum + count, 0);
  assert.equal(counted, 2_000, 'metrics are not sampled');
});

test('the dimensions of metrics are bounded: connections beyond that are counted as other', async (context) => {
  const { ingestion, telemetry } = await startTelemetry(context);
  const all = maxLabelledConnections + 100;
  for (let index = 0; index < all; index += 1) {
    telemetry.follow(quiet, undefined).skipPoll({ ...labels, connection: `mailbox-${index}` });
  }
  const undelivered = ['a', 'b'].map((connection) => ({
    labels: { ...labels, connection },
    status: 'waiting' as const,
    mails: 2,
  }));
  telemetry.follow(quiet, undefined).reportBacklog?.({ undelivered, poisonedOrders: 0 });
  await telemetry.shutdown(5_000);
  const skips = ingestion.metric('email.lease.skipped');
  assert.equal(skips.length, maxLabelledConnections + 1);
  const [other] = ingestion.metric('email.lease.skipped', { customer: 'other', connection: 'other' });
  assert.equal(other?.value, 100);
  assert.equal(ingestion.metric('email.undelivered', { connection: 'other' })[0]?.value, 4);
});

test('what is no longer undelivered is said to be 0', async (context) => {
  const { ingestion, telemetry } = await startTelemetry(context);
  telemetry
    .follow(quiet, undefined)
    .reportBacklog?.({ undelivered: [{ labels, status: 'abandoned', mails: 3 }], poisonedOrders: 0 });
  telemetry.follow(quiet, undefined).reportBacklog?.({ undelivered: [], poisonedOrders: 0 });
  await telemetry.shutdown(5_000);
  assert.equal(ingestion.metric('email.undelivered', { status: 'abandoned' })[0]?.value, 0);
});

test('an endpoint that is silent or away holds up neither a poll nor the end of the process', async () => {
  const silent = await startIngestion('silent');
  for (const connectionString of [silent.connectionString, connectionStringFor(1)]) {
    const telemetry = openTelemetry({ connectionString });
    const startedAtMs = performance.now();
    const poll = telemetry.follow(quiet, undefined).startPoll(labels, 'run');
    for (let step = 0; step < 500; step += 1) poll.startStep('push').end(failure);
    poll.end({ ...nothing, failure });
    await telemetry.shutdown(300);
    const tookMs = performance.now() - startedAtMs;
    assert.ok(tookMs < 2_000, `${tookMs} ms`);
  }
  await silent.stop();
});

test('a connection string without a valid key is refused at once', () => {
  assert.throws(() => openTelemetry({ connectionString: 'InstrumentationKey=abc' }), /instrumentation key/i);
});

test('without telemetry the log is the host’s and messages carry no trace', () => {
  const { log, startPoll } = noTelemetry.follow(quiet, undefined);
  assert.equal(log, quiet);
  assert.equal(startPoll(labels, 'run').startStep('push').traceparent, undefined);
});
